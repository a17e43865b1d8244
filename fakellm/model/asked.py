"""A request that no model answers: it is about what is kept, counted or on offer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from fakellm.model.prompt import Prompt, Received
from fakellm.model.stamp import Stamp


class Kept(Protocol):
    """What `fakellm.model.timeline.Keep` has kept, and was not dropped to make room."""

    def get(self, kind: str, key: str) -> Any:
        """The value, or ``None``."""

    def all(self, kind: str) -> Sequence[tuple[str, Any]]:
        """All keys and values of a kind, the oldest first."""


def _not_counted(_: Prompt) -> int:
    return 0


class Asked(Struct, frozen=True, kw_only=True):
    """A request to an operation.

    ``found`` are the variables of its path, ``models`` the names of those on offer.
    ``count`` tells how many tokens a prompt is billed for. ``strict`` is as in `IDialect.decode`.
    """

    received: Received
    found: Mapping[str, str]
    stamp: Stamp
    kept: Kept
    models: tuple[str, ...]
    count: Callable[[Prompt], int] = _not_counted
    strict: bool = False
