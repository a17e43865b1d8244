"""Items of tools on the vendor's side: as a response has them, and as a stream tells of them.

A scenario says what such a tool did; what it leaves out is filled in, so that clients can read it.
Source: the tool call items and their events in OpenAI's published schema.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fakellm.dialects.openai.responses.decode import Asking
from fakellm.dialects.openai.responses.input_items import ID_LENGTH
from fakellm.model.content import HostedCall
from fakellm.model.stamp import Stamp

_PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJg"
    "gg=="
)
"""A picture of one pixel: PNG, base64."""

_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "web_search_call": {"status": "completed", "action": {"type": "search", "query": ""}},
    "file_search_call": {"status": "completed", "queries": [], "results": None},
    "code_interpreter_call": {
        "status": "completed",
        "code": "",
        "container_id": "",
        "outputs": None,
    },
    "image_generation_call": {"status": "completed", "result": _PIXEL},
    "computer_call": {
        "status": "completed",
        "call_id": "",
        "action": {"type": "screenshot"},
        "pending_safety_checks": [],
    },
    "local_shell_call": {
        "status": "completed",
        "call_id": "",
        "action": {"type": "exec", "command": [], "env": {}},
    },
    "shell_call": {
        "status": "completed",
        "call_id": "",
        "action": {"commands": [], "timeout_ms": None, "max_output_length": None},
        "environment": None,
    },
    "apply_patch_call": {
        "status": "completed",
        "call_id": "",
        "operation": {"type": "delete_file", "path": ""},
    },
    "mcp_call": {
        "status": "completed",
        "server_label": "",
        "name": "",
        "arguments": "{}",
        "output": None,
        "error": None,
        "approval_request_id": None,
    },
    "mcp_list_tools": {"server_label": "", "tools": []},
    "mcp_approval_request": {"server_label": "", "name": "", "arguments": "{}"},
}
_MADE_IDS = {"call_id": "call_", "container_id": "cntr_"}


def hosted_item(call: HostedCall, item_id: str, stamp: Stamp, asking: Asking) -> dict[str, Any]:
    """The item of a call, with what the request does not want included left out."""
    named = {"id": item_id, "type": call.kind}
    item = {**named, **_DEFAULTS.get(call.kind, {}), **call.fields, **named}
    for name, prefix in _MADE_IDS.items():
        if item.get(name) == "":
            item[name] = stamp.unique(prefix, ID_LENGTH)
    if call.kind == "file_search_call" and not asking.includes("file_search_call.results"):
        item["results"] = None
    if call.kind == "code_interpreter_call" and not asking.includes(
        "code_interpreter_call.outputs"
    ):
        item["outputs"] = None
    action = item.get("action")
    if (
        call.kind == "web_search_call"
        and isinstance(action, Mapping)
        and not asking.includes("web_search_call.action.sources")
    ):
        item["action"] = {name: value for name, value in action.items() if name != "sources"}
    return item


_NOT_YET: Mapping[str, Mapping[str, Any]] = {
    "code_interpreter_call": {"code": "", "outputs": None},
    "image_generation_call": {"result": None},
    "mcp_call": {"arguments": "", "output": None, "error": None},
    "mcp_list_tools": {"tools": []},
    "file_search_call": {"results": None},
}
"""What is not known of a call when it begins."""


def begun_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item as it is when its call begins."""
    begun = {**item, **_NOT_YET.get(item["type"], {})}
    if "status" in begun:
        begun["status"] = "in_progress"
    return begun


HostedEvent = tuple[str, Mapping[str, Any]]
"""The type of an event, and what it tells beside where it is."""


def hosted_events(item: Mapping[str, Any]) -> Iterator[HostedEvent]:
    """The events between the beginning of a call and its end."""
    events = _EVENTS.get(item["type"])
    return iter(()) if events is None else events(item)


def _searched(item: Mapping[str, Any]) -> Iterator[HostedEvent]:
    name = f"response.{item['type']}"
    for step in ("in_progress", "searching", "completed"):
        yield f"{name}.{step}", {}


def _interpreted(item: Mapping[str, Any]) -> Iterator[HostedEvent]:
    name, code = "response.code_interpreter_call", item["code"] or ""
    yield f"{name}.in_progress", {}
    yield f"{name}_code.delta", {"delta": code}
    yield f"{name}_code.done", {"code": code}
    yield f"{name}.interpreting", {}
    yield f"{name}.completed", {}


def _drawn(item: Mapping[str, Any]) -> Iterator[HostedEvent]:
    for step in ("in_progress", "generating", "completed"):
        yield f"response.{item['type']}.{step}", {}


def _called(item: Mapping[str, Any]) -> Iterator[HostedEvent]:
    name, arguments = "response.mcp_call", item["arguments"]
    yield f"{name}.in_progress", {}
    yield f"{name}_arguments.delta", {"delta": arguments}
    yield f"{name}_arguments.done", {"arguments": arguments}
    yield f"{name}.{'failed' if item['error'] else 'completed'}", {}


def _listed(item: Mapping[str, Any]) -> Iterator[HostedEvent]:
    name = "response.mcp_list_tools"
    yield f"{name}.in_progress", {}
    yield f"{name}.{'failed' if item.get('error') else 'completed'}", {}


_EVENTS: Mapping[str, Callable[[Mapping[str, Any]], Iterator[HostedEvent]]] = {
    "web_search_call": _searched,
    "file_search_call": _searched,
    "code_interpreter_call": _interpreted,
    "image_generation_call": _drawn,
    "mcp_call": _called,
    "mcp_list_tools": _listed,
}
