"""From items to turns: what the model side says in a row is one turn, whatever items it is in.

Items are as they are kept and sent: objects with a ``type``. Those of a request were checked
against their records, the others are our own; so nothing here can fail but what `check_calls` says.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from fakellm.dialects.openai.errors import refuse, shown
from fakellm.dialects.openai.responses.stored import Item
from fakellm.model import content
from fakellm.model.prompt import Message, Role

_CALLS = {"function_call": "function call", "custom_tool_call": "custom tool call"}
_OUTPUTS = {f"{kind}_output": kind for kind in _CALLS}
_RESULTS = frozenset(
    {
        "function_call_output",
        "custom_tool_call_output",
        "computer_call_output",
        "local_shell_call_output",
        "shell_call_output",
        "apply_patch_call_output",
        "mcp_approval_response",
        "tool_search_output",
        "program_output",
    }
)
_SILENT = frozenset(
    {"compaction", "compaction_trigger", "configuration_update", "additional_tools"}
)


def check_calls(items: Iterable[Item]) -> None:
    """See that calls and their outputs belong together.

    Raises:
        Refused: an output has no call, or a call has no output.
    """
    called: dict[str, str] = {}
    answered: set[str] = set()
    compacted = False
    for item in items:
        kind = item["type"]
        if kind in _CALLS:
            called[item["call_id"]] = _CALLS[kind]
        elif kind == "compaction":
            compacted = True  # and the calls of what follows, it may be
        elif kind in _OUTPUTS and item.get("call_id") is not None:
            if item["call_id"] not in called and not compacted:
                raise refuse(
                    f"No tool call found for {_CALLS[_OUTPUTS[kind]]} output with call_id "
                    f"{shown(item['call_id'])}.",
                    param="input",
                )
            answered.add(item["call_id"])
    for call_id, call in called.items():
        if call_id not in answered:
            raise refuse(f"No tool output found for {call} {shown(call_id)}.", param="input")


def messages_of(instructions: str | None, items: Sequence[Item]) -> tuple[Message, ...]:
    """The turns of a conversation; instructions come first, as a developer's."""
    turns: list[tuple[Role, list[content.Part]]] = []
    names: dict[str, str] = {}
    for item in items:
        kind = item["type"]
        if kind in _SILENT:
            continue
        if kind == "message":
            role, parts = item["role"], _message_parts(item["content"])
        elif kind in _RESULTS:
            role, parts = "tool", _result_parts(item, names)
        else:
            role, parts = "assistant", [_model_part(item)]
            if kind in _CALLS:
                names[item["call_id"]] = item["name"]
        if role == "assistant" and turns and turns[-1][0] == role:
            turns[-1][1].extend(parts)
        else:
            turns.append((role, parts))
    said = tuple(Message(role=role, parts=tuple(parts)) for role, parts in turns)
    if not instructions:
        return said
    return (Message(role="developer", parts=(content.Text(text=instructions),)), *said)


def _message_parts(said: str | Sequence[Item]) -> list[content.Part]:
    if isinstance(said, str):
        return [content.Text(text=said)]
    return [_message_part(part) for part in said]


def _message_part(part: Item) -> content.Part:
    match part["type"]:
        case "input_image":
            url = part.get("image_url") or part.get("file_id") or ""
            return content.Image(url=url, detail=part.get("detail"))
        case "input_file":
            return content.File(
                name=part.get("filename") or part.get("file_url"),
                data=part.get("file_data"),
                id=part.get("file_id"),
            )
        case "input_audio":
            return content.Audio(**part["input_audio"])
        case "refusal":
            return content.Refusal(text=part["refusal"])
    return content.Text(text=part["text"])


def _model_part(item: Item) -> content.Part:
    match item["type"]:
        case "function_call":
            return content.ToolCall(
                id=item["call_id"], name=item["name"], arguments=item["arguments"]
            )
        case "custom_tool_call":
            return content.ToolCall(
                id=item["call_id"], name=item["name"], arguments=item["input"], kind="custom"
            )
        case "reasoning":
            texts = [*item["summary"], *(item.get("content") or ())]
            return content.Reasoning(text="\n\n".join(text["text"] for text in texts))
    fields = {name: value for name, value in item.items() if name != "type"}
    return content.HostedCall(kind=item["type"], fields=fields)


def _result_parts(item: Item, names: dict[str, str]) -> list[content.Part]:
    call_id = str(item.get("call_id") or item.get("approval_request_id") or item.get("id") or "")
    name = names.get(call_id) or item.get("name") or item["type"].removesuffix("_output")
    output = item.get("output", item.get("result"))
    others: list[content.Part] = []
    if item["type"] in _OUTPUTS and isinstance(output, list):
        parts = _message_parts(output)
        others = [part for part in parts if not isinstance(part, content.Text)]
        output = "".join(part.text for part in parts if isinstance(part, content.Text))
    text = output if isinstance(output, str) else _text(item, output)
    return [content.ToolResult(call_id=call_id, content=text, name=name), *others]


def _text(item: Item, output: Any) -> str:
    """What came of a call that has more to it than a text, as JSON."""
    if output is None:
        output = {name: value for name, value in item.items() if name not in ("type", "id")}
    return msgspec.json.encode(output).decode()
