"""Messages for tests: events encoded, and checked as strictly as the SDK's types can."""

import json
from collections.abc import Iterable
from typing import Any

from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.shared import ErrorResponse
from pydantic import BaseModel, TypeAdapter

from fakellm.dialects.anthropic.messages import AnthropicMessages
from fakellm.dialects.framing import SseParser
from fakellm.model.content import SaidPart
from fakellm.model.events import (
    Begin,
    ChoiceBegin,
    ChoiceEnd,
    End,
    Event,
    PartBegin,
    PartEnd,
    Token,
)
from fakellm.model.framing import DEFAULT_FRAMING, Framing
from fakellm.model.prompt import Prompt
from fakellm.model.reply import FinishReason, Usage
from fakellm.model.stamp import Stamp
from fakellm.model.timeline import Act, Finish, Head, Write
from tests.undeclared import undeclared

CREATED = 1_767_225_600  # 2026-01-01T00:00:00Z


def stamp(number: int = 1) -> Stamp:
    return Stamp(seed=0, number=number, created=CREATED, fingerprint="fp_test")


def encoded(
    prompt: Prompt, events: Iterable[Event], framing: Framing = DEFAULT_FRAMING
) -> list[Act]:
    """The acts of an answer."""
    encoder = AnthropicMessages().encoder(prompt, stamp(), framing)
    return [act for event in events for act in encoder.encode(event)]


def body_of(acts: Iterable[Act]) -> bytes:
    """What is written between one head and one finish."""
    head, *writes, finish = acts
    assert isinstance(head, Head), head
    assert isinstance(finish, Finish), finish
    data = [write.data for write in writes if isinstance(write, Write)]
    assert len(data) == len(writes), writes
    return b"".join(data)


def choice(
    *said: tuple[SaidPart, Iterable[str]],
    index: int = 0,
    reason: FinishReason = "stop",
    stop: str | None = None,
) -> list[Event]:
    """The events of a choice: parts, and the tokens each is said in."""
    events: list[Event] = [ChoiceBegin(choice=index, parts=tuple(part for part, _ in said))]
    for number, (part, tokens) in enumerate(said):
        events.append(PartBegin(choice=index, part=number, content=part))
        events += [Token(index, number, text) for text in tokens]
        events.append(PartEnd(choice=index, part=number))
    return [*events, ChoiceEnd(choice=index, finish_reason=reason, stop=stop)]


def answer(*events: Event, usage: Usage | None = None) -> list[Event]:
    """The events of an answer."""
    usage = usage or Usage(prompt=3, completion=2)
    begun = Begin(model="fake", prompt_tokens=usage.prompt, cached_tokens=usage.cached)
    return [begun, *events, End(usage=usage)]


def events_of(body: bytes) -> list[tuple[str, dict[str, Any]]]:
    """The events of a stream, each of which has its name in its data too."""
    found = [(event.event, json.loads(event.data)) for event in SseParser().feed(body)]
    assert all(name == data["type"] for name, data in found), found
    return found


_event: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def strictly(kind: type[BaseModel], body: bytes | str) -> Any:
    """A body that is exactly what the SDK's type declares."""
    found = kind.model_validate_json(body, strict=True)
    assert not [*undeclared(found)], [*undeclared(found)]
    return found


def message(body: bytes | str) -> Message:
    found: Message = strictly(Message, body)
    return found


def error(body: bytes | str) -> ErrorResponse:
    found: ErrorResponse = strictly(ErrorResponse, body)
    return found


def reassembled(body: bytes) -> dict[str, Any]:
    """The message that the SDK makes of a stream, whose events are what its types declare."""
    whole: Any = None
    buffers: dict[int, bytes] = {}
    for name, data in events_of(body):
        if name == "ping":
            assert data == {"type": "ping"}
            continue
        event = _event.validate_json(json.dumps(data), strict=True)
        assert not [*undeclared(event)], [*undeclared(event)]
        whole = accumulate_event(event=event, current_snapshot=whole, json_bufs=buffers)
    assert name == "message_stop", name
    found: dict[str, Any] = message(whole.to_json()).to_dict()
    return found
