"""What the contract suite wants of a dialect, and what it reads of an answer, in nobody's words."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from fakellm.dialects.framing import SseEvent, SseParser
from fakellm.interfaces import IDialect
from fakellm.model.reply import FinishReason
from fakellm.model.timeline import Head

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"number": {"type": "integer"}},
    "required": ["number"],
    "additionalProperties": False,
}
CALL_ID = "call_1"
ARGUMENTS = '{"city": "Paris"}'
RESULT = "sunny"


class Wanted(Struct, frozen=True, kw_only=True):
    """What to ask for.

    ``tools`` are functions on offer; ``looped`` says that the first was called with `ARGUMENTS`
    under `CALL_ID`, and gave `RESULT`.
    """

    text: str = "Say something"
    stream: bool = False
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    looped: bool = False
    schema: Mapping[str, Any] | None = None


class Said(Struct, frozen=True, kw_only=True):
    """What an answer says; ``error`` is the message of one, alone or in mid-stream.

    ``calls`` are names and arguments. ``finish`` is in the vendor's own words, ``usage`` the tokens
    of the prompt and of the completion, where they are told.
    """

    text: str = ""
    refusal: str = ""
    reasoning: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    finish: str | None = None
    usage: tuple[int, int] | None = None
    error: str | None = None


class Adapter(Protocol):
    """A dialect as the contract suite knows it.

    Attributes:
        dialect: the codec.
        path: where it answers; ``query`` and ``headers`` go with every request.
        can: which scenarios it has: ``tools``, ``format``, ``reasoning``, ``refusal``, ``stop``.
        finish: its words for the reasons to end.
    """

    dialect: IDialect
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    can: frozenset[str]
    finish: Mapping[FinishReason, str]

    def body(self, wanted: Wanted) -> dict[str, Any]:
        """The request."""

    def whole(self, body: bytes) -> Said:
        """What an answer that is not streamed says; its types are checked."""

    def streamed(self, body: bytes) -> Said:
        """What a stream says; its types and its end are checked."""

    def error(self, head: Head, body: bytes) -> str:
        """The message of an answer that is an error; its shape is checked."""


def events_of(body: bytes) -> Sequence[SseEvent]:
    """The events of a stream."""
    return SseParser().feed(body)


def data_of(events: Sequence[SseEvent]) -> Iterator[Any]:
    """The JSON of events."""
    return (json.loads(event.data) for event in events)
