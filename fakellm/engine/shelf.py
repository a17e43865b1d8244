"""What is kept between requests, for those that ask for it again: bounded, per server."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from fakellm.model.timeline import Amend, Keep

KEPT_AT_MOST = 10_000
"""Things of each kind; the oldest go first."""


class Shelf:
    """Keeps things by kind and key; a `fakellm.model.asked.Kept`.

    Args:
        at_most: things of each kind.
    """

    def __init__(self, at_most: int = KEPT_AT_MOST) -> None:
        self._at_most = at_most
        self._kinds: dict[str, OrderedDict[str, Any]] = {}

    def put(self, keep: Keep | Amend) -> None:
        """Keep a thing, in the place of one that has its key, or forget that."""
        if isinstance(keep, Amend):
            keep = Keep(keep.kind, keep.key, keep.change(self.get(keep.kind, keep.key)))
        things = self._kinds.setdefault(keep.kind, OrderedDict())
        if keep.value is None:
            things.pop(keep.key, None)
            return
        things[keep.key] = keep.value
        if len(things) > self._at_most:
            things.popitem(last=False)

    def get(self, kind: str, key: str) -> Any:
        """The thing, or ``None``."""
        things = self._kinds.get(kind)
        return None if things is None else things.get(key)

    def all(self, kind: str) -> Sequence[tuple[str, Any]]:
        """All things of a kind with their keys, the oldest first."""
        return list(self._kinds.get(kind, OrderedDict()).items())

    def clear(self) -> None:
        """Forget all things."""
        self._kinds.clear()
