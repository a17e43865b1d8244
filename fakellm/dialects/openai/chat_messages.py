"""From the messages of a chat completions request to turns, with the rules of their order."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fakellm.dialects.openai import chat_request as wire
from fakellm.dialects.openai.errors import refuse, shown
from fakellm.model import content
from fakellm.model.prompt import Message, Role


def decode_messages(messages: Sequence[wire.ChatMessage]) -> Iterator[Message]:
    """The turns of a conversation.

    Raises:
        Refused: they do not follow on one another as the API wants them to.
    """
    awaited: dict[str, str] = {}  # tool names by the ids of calls that have no result yet
    answered: dict[str, str] = {}
    caller = 0
    for position, message in enumerate(messages):
        if isinstance(message, wire.ToolMessage):
            call_id = message.tool_call_id
            if call_id in awaited:
                answered[call_id] = awaited.pop(call_id)
            elif call_id not in answered:  # a second result for a call is let through
                raise refuse(
                    "Invalid parameter: messages with role 'tool' must be a response to a "
                    "preceding message with 'tool_calls'.",
                    param=f"messages[{position}].role",
                )
            name = answered[call_id]
            result = content.ToolResult(
                call_id=call_id, content=text_of(message.content), name=name
            )
            yield Message(role="tool", parts=(result,))
            continue
        if awaited:
            _check_answered(awaited, caller)
        answered = {}
        if isinstance(message, wire.AssistantMessage):
            caller = position
            awaited = {call.id: _call_name(call) for call in message.tool_calls or ()}
            _check_says_something(message, position)
            yield Message(role="assistant", parts=_said(message), name=message.name)
        elif isinstance(message, wire.FunctionMessage):
            result = content.ToolResult(
                call_id="", content=message.content or "", name=message.name
            )
            yield Message(role="tool", parts=(result,))
        else:
            role = _ROLES[type(message)]
            yield Message(role=role, parts=_parts(message.content), name=message.name)
    _check_answered(awaited, caller)


_ROLES: Mapping[type, Role] = {
    wire.UserMessage: "user",
    wire.SystemMessage: "system",
    wire.DeveloperMessage: "developer",
}
_IDS_SHOWN_AT_MOST = 10


def _check_answered(awaited: Iterable[str], caller: int) -> None:
    missing = list(awaited)
    if missing:
        raise refuse(
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            "to each 'tool_call_id'. The following tool_call_ids did not have response messages: "
            + ", ".join(shown(call_id) for call_id in missing[:_IDS_SHOWN_AT_MOST])
            + (", ..." if len(missing) > _IDS_SHOWN_AT_MOST else ""),
            param=f"messages[{caller}].tool_calls",
        )


def _check_says_something(message: wire.AssistantMessage, position: int) -> None:
    said = (message.content, message.refusal, message.audio, message.function_call)
    if all(part is None for part in said) and not message.tool_calls:
        raise refuse(
            f"Invalid value for 'messages[{position}].content': expected a string, got null.",
            param=f"messages[{position}].content",
        )


def _call_name(call: wire.FunctionCall | wire.CustomCall) -> str:
    return call.function.name if isinstance(call, wire.FunctionCall) else call.custom.name


def _said(message: wire.AssistantMessage) -> tuple[content.Part, ...]:
    parts = [] if message.content is None else list(_parts(message.content))
    if message.refusal is not None:
        parts.append(content.Refusal(text=message.refusal))
    parts += [_call(call) for call in message.tool_calls or ()]
    if message.function_call is not None:
        called = message.function_call
        parts.append(content.ToolCall(name=called.name, arguments=called.arguments))
    return tuple(parts)


def _call(call: wire.FunctionCall | wire.CustomCall) -> content.ToolCall:
    if isinstance(call, wire.CustomCall):
        custom = call.custom
        return content.ToolCall(id=call.id, name=custom.name, arguments=custom.input, kind="custom")
    return content.ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)


def _parts(said: str | Sequence[Any]) -> tuple[content.Part, ...]:
    if isinstance(said, str):
        return (content.Text(text=said),)
    return tuple(_part(part) for part in said)


def _part(part: Any) -> content.Part:
    match part:
        case wire.TextPart(text=text):
            return content.Text(text=text)
        case wire.ImagePart(image_url=image):
            return content.Image(url=image.url, detail=image.detail)
        case wire.AudioPart(input_audio=audio):
            return content.Audio(data=audio.data, format=audio.format)
        case wire.FilePart(file=file):
            return content.File(name=file.filename, data=file.file_data, id=file.file_id)
    refusal: wire.RefusalPart = part
    return content.Refusal(text=refusal.refusal)


def text_of(said: str | Sequence[wire.TextPart]) -> str:
    """The text of a string or of parts."""
    return said if isinstance(said, str) else "".join(part.text for part in said)
