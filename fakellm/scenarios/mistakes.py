"""What is wrong with a scenario, told to a person: the record, the order, the words.

Every text about a mistake is one line and speaks of texts, numbers, lists and mappings, never of
Python or a library. This module knows no YAML and no rules.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from fakellm.spelling import nearest

Severity = Literal["error", "warning"]

Position = tuple[int, int]
"""A line and a column, both from 1 on."""

_SHOWN_AT_MOST = 60


class Mistake(Struct, frozen=True):
    """Something wrong, and where: ``line`` and ``column`` count from 1 on, in characters."""

    file: str
    line: int
    column: int
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        warning = "warning: " if self.severity == "warning" else ""
        return f"{self.file}:{self.line}:{self.column}: {warning}{self.message}"


class BadScenario(ValueError):
    """Scenario files that are wrong.

    Attributes:
        mistakes: all of them and all warnings, in the order of files and lines.
        files: all files that were read, so that a mended one can be noticed.
    """

    def __init__(self, mistakes: Iterable[Mistake], files: Sequence[Path] = ()) -> None:
        self.mistakes = in_order(mistakes)
        self.files = tuple(files)
        super().__init__("\n".join(map(str, self.mistakes)))


def in_order(mistakes: Iterable[Mistake]) -> tuple[Mistake, ...]:
    """Mistakes by file, line and column, each said once."""
    return tuple(
        sorted(set(mistakes), key=lambda each: (each.file, each.line, each.column, each.message))
    )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'X'?"`` for the known word nearest to a wrong one, or ``""``."""
    near = nearest(word, known)
    return "" if near is None else f"; did you mean {near!r}?"


def kind_of(value: Any) -> str:
    """What a value of a file is, in words."""
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "a mapping"


def shown(text: str) -> str:
    """A text of the user's, quoted and cut to a length that fits a line."""
    return repr(text if len(text) <= _SHOWN_AT_MOST else f"{text[:_SHOWN_AT_MOST]}...")


def one_of(words: Sequence[str]) -> str:
    """Words as an enumeration: ``a, b or c``."""
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
