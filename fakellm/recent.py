"""A bounded memory that forgets what has not been used for longest."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class Recent(Generic[_Key, _Value]):
    """A mapping by session and key that forgets what has not been used for longest.

    Args:
        default: the value of a key that is not there.
        at_most: how many keys it keeps.
    """

    def __init__(self, default: _Value, at_most: int) -> None:
        self._default = default
        self._at_most = at_most
        self._values: OrderedDict[tuple[str, _Key], _Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, session: str, key: _Key) -> _Value:
        """The value; one that is there is the most recently used now."""
        found = session, key
        if found not in self._values:
            return self._default
        self._values.move_to_end(found)
        return self._values[found]

    def set(self, session: str, key: _Key, value: _Value) -> None:
        """Keep a value; it is the most recently used now."""
        self._values[session, key] = value
        self._values.move_to_end((session, key))
        if len(self._values) > self._at_most:
            self._values.popitem(last=False)

    def of(self, session: str) -> dict[_Key, _Value]:
        """All that is kept of a session, what was used last at the end."""
        return {key: value for (owner, key), value in self._values.items() if owner == session}

    def forget(self, session: str) -> None:
        """Drop all keys of a session."""
        for found in [found for found in self._values if found[0] == session]:
            del self._values[found]
