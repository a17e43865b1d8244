"""A timeline: what to do to a client's connection, and when."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec import Struct

from fakellm.model.prompt import Received


class Head(Struct, frozen=True):
    """Send the status and the headers (names as the vendor writes them).

    With ``over`` above 0 its bytes trickle out, in pieces, over so many seconds.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    over: float = 0.0


class Write(Struct, frozen=True):
    """Send bytes of the body.

    ``apart`` keeps them from sharing a TCP segment with what goes before or after. ``token`` marks
    what may be left out of a stream that has to keep up.
    """

    data: bytes
    apart: bool = False
    token: bool = False


class Whole(Struct, frozen=True):
    """An answer that is sent all at once.

    ``lines`` are the fields of its head, each with the end of the line before it.
    """

    status: int
    lines: bytes
    body: bytes

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The fields of its head, apart."""
        split = (line.partition(": ") for line in self.lines.decode().split("\r\n")[1:])
        return [(name, value) for name, _, value in split]


class Raw(Struct, frozen=True):
    """Send bytes as they are, outside HTTP's framing of the body; ``apart`` is as in `Write`."""

    data: bytes
    apart: bool = False


class Finish(Struct, frozen=True):
    """End the body properly."""


class Close(Struct, frozen=True):
    """Close the connection (FIN) where it is, once what was written is sent."""


class Abort(Struct, frozen=True):
    """Break the connection off (RST), once what was written has reached the client."""


class Hold(Struct, frozen=True):
    """Stand still at a gate of this name until it is opened; all that follows is later by that."""

    gate: str


class Nothing(Struct, frozen=True):
    """Nothing is sent: something was said that goes out later, or nothing ever will be."""


class Shut(Struct, frozen=True):
    """Have new connections turned away for so many ``seconds``.

    ``refused`` ones find nobody listening; others are accepted and closed at once, and of those no
    more than ``connections``, where that is given.
    """

    seconds: float
    refused: bool
    connections: int | None = None


class Keep(Struct, frozen=True):
    """Remember a value of a ``kind`` under a ``key``, for requests to come; ``None`` forgets it."""

    kind: str
    key: str
    value: Any


class Amend(Struct, frozen=True):
    """Keep what ``change`` makes of what is kept (``None``: nothing is), as `Keep` would."""

    kind: str
    key: str
    change: Callable[[Any], Any]


class Await(Struct, frozen=True):
    """Stand still until ``ready`` says so, which is asked every so many ``seconds``."""

    ready: Callable[[], bool]
    seconds: float = 0.01


class Ask(Struct, frozen=True):
    """Have a request answered that no client waits for.

    ``then`` is told the status and the body of the answer, and gives what is to be kept of it.
    """

    received: Received
    then: Callable[[int, bytes], Iterable[Keep | Amend]]


Act = (
    Head | Write | Raw | Finish | Close | Abort | Hold | Nothing | Shut | Keep | Amend | Await | Ask
)
Cue = tuple[float, Act]
"""An act and the time it is due, in seconds since the request was received; may be infinite."""
Timeline = Iterator[Cue]
