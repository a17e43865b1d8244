"""What is kept between requests, for those that ask for it again: bounded, per server.

Bounded in number and in bytes; what was put there longest ago goes first. Sizes are estimates, as
the true ones take longer to find out than an answer takes to make.
"""

from array import array
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec

from fakellm.model.timeline import Amend, Keep

THINGS_AT_MOST = 10_000
BYTES_AT_MOST = 64 * 1024**2

_OF_A_THING = 1024
_OF_A_BYTE = 4  # Python's objects take so many times what they take when packed, or more


class Shelf:
    """Keeps things by kind and key; a `fakellm.model.asked.Kept`.

    Args:
        at_most: things, of all kinds.
        at_most_bytes: what they may take, about; what takes more alone is not kept at all.

    Attributes:
        bytes: what they take, about.
    """

    def __init__(
        self, at_most: int = THINGS_AT_MOST, *, at_most_bytes: int = BYTES_AT_MOST
    ) -> None:
        self._at_most = at_most
        self._at_most_bytes = at_most_bytes
        self._kinds: dict[str, dict[str, Any]] = {}
        self._sizes: OrderedDict[tuple[str, str], int] = OrderedDict()  # what goes first, first
        self.bytes = 0

    def put(self, keep: Keep | Amend) -> None:
        """Keep a thing, in the place of one that has its key, or forget that."""
        if isinstance(keep, Amend):
            keep = Keep(keep.kind, keep.key, keep.change(self.get(keep.kind, keep.key)))
        size = _OF_A_THING if keep.value is None else self._size_of(keep.value)
        if keep.value is None or size > self._at_most_bytes:
            self._forget(keep.kind, keep.key)
            return
        place = keep.kind, keep.key
        self._kinds.setdefault(keep.kind, {})[keep.key] = keep.value
        self.bytes += size - self._sizes.pop(place, 0)
        self._sizes[place] = size
        while len(self._sizes) > self._at_most or self.bytes > self._at_most_bytes:
            self._forget(*next(iter(self._sizes)))

    def get(self, kind: str, key: str) -> Any:
        """The thing, or ``None``."""
        things = self._kinds.get(kind)
        return None if things is None else things.get(key)

    def all(self, kind: str) -> Sequence[tuple[str, Any]]:
        """All things of a kind with their keys, in the order in which they were first put there."""
        return list(self._kinds.get(kind, {}).items())

    def clear(self) -> None:
        """Forget everything."""
        self._kinds.clear()
        self._sizes.clear()
        self.bytes = 0

    def __len__(self) -> int:
        """How many things there are."""
        return len(self._sizes)

    def _forget(self, kind: str, key: str) -> None:
        size = self._sizes.pop((kind, key), None)
        if size is None:
            return
        self.bytes -= size
        del self._kinds[kind][key]

    def _size_of(self, value: object) -> int:
        """About how many bytes a thing takes; one that cannot be told counts as a large one."""
        try:
            return _OF_A_THING + _OF_A_BYTE * len(_packed(value))
        except (TypeError, ValueError, OverflowError, RecursionError):
            return max(_OF_A_THING, self._at_most_bytes // 100)


def _inside(value: object) -> object:
    """What an object that is no value is made of."""
    if isinstance(value, array):
        return memoryview(value)
    slots = getattr(value, "__slots__", None)
    if slots is None:
        return getattr(value, "__dict__", None)
    return [getattr(value, name, None) for name in slots]


_packed = msgspec.msgpack.Encoder(enc_hook=_inside).encode
