"""What stops a schema from an untrusted client: one error, one budget of work, a few bounds.

Nothing here may know what a schema means.
"""

import json
from typing import Any

MAX_NESTING = 128
"""Levels of JSON in a schema, its enums and constants included."""

MAX_SCHEMAS = 10_000
"""Subschemas in a schema."""

MAX_DEPTH = 64
"""Levels of objects and arrays in a made value."""

MAX_ITEMS = 5_000
"""Items of a made array, and properties of a made object."""

MAX_CHARACTERS = 100_000
"""Characters of a made string."""

MAX_NODES = 20_000
"""Values, on all levels together, in a made value."""

MAX_TOTAL_CHARACTERS = 1_000_000
"""Characters in all strings and names of a made value together."""

MAX_MAGNITUDE = 10**300
"""The largest number read or made: within a double, so that checks may divide."""

MAX_WORK = 300_000
"""Steps of work for one value (see `Work`): a few seconds at the worst, milliseconds as a rule."""

_SHOWN_CHARACTERS = 60


class UnusableSchema(ValueError):
    """A schema from which no value can be made.

    Attributes:
        path: where in the schema, such as ``properties.age.minimum``; empty for the whole of it.
        reason: what is wrong there, for a person to read.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.path = path
        self.reason = reason


class WorkSpentError(Exception):
    """The budget of work is used up."""


class Work:
    """A budget of steps; one step is about a microsecond or ten, never more.

    Steps are counted rather than seconds, so that the same schema ends the same way everywhere.
    """

    def __init__(self, budget: int = MAX_WORK) -> None:
        self._left = budget

    def spend(self, steps: int = 1) -> None:
        """Use up some of the budget.

        Raises:
            WorkSpentError: there is none left.
        """
        self._left -= steps
        if self._left < 0:
            raise WorkSpentError


def join(path: str, *parts: object) -> str:
    """A path further down; long names are cut."""
    return ".".join([*([path] if path else []), *(str(part)[:_SHOWN_CHARACTERS] for part in parts)])


def shown(value: Any) -> str:
    """A JSON value for a message, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
