"""Faults, as they are written in files and headers: records and no more.

A fault is one of the keys of `FaultSpec`, with when it applies beside it. Where a fault takes just
one value, that stands for the record; ``true`` stands for one with nothing to say.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

from fakellm.timing.distributions import ConstantSpec


class BadFault(ValueError):
    """A fault that cannot be.

    Attributes:
        path: where in the fault as it was written: the keys that lead to what is wrong.
        reason: what is wrong, one line for the user.
    """

    def __init__(self, path: tuple[str | int, ...], reason: str) -> None:
        super().__init__(f"{'.'.join(map(str, path))}: {reason}" if path else reason)
        self.path = path
        self.reason = reason


class After(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A position in an answer: exactly one of these."""

    tokens: Annotated[
        Annotated[int, Meta(ge=0)] | None, Meta(description="So many tokens, of all choices.")
    ] = None
    chunks: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="So many chunks of the stream; an answer that is none has one."),
    ] = None
    bytes: Annotated[
        Annotated[int, Meta(ge=0)] | None, Meta(description="So many bytes of the body.")
    ] = None
    seconds: Annotated[
        ConstantSpec | None, Meta(description="So much time since the request was received.")
    ] = None


AfterSpec = Annotated[int, Meta(ge=0)] | str | After
"""A bare number is a number of chunks, a text such as ``2s`` a time."""


class PointFault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A fault at one place; without ``after``, at the very beginning."""

    after: Annotated[AfterSpec | None, Meta(description="Where in the answer.")] = None


class ErrorFault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An error in the vendor's words; what is left out is worded as the vendor words the status."""

    status: Annotated[int, Meta(ge=400, le=599, description="The HTTP status, from 400 to 599.")]
    message: Annotated[str | None, Meta(description="What went wrong, in words.")] = None
    type: Annotated[str | None, Meta(description="The sort of error.")] = None
    code: Annotated[str | None, Meta(description="The code of the error.")] = None
    param: Annotated[str | None, Meta(description="The parameter that is to blame.")] = None
    headers: Annotated[Mapping[str, str], Meta(description="Headers of the answer.")] = {}
    retry_after: Annotated[
        ConstantSpec | None,
        Meta(description="Sent as `Retry-After` and `retry-after-ms`."),
    ] = None
    after: Annotated[
        AfterSpec | None,
        Meta(description="Where in the answer; without it, instead of the answer."),
    ] = None


class StallFault(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True,
    rename={"for_": "for"},
):  # fmt: skip
    """Silence in the answer."""

    after: Annotated[AfterSpec | None, Meta(description="Where in the answer.")] = None
    for_: Annotated[ConstantSpec | None, Meta(description="How long; without it, for ever.")] = None


class DoorFault(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True,
    rename={"for_": "for"},
):  # fmt: skip
    """What becomes of connections that come next, once this one was closed without an answer."""

    for_: Annotated[ConstantSpec, Meta(description="How long.")] = 1.0
    connections: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="How many of them at the most (`hang_up` only)."),
    ] = None


class MalformedFault(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """JSON that ends too early."""

    after: Annotated[AfterSpec | None, Meta(description="Which chunk: the one after this.")] = None
    all: Annotated[bool, Meta(description="Every chunk from there on.")] = False


class SplitFault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A chunk sent in two TCP segments."""

    after: Annotated[
        AfterSpec | None, Meta(description="The one chunk after this; without it, every chunk.")
    ] = None
    at: Annotated[
        int | None,
        Meta(description="So many bytes into it; negative: from its end; without it, its middle."),
    ] = None
    gap: Annotated[ConstantSpec, Meta(description="The time between the two.")] = 0


class GapFault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Pieces with time between them."""

    gap: Annotated[ConstantSpec, Meta(description="The time between two pieces.")] = 0


class CommentsFault(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Comment lines between the events of a stream."""

    text: Annotated[str, Meta(description="What they say.")] = "keep-alive"
    every: Annotated[
        ConstantSpec | None,
        Meta(
            description="One whenever so much time has passed; without it, one before each event."
        ),
    ] = None


class LengthFault(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A wrong ``Content-Length``."""

    by: Annotated[int, Meta(description="So many bytes more than there are; negative: fewer.")]


class OversizedFault(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """An answer far larger than asked for."""

    tokens: Annotated[
        int, Meta(ge=1, le=10_000_000, description="So many tokens more than there are.")
    ] = 10_000


Yes = Literal[True]


class FaultKinds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Everything that can go wrong: exactly one of these."""

    # before the answer
    error: Annotated[
        int | ErrorFault | None,
        Meta(description="An error in the vendor's words, instead of the answer or in its middle."),
    ] = None
    html_error: Annotated[
        Annotated[int, Meta(ge=400, le=599)] | None,
        Meta(description="An HTML page with this status, as a proxy would send it."),
    ] = None
    hang: Annotated[bool | None, Meta(description="No answer at all.")] = None
    delay: Annotated[ConstantSpec | None, Meta(description="All of it comes later by this.")] = None
    slow_head: Annotated[
        ConstantSpec | None, Meta(description="Status and headers trickle in over this time.")
    ] = None
    hang_up: Annotated[
        bool | DoorFault | None,
        Meta(description="The connection is closed, and those that come next are closed at once."),
    ] = None
    refuse: Annotated[
        bool | DoorFault | None,
        Meta(description="The connection is reset, and for a while nobody listens."),
    ] = None
    # in mid-stream
    stall: Annotated[bool | StallFault | None, Meta(description="Silence, for a time or ever.")] = (
        None
    )
    close: Annotated[
        bool | PointFault | None, Meta(description="The connection is closed (FIN).")
    ] = None
    reset: Annotated[
        bool | PointFault | None, Meta(description="The connection is reset (RST).")
    ] = None
    no_finish_reason: Annotated[
        bool | None, Meta(description="The answer ends without a finish reason.")
    ] = None
    no_end: Annotated[
        bool | None,
        Meta(description="A stream ends without its last event, such as `[DONE]`."),
    ] = None
    missing: Annotated[
        bool | PointFault | None, Meta(description="The chunk after this is left out.")
    ] = None
    doubled: Annotated[
        bool | PointFault | None, Meta(description="The chunk after this comes twice.")
    ] = None
    swapped: Annotated[
        bool | PointFault | None,
        Meta(description="The chunk after this comes after the one that follows it."),
    ] = None
    content_filter: Annotated[
        bool | PointFault | None,
        Meta(description="The answer is cut off there with the finish reason `content_filter`."),
    ] = None
    # in the bytes
    malformed: Annotated[
        bool | MalformedFault | None, Meta(description="JSON that ends too early.")
    ] = None
    split: Annotated[
        bool | SplitFault | None, Meta(description="A chunk sent in two TCP segments.")
    ] = None
    byte_by_byte: Annotated[
        bool | GapFault | None, Meta(description="Every byte in a TCP segment of its own.")
    ] = None
    split_characters: Annotated[
        bool | GapFault | None,
        Meta(description="Characters of several bytes are cut, across HTTP chunks and segments."),
    ] = None
    line_ends: Annotated[
        Literal["crlf", "cr"] | None, Meta(description="Lines of a stream end otherwise.")
    ] = None
    comments: Annotated[
        bool | CommentsFault | None, Meta(description="Comment lines between events.")
    ] = None
    no_space: Annotated[bool | None, Meta(description="`data:` without its space.")] = None
    multi_line: Annotated[
        bool | None, Meta(description="The data of an event in several `data:` lines.")
    ] = None
    unknown_fields: Annotated[
        bool | None, Meta(description="Fields in events that no standard knows.")
    ] = None
    bom: Annotated[bool | None, Meta(description="A byte order mark before all.")] = None
    content_type: Annotated[str | None, Meta(description="A wrong content type.")] = None
    content_length: Annotated[
        Literal["long", "short"] | LengthFault | None,
        Meta(description="A wrong `Content-Length`; the connection is closed after the body."),
    ] = None
    broken_chunks: Annotated[
        bool | PointFault | None,
        Meta(description="HTTP's chunked coding goes wrong after this."),
    ] = None
    bad_gzip: Annotated[
        bool | None, Meta(description="A body that says it is gzip, and is broken.")
    ] = None
    throttle: Annotated[
        Annotated[float, Meta(gt=0)] | None, Meta(description="So many bytes a second.")
    ] = None
    oversized: Annotated[
        bool | OversizedFault | None, Meta(description="Far more tokens than asked for.")
    ] = None


FAULTS: tuple[str, ...] = FaultKinds.__struct_fields__
"""The names of all faults."""


class FaultSpec(FaultKinds, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fault, and when it applies."""

    probability: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None,
        Meta(description="How likely it is, from 0 to 1; without it, certain."),
    ] = None
    times: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="How often it happens, in a session."),
    ] = None
    on_attempt: Annotated[
        int | tuple[int, ...] | None,
        Meta(description="Only at this attempt at the same conversation, or at these."),
    ] = None


FaultItem = str | FaultSpec
"""A fault by its record, or in short: ``reset after 3``, ``stall 10s after 5 tokens``, ``hang``."""


class HoldSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A gate in an answer: it stands still there until the gate is opened."""

    gate: Annotated[str, Meta(description="The name of the gate.")]
    after: Annotated[
        AfterSpec | None, Meta(description="Where in the answer; without it, before its head.")
    ] = None
    before: Annotated[
        Literal["head", "end"] | None, Meta(description="Before the head, or the last chunk.")
    ] = None


HoldItem = str | HoldSpec
"""A gate before the head by its name, or a gate anywhere."""
