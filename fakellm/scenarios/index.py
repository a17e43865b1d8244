"""Which rules of many are worth trying for a request.

Use `RuleIndex` to skip, by a dictionary, the rules that ask for another text than the one there is.
It must never change which rule comes first.
"""

from collections.abc import Iterable, Iterator

from fakellm.scenarios.facts import Facts
from fakellm.scenarios.matching import EQUALITIES, Matcher


class RuleIndex:
    """An index over the matchers of rules, which come in their final order."""

    def __init__(self, matchers: Iterable[Matcher]) -> None:
        self._others: list[int] = []
        by_name: dict[str, dict[str | None, list[int]]] = {}
        for position, matcher in enumerate(matchers):
            if matcher.equality is None:
                self._others.append(position)
            else:
                name, text = matcher.equality
                by_name.setdefault(name, {}).setdefault(text, []).append(position)
        self._equal = [(EQUALITIES[name], by_text.get) for name, by_text in by_name.items()]

    def candidates(self, facts: Facts) -> Iterator[int]:
        """The positions, in order, of all rules but those whose text is not there."""
        equal = [position for get, at in self._equal for position in at(get(facts), ())]
        return iter(sorted(self._others + equal) if equal else self._others)
