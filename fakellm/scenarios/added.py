"""What clients add to the rules of a server or of a session while it runs: records, and bounds."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from fakellm.scenarios.loaded import Loaded
from fakellm.scenarios.rules import CompiledRule

ADDED_AT_MOST = 10_000
"""Rules that are added to a session, or to the server; and those of a scenario that is put."""

Source = Literal["added", "put", "python", "file", "built_in"]
"""Where a rule is from: a client, a scenario that was put, Python, the server's files, or us."""


class TooMany(ValueError):
    """There are too many rules already; its text is one line for the user."""


class Standing(Struct, frozen=True, kw_only=True):
    """A rule in force, where it is from, and whose it is: a session's, or the server's."""

    rule: CompiledRule
    source: Source
    session: str | None = None


class Put(Struct, frozen=True, kw_only=True):
    """A scenario that was put: its text, what that says, and its rules."""

    text: str
    loaded: Loaded
    rules: Sequence[CompiledRule]


class Added:
    """What was added.

    Attributes:
        rules: those of clients by their id, in the order of adding.
        made: those made in Python, likewise.
        put: the scenario, if one was put.
    """

    def __init__(self, made: Sequence[CompiledRule] = ()) -> None:
        self.rules: dict[str, CompiledRule] = {}
        self.made = list(made)
        self.put: Put | None = None

    @property
    def of_scenario(self) -> Sequence[CompiledRule]:
        """The rules of the scenario."""
        return () if self.put is None else self.put.rules

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing."""
        return not self.rules and not self.made and self.put is None

    def all(self) -> Sequence[CompiledRule]:
        """All of them, in the order of trying."""
        return [*self.rules.values(), *self.made, *self.of_scenario]

    def add(self, rule: CompiledRule) -> None:
        """Add a rule.

        Raises:
            TooMany: there are too many.
        """
        if len(self.rules) >= ADDED_AT_MOST:
            raise TooMany(f"there are {ADDED_AT_MOST} added rules already: delete some")
        self.rules[rule.id] = rule

    def put_scenario(self, put: Put) -> None:
        """Put a scenario.

        Raises:
            TooMany: it has too many rules.
        """
        if len(put.rules) > ADDED_AT_MOST:
            raise TooMany(f"a scenario that is put has {ADDED_AT_MOST} rules at the most")
        self.put = put
