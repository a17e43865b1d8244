"""Rules given as plain data, such as JSON, instead of in a file.

They are checked as those of a file are; mistakes are told by the path of keys that leads to them,
as data has no lines. No file is read: data from outside may name none.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from fakellm.scenarios import schema
from fakellm.scenarios.checks import Checker
from fakellm.scenarios.mistakes import Position
from fakellm.scenarios.places import Path, Place
from fakellm.scenarios.records import read
from fakellm.scenarios.yaml_text import HOLE, LEVELS_AT_MOST, Document, Spot
from fakellm.timing.choice import unknown_profile

NO_FILES = "files can only be named by scenario files"
"""What is said of a file that is named by a text or data from outside."""


class Wrong(Struct, frozen=True, kw_only=True):
    """Something wrong, and where: the keys and indices that lead to it, within what was given."""

    path: Path
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path))}: {self.message}" if self.path else self.message


class BadData(ValueError):
    """Data that is not what it has to be.

    Attributes:
        mistakes: all of them.
    """

    def __init__(self, mistakes: tuple[Wrong, ...]) -> None:
        self.mistakes = mistakes
        super().__init__("; ".join(map(str, mistakes)))


def read_rule(value: Any, profiles: Mapping[str, object]) -> schema.Rule:
    """A rule of the scenario language.

    Args:
        value: plain data, such as decoded JSON.
        profiles: those that its timing may name.

    Raises:
        BadData: it is none; it has every mistake.
    """
    data = _Data(value)
    if data.too_deep is not None:
        message = f"this is nested more than {LEVELS_AT_MOST} levels deep"
        raise BadData((Wrong(path=data.too_deep, message=message),))
    place = data.place
    found = read(value, schema.Rule, place.spot, place.complain)
    if found.record is HOLE:
        raise BadData(data.mistakes())
    checker = Checker(place, lambda _, position: place.complain(position, NO_FILES), _no_samples)
    checker.rule(found.record, found.sound)
    for each in checker.named:
        if each.name not in profiles:
            message = unknown_profile(each.name, profiles)
            place.complain(each.place.at(each.path), message)
    if data.mistakes():
        raise BadData(data.mistakes())
    rule: schema.Rule = found.record
    return rule


def _no_samples(_: str) -> str:
    raise ValueError(NO_FILES)


class _Data:
    """Plain data as a document, in which the number of a line is that of a path.

    Attributes:
        place: where all of it stands.
        too_deep: the path of something that is nested too deeply to be looked at.
    """

    def __init__(self, value: Any) -> None:
        self.too_deep: Path | None = None
        self._paths: list[Path] = []
        spot = self._spot(value, ())
        self.place = Place(Document(value, spot, "", []), spot, value, "")

    def mistakes(self) -> tuple[Wrong, ...]:
        """What is wrong, in the order of the data."""
        found = sorted(self.place.document.mistakes, key=lambda each: each.line)
        wrong = [Wrong(path=self._paths[each.line], message=each.message) for each in found]
        return tuple(dict.fromkeys(wrong))

    def _spot(self, value: Any, path: Path) -> Spot:
        line, column = self._position(path)
        spot = Spot(line, column)
        if len(path) > LEVELS_AT_MOST:
            self.too_deep = path
            return spot
        match value:
            case dict():
                spot.inside = {key: self._spot(each, (*path, key)) for key, each in value.items()}
                spot.keys = {key: each.at() for key, each in spot.inside.items()}
            case list():
                spot.inside = [self._spot(each, (*path, n)) for n, each in enumerate(value)]
        return spot

    def _position(self, path: Path) -> Position:
        self._paths.append(path)
        return len(self._paths) - 1, 1
