"""Names that are so alike that one may be a slip for another, found without comparing them all."""

import re
from collections.abc import Iterable

_SHORTEST = 4
_LONGEST = 100
_DIGITS = re.compile(r"\d+")
_SEPARATORS = re.compile(r"[\W_]+")


class Likenesses:
    """Tells which of some names are very like another one.

    Names are alike if they differ in the case, in what separates words, or by one letter that is
    missing, added, changed or has changed places with its neighbour. Names that differ in their
    numbers alone are different on purpose.

    Args:
        names: in the order in which they are to be found.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._by_trace: dict[str, list[str]] = {}
        for name in names:
            for trace in _traces(name):
                self._by_trace.setdefault(trace, []).append(name)

    def like(self, name: str) -> str | None:
        """The first name that is very like another one, but not the same."""
        for trace in _traces(name):
            for other in self._by_trace.get(trace, ()):
                if other != name and _DIGITS.sub("", other) != _DIGITS.sub("", name):
                    return other
        return None


def _traces(name: str) -> list[str]:
    """Texts of which names that are alike have one in common."""
    folded = _SEPARATORS.sub("", name.casefold()[:_LONGEST])
    if len(folded) < _SHORTEST:
        return [folded] if folded else []
    shorter = (folded[:at] + folded[at + 1 :] for at in range(len(folded)))
    return [folded, *dict.fromkeys(shorter)]
