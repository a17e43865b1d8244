"""From the messages of a request to turns, with the rules of their order.

Source: the API's own answers to messages that break them, as quoted in bug reports of its clients.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import msgspec

from fakellm.dialects.anthropic import blocks as wire
from fakellm.dialects.anthropic.errors import refuse, shown
from fakellm.dialects.anthropic.request import (
    ApiMessage,
    AssistantMessage,
    SystemMessage,
    UserMessage,
)
from fakellm.model import content
from fakellm.model.prompt import Message

_IDS_SHOWN_AT_MOST = 10
_CACHE_MARKS_AT_MOST = 4
_WHITE_SPACE = tuple(" \t\r\n")


def decode_system(system: str | Sequence[wire.TextBlock] | None) -> tuple[Message, ...]:
    """The system prompt as a turn, if there is one.

    Raises:
        Refused: a block of it has no text.
    """
    if not system:
        return ()
    if not isinstance(system, str) and not all(block.text for block in system):
        raise refuse("system: text content blocks must be non-empty")
    return (Message(role="system", parts=_parts(system)),)


def decode_messages(messages: Sequence[ApiMessage]) -> tuple[Message, ...]:
    """The turns of a conversation; results of tools are turns of the tools.

    Raises:
        Refused: they do not follow on one another as the API wants them to.
    """
    if not messages:
        raise refuse("messages: at least one message is required")
    names = _check(messages)
    turns = (_turns(message, names) for message in messages)
    return tuple(turn for each in turns for turn in each)


def check_cache_marks(blocks: Iterable[Any]) -> None:
    """There may be so many marks, wherever they are.

    Raises:
        Refused: there are more.
    """
    found = sum(getattr(block, "cache_control", None) is not None for block in blocks)
    if found > _CACHE_MARKS_AT_MOST:
        raise refuse(
            f"A maximum of {_CACHE_MARKS_AT_MOST} blocks with cache_control may be provided. "
            f"Found {found}."
        )


def blocks_of(message: ApiMessage) -> Sequence[Any]:
    """The blocks of a message; none where it is text."""
    return message.content if isinstance(message.content, list) else ()


_Placed = tuple[str, Any]
"""A block and where it is, such as ``messages.0.content.1``."""


def _check(messages: Sequence[ApiMessage]) -> dict[str, str]:
    """Refuse what is out of order; the names of all tools called, by the ids of the calls."""
    names: dict[str, str] = {}
    awaited: dict[str, str] = {}  # where the calls are that the next turn has to answer
    for number, message in enumerate(messages):
        _check_content(message, number, is_last=number == len(messages) - 1)
    spoken = [
        (number, message)
        for number, message in enumerate(messages)
        if not isinstance(message, SystemMessage)
    ]
    # messages of one role in a row are one turn
    for role, turn in groupby(spoken, key=lambda each: type(each[1])):
        placed = [
            (f"messages.{number}", place, block)
            for number, message in turn
            for place, block in enumerate(blocks_of(message))
        ]
        if role is UserMessage:
            _check_results(
                [(f"{at}.content.{place}", block) for at, place, block in placed], awaited
            )
            _check_answered(awaited)
            continue
        for at, _, block in placed:
            if isinstance(block, wire.ToolUseBlock):
                if block.id in names:
                    raise refuse("messages: `tool_use` ids must be unique")
                names[block.id] = block.name
                awaited[block.id] = at
    _check_answered(awaited)
    return names


def _check_content(message: ApiMessage, number: int, *, is_last: bool) -> None:
    assistant = isinstance(message, AssistantMessage)
    if not message.content:
        if isinstance(message, SystemMessage) or (assistant and is_last):
            return
        raise refuse(
            f"messages.{number}: all messages must have non-empty content except for the optional "
            "final assistant message"
        )
    if isinstance(message.content, str):
        _check_text(message.content)
    if assistant and is_last and _last_text(message).endswith(_WHITE_SPACE):
        raise refuse("messages: final assistant content cannot end with trailing whitespace")
    for place, block in enumerate(blocks_of(message)):
        where = f"messages.{number}.content.{place}"
        if isinstance(block, wire.TextBlock):
            _check_text(block.text)
        if isinstance(block, wire.ToolUseBlock) and not assistant:
            raise refuse(f"{where}: `tool_use` blocks can only be in `assistant` messages")
        if isinstance(block, wire.ToolResultBlock) and assistant:
            raise refuse(f"{where}: `tool_result` blocks can only be in `user` messages")


def _check_text(text: str) -> None:
    if not text:
        raise refuse("messages: text content blocks must be non-empty")
    if not text.strip():
        raise refuse("messages: text content blocks must contain non-whitespace text")


def _last_text(message: ApiMessage) -> str:
    """The text that a message ends with; empty where it ends with something else."""
    if isinstance(message.content, str):
        return message.content
    (*_, last) = blocks_of(message)
    return last.text if isinstance(last, wire.TextBlock) else ""


def _check_results(placed: Iterable[_Placed], awaited: dict[str, str]) -> None:
    answered = set()
    for where, block in placed:
        if not isinstance(block, wire.ToolResultBlock):
            continue
        call_id = block.tool_use_id
        if call_id in answered:
            raise refuse(
                f"{where}: each tool_use must have a single result. "
                f"Found multiple `tool_result` blocks with id: {shown(call_id)}"
            )
        if call_id not in awaited:
            raise refuse(
                f"{where}: unexpected `tool_use_id` found in `tool_result` blocks: "
                f"{shown(call_id)}. Each `tool_result` block must have a corresponding `tool_use` "
                "block in the previous message."
            )
        answered.add(call_id)
        del awaited[call_id]


def _check_answered(awaited: dict[str, str]) -> None:
    if not awaited:
        return
    ids = [shown(call_id) for call_id in awaited]
    more = ", ..." if len(ids) > _IDS_SHOWN_AT_MOST else ""
    raise refuse(
        f"{next(iter(awaited.values()))}: `tool_use` ids were found without `tool_result` blocks "
        f"immediately after: {', '.join(ids[:_IDS_SHOWN_AT_MOST])}{more}. Each `tool_use` block "
        "must have a corresponding `tool_result` block in the next message."
    )


def _turns(message: ApiMessage, names: dict[str, str]) -> Iterator[Message]:
    if isinstance(message, SystemMessage):
        yield Message(role="system", parts=_parts(message.content or ()))
    elif isinstance(message, AssistantMessage):
        yield Message(role="assistant", parts=_parts(message.content))
    elif isinstance(message.content, str):
        yield Message(role="user", parts=_parts(message.content))
    else:
        grouped = groupby(
            message.content, key=lambda block: isinstance(block, wire.ToolResultBlock)
        )
        for are_results, blocks in grouped:
            if are_results:
                results = (part for block in blocks for part in _result(block, names))
                yield Message(role="tool", parts=tuple(results))
            else:
                yield Message(role="user", parts=_parts(list(blocks)))


def _parts(said: str | Sequence[Any]) -> tuple[content.Part, ...]:
    if isinstance(said, str):
        return (content.Text(text=said),)
    return tuple(part for block in said for part in _part(block))


def _part(block: Any) -> Iterable[content.Part]:
    match block:
        case wire.TextBlock(text=text):
            return (content.Text(text=text),)
        case wire.ImageBlock(source=source):
            return (content.Image(url=_address(source)),)
        case wire.DocumentBlock():
            return (_document(block),)
        case wire.SearchResultBlock(content=found):
            return _parts(found)
        case wire.ThinkingBlock(thinking=thinking):
            return (content.Reasoning(text=thinking),)
        case wire.ToolUseBlock(id=call_id, name=name, input=given):
            arguments = msgspec.json.encode(given).decode()
            return (content.ToolCall(id=call_id, name=name, arguments=arguments),)
    return ()  # what the API and its own tools said, or what changes no answer


def _address(source: wire.Base64Image | wire.Url | wire.UploadedFile) -> str:
    match source:
        case wire.Base64Image(media_type=media_type, data=data):
            return f"data:{media_type};base64,{data}"
        case wire.Url(url=url):
            return url
    return f"file:{source.file_id}"


def _document(block: wire.DocumentBlock) -> content.Part:
    name = block.title
    match block.source:
        case wire.Base64Pdf(data=data) | wire.PlainText(data=data):
            return content.File(name=name, data=data)
        case wire.ContentSource(content=found):
            return content.File(name=name, data=_text_of(found))
        case wire.Url(url=url):
            return content.File(name=name or url)
    return content.File(name=name, id=block.source.file_id)


def _result(block: Any, names: dict[str, str]) -> Iterator[content.Part]:
    """What came of a call: its text, and the pictures and documents beside it."""
    said = block.content or ""
    yield content.ToolResult(
        call_id=block.tool_use_id,
        content=_text_of(said),
        name=names[block.tool_use_id],
        is_error=bool(block.is_error),
    )
    if not isinstance(said, str):
        yield from (part for part in _parts(said) if not isinstance(part, content.Text))


def _text_of(said: str | Sequence[Any]) -> str:
    """The text of a string or of blocks."""
    return "".join(part.text for part in _parts(said) if isinstance(part, content.Text))
