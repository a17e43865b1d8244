"""How a client stands with the limits it is under: what dialects word, in headers and refusals."""

from typing import Literal

from msgspec import Struct

Unit = Literal["requests", "tokens"]


class Standing(Struct, frozen=True, kw_only=True):
    """One limit, after a request was charged to it.

    ``limit`` units in each ``window`` seconds, of which ``remaining`` are left; after ``reset``
    seconds without a request all of them are.
    """

    unit: Unit
    limit: int
    window: float
    remaining: int
    reset: float


class Exceeded(Struct, frozen=True, kw_only=True):
    """A limit that lets a request not pass now.

    ``requested`` units are more than what is left of ``limit`` in each ``window`` seconds, of which
    ``used`` are in use. A client that waits ``retry_after`` seconds passes, if nobody else comes
    before it; ``None``: it never will, as it asks for more than the limit itself.
    """

    unit: Unit
    limit: int
    window: float
    used: int
    requested: int
    retry_after: float | None
