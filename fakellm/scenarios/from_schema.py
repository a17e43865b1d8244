"""Temporary stand-in; the real module replaces this file."""

import random
from typing import Any


class UnusableSchema(ValueError):
    """A schema."""


def make_value(schema: Any, chance: random.Random) -> Any:
    """Make."""
    return {"x": chance.randint(1, 9), "s": str(schema)[:0]}
