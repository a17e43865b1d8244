"""A timeline: what to do to a client's connection, and when."""

from collections.abc import Iterator

from msgspec import Struct


class Head(Struct, frozen=True):
    """Send the status and the headers (names as the vendor writes them)."""

    status: int
    headers: tuple[tuple[str, str], ...]


class Write(Struct, frozen=True):
    """Send bytes of the body."""

    data: bytes


class Finish(Struct, frozen=True):
    """End the body properly."""


class Abort(Struct, frozen=True):
    """Break the connection off."""


Act = Head | Write | Finish | Abort
Cue = tuple[float, Act]
"""An act and the time it is due, in seconds since the request was received."""
Timeline = Iterator[Cue]
