"""The items of a request: completed where they leave out what they are, and as they are kept."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from fakellm.dialects.openai.responses.items import InputItem, ItemReference, Typed
from fakellm.dialects.openai.responses.stored import Item, find_item
from fakellm.model.asked import Kept
from fakellm.model.stamp import Stamp

_keys = msgspec.json.Decoder(dict[str, msgspec.Raw])
_types = msgspec.json.Decoder(list[Typed])
_objects = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_NOT_JSON = (msgspec.DecodeError, msgspec.ValidationError, RecursionError, UnicodeDecodeError)


def typed(body: bytes, field: str = "input") -> tuple[bytes, tuple[str, ...]]:
    """A body in which every item says what it is, and the names in it.

    The API takes ``{"role", "content"}`` for a message and ``{"id"}`` for a reference, and records
    are told apart by their ``type``. What is no such thing stays as it is, to be refused in time.
    """
    try:
        fields = _keys.decode(body)
    except _NOT_JSON:
        return body, ()
    names = tuple(fields)
    try:
        if all(item.type is not None for item in _types.decode(fields.get(field, b"[]"))):
            return body, names
        items = _objects.decode(fields[field])
    except _NOT_JSON:
        return body, names
    for item in items:
        if item.get("type", b"null") in (b"null", msgspec.Raw(b"null")):
            if "role" in item:
                item["type"] = msgspec.Raw(b'"message"')
            elif "id" in item:
                item["type"] = msgspec.Raw(b'"item_reference"')
    return msgspec.json.encode({**fields, field: items}), names


def plain(given: str | list[InputItem] | None, kept: Kept) -> tuple[Item, ...]:
    """The items of an input, references resolved.

    Raises:
        Refused: what one refers to is not kept.
    """
    if given is None:
        return ()
    if isinstance(given, str):
        return ({"type": "message", "role": "user", "content": given},)
    return tuple(
        find_item(kept, item.id) if isinstance(item, ItemReference) else msgspec.to_builtins(item)
        for item in given
    )


_PREFIXES: Mapping[str, str] = {
    "message": "msg_",
    "reasoning": "rs_",
    "function_call": "fc_",
    "function_call_output": "fco_",
    "custom_tool_call": "ctc_",
    "custom_tool_call_output": "ctco_",
    "web_search_call": "ws_",
    "file_search_call": "fs_",
    "code_interpreter_call": "ci_",
    "image_generation_call": "ig_",
    "computer_call": "cu_",
    "computer_call_output": "cuo_",
    "local_shell_call": "lsh_",
    "local_shell_call_output": "lsho_",
    "shell_call": "sh_",
    "shell_call_output": "sho_",
    "apply_patch_call": "apc_",
    "apply_patch_call_output": "apco_",
    "mcp_call": "mcp_",
    "mcp_list_tools": "mcpl_",
    "mcp_approval_request": "mcpr_",
    "mcp_approval_response": "mcpa_",
    "tool_search_call": "tsc_",
    "tool_search_output": "tso_",
    "compaction": "cmp_",
}
_WITH_STATUS = frozenset(
    {
        "message",
        "function_call",
        "function_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
        "computer_call_output",
        "tool_search_call",
        "tool_search_output",
        "shell_call",
        "shell_call_output",
    }
)
ID_LENGTH = 32


def new_id(stamp: Stamp, kind: str) -> str:
    """An id for an item of a kind."""
    return stamp.unique(_PREFIXES.get(kind, "item_"), ID_LENGTH)


def as_kept(items: Iterable[Item], stamp: Stamp) -> tuple[Item, ...]:
    """Items of an input as they are kept and listed: each has an id, and all that the API adds."""
    return tuple(_as_kept(item, stamp) for item in items)


def _as_kept(item: Item, stamp: Stamp) -> Item:
    kind = item["type"]
    listed: dict[str, Any] = {**item, "id": item.get("id") or new_id(stamp, kind)}
    if kind in _WITH_STATUS:
        listed.setdefault("status", "completed")
    if kind in ("tool_search_call", "tool_search_output"):
        listed.setdefault("execution", "client")
    if kind == "message":
        said = item["content"]
        parts = [{"type": "input_text", "text": said}] if isinstance(said, str) else said
        ours = item["role"] == "assistant"
        listed["content"] = [_part(part, ours=ours) for part in parts]
    return listed


def _part(part: Item, *, ours: bool) -> Item:
    match part["type"]:
        case "input_text" | "output_text" if ours:
            return {"annotations": [], "logprobs": [], **part, "type": "output_text"}
        case "output_text":
            return {"type": "input_text", "text": part["text"]}
        case "input_image":
            return {"detail": "auto", **part}
    return part
