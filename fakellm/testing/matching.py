"""Which requests are meant, by name: the conditions of rules, and what only a journal knows."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from fakellm.journal.matches import Match
from fakellm.journal.records import Ended
from fakellm.scenarios import schema
from fakellm.scenarios.words import Conditions, checked


class Matching(Conditions, total=False):
    """The conditions of a match, as `fakellm.journal.matches.Match` has them."""

    id: str
    path: schema.TextRule
    text: schema.TextRule
    rule: schema.TextRule
    status: schema.NumberRule
    fault: schema.TextRule
    ended: Ended | Sequence[Ended]
    after: int


class Filters(TypedDict, total=False):
    """Which requests are listed.

    ``*`` in the name of a ``model`` stands for anything; ``status`` is one, or a class such as
    ``"4xx"``. ``rule`` is the title of one, ``text`` is in a message or in the answer, and
    ``after`` is the number of a request.
    """

    dialect: str
    endpoint: str
    model: str
    status: int | str
    rule: str
    text: str
    after: int


def match_of(conditions: Mapping[str, Any]) -> Match:
    """A match.

    Raises:
        TypeError: a condition has a name that none has, or a value that none takes.
    """
    match: Match = checked(conditions, Match, "a match")
    return match
