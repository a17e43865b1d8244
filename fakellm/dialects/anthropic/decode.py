"""From the body of a messages request to a prompt, with the rules that span fields."""

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from fakellm.dialects import invalid
from fakellm.dialects.anthropic import request as wire
from fakellm.dialects.anthropic import tools as kit
from fakellm.dialects.anthropic.errors import refuse, shown
from fakellm.dialects.anthropic.problem_words import problem_words
from fakellm.dialects.anthropic.turns import (
    blocks_of,
    check_cache_marks,
    decode_messages,
    decode_system,
)
from fakellm.dialects.anthropic.versions import check_removed, check_version
from fakellm.model.prompt import AnswerFormat, Prompt, Received

_INTERLEAVED = "interleaved-thinking"
_keys = msgspec.json.Decoder(dict[str, msgspec.Raw])
_Record = TypeVar("_Record")


def decode_body(received: Received, record: type[_Record]) -> _Record:
    """A body as its record.

    Raises:
        Refused: it is not what the record says.
    """
    try:
        body: _Record = invalid.decode(received.body, record)
    except invalid.Invalid as error:
        raise problem_words(error.problem, received.body, record) from None
    return body


def decode_messages_request(
    received: Received,
    record: type[wire.Countable] = wire.MessagesRequest,
    *,
    dialect: str,
    strict: bool,
    api_key: str | None = None,
) -> Prompt:
    """What a request for a message, or for the count of its tokens, asks.

    Args:
        received: the request.
        record: which of the two it is.
        dialect: the name that the prompt shall bear.
        strict: also refuse unknown arguments and versions, and a conversation that the assistant
            begins.
        api_key: the API key that the request bears.

    Raises:
        Refused: the request is not what the API takes.
    """
    check_version(received, strict=strict)
    request: Any = decode_body(received, record)
    # A body that decodes is an object, and one pass over its keys costs next to nothing.
    known = record.__struct_fields__
    names = _keys.decode(received.body)
    unknown = tuple(name for name in names if name not in known)
    if strict:
        _check_strictly(request, unknown)
    check_removed(received, names, request)
    tools = kit.offered(request.tools or ())
    _check_combinations(request, received)
    choice = kit.chosen(request, tools)
    messages = (*decode_system(request.system), *decode_messages(request.messages))
    check_cache_marks(_blocks(request))
    return Prompt(
        dialect=dialect,
        endpoint="messages",
        model=request.model,
        messages=messages,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=kit.parallel(request),
        format=_answer_format(request),
        reasoning_effort=_effort(request),
        unknown=unknown,
        api_key=api_key,
        received=received,
        wire=request,
        **_bounds(request),
    )


def _effort(request: wire.Countable) -> str | None:
    """How much is to be thought; nothing, where thinking is turned off."""
    if request.output_config is None or isinstance(request.thinking, wire.DisabledThinking):
        return None
    return request.output_config.effort


def _bounds(request: wire.Countable) -> dict[str, Any]:
    """What only a request for an answer has."""
    if not isinstance(request, wire.MessagesRequest):
        return {}
    return {
        "stream": bool(request.stream),
        "max_tokens": request.max_tokens,
        "stop": tuple(request.stop_sequences or ()),
    }


def _check_strictly(request: wire.Countable, unknown: tuple[str, ...]) -> None:
    if unknown:
        raise refuse(f"{shown(unknown[0])}: Extra inputs are not permitted")
    if request.messages and isinstance(request.messages[0], wire.AssistantMessage):
        raise refuse('messages: first message must use the "user" role')


def _check_combinations(request: wire.Countable, received: Received) -> None:
    names = [tool.name for tool in request.tools or () if tool.name is not None]
    if len(set(names)) != len(names):
        raise refuse("tools: Tool names must be unique.")
    thinking = request.thinking
    if isinstance(thinking, wire.EnabledThinking):
        _check_budget(request, thinking.budget_tokens, received)
        if isinstance(request.tool_choice, wire.AnyChoice | wire.ToolChoice):
            raise refuse("Thinking may not be enabled when tool_choice forces tool use.")
    if isinstance(request, wire.MessagesRequest):
        for index, sequence in enumerate(request.stop_sequences or ()):
            if not sequence.strip():
                raise refuse(
                    f"stop_sequences.{index}: each stop sequence must contain non-whitespace"
                )


def _check_budget(request: wire.Countable, budget: int, received: Received) -> None:
    if not isinstance(request, wire.MessagesRequest):
        return
    interleaved = _INTERLEAVED in received.headers.get("anthropic-beta", "")
    if request.max_tokens <= budget and not interleaved:
        raise refuse(
            "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our "
            "documentation at https://docs.claude.com/en/docs/build-with-claude/"
            "extended-thinking#max-tokens-and-context-window"
        )
    if request.temperature not in (None, 1):
        raise refuse(
            "`temperature` may only be set to 1 when thinking is enabled. Please consult our "
            "documentation at https://docs.claude.com/en/docs/build-with-claude/"
            "extended-thinking#important-considerations-when-using-extended-thinking"
        )


def _blocks(request: wire.Countable) -> Iterable[Any]:
    """All that can mark where the prompt's cached part ends."""
    yield from request.tools or ()
    if isinstance(request.system, list):
        yield from request.system
    for message in request.messages:
        yield from blocks_of(message)


def _answer_format(request: wire.Countable) -> AnswerFormat:
    config = request.output_config
    declared = (config.format if config else None) or request.output_format
    if declared is None:
        return AnswerFormat()
    return AnswerFormat(kind="json_schema", schema=declared.schema)
