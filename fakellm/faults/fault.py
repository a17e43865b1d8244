"""Faults ready to strike: values and no more, all that can be wrong with them told already."""

from typing import Literal

from msgspec import Struct

from fakellm.model.reply import Failure

Unit = Literal["tokens", "chunks", "bytes", "seconds"]


class Position(Struct, frozen=True, kw_only=True):
    """A place in an answer: right after so many of a unit."""

    unit: Unit
    amount: float


class Fault(Struct, frozen=True, kw_only=True):
    """A fault, or a gate (by the name ``hold``), and when it applies.

    What is said of one is in the field of its sort, and the other fields mean nothing.

    Attributes:
        name: one of `fakellm.faults.spec.FAULTS`, or ``hold``.
        after: where; without it, at the beginning, or wherever it can be.
        before_end: a gate before the last chunk.
        seconds: a delay, a length or a gap, not divided by any speed; may be infinite.
        number: a status, a number of bytes or tokens, or a rate in bytes a second.
        text: a kind of line end, a comment, a content type, or the name of a gate.
        all: what is done to a chunk is done to all that follow.
        failure: the error that is answered, with its headers.
        connections: how many of them at the most.
        probability: from 0 to 1; ``None`` is certain.
        times: how often in a session, at the most.
        on_attempt: only at these attempts at a conversation, from 1.
    """

    name: str
    after: Position | None = None
    before_end: bool = False
    seconds: float | None = None
    number: float | None = None
    text: str = ""
    all: bool = False
    failure: Failure | None = None
    connections: int | None = None
    probability: float | None = None
    times: int | None = None
    on_attempt: frozenset[int] | None = None
