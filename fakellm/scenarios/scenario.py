"""One document to a scenario, or to a reply: its settings, what it includes, its rules.

Reads no files: what a document names is handed on, with where it is named.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct, structs

from fakellm.scenarios import schema
from fakellm.scenarios.checks import Checker
from fakellm.scenarios.conduct_checks import Named
from fakellm.scenarios.loaded import LoadedRule
from fakellm.scenarios.mistakes import Mistake, Position, kind_of
from fakellm.scenarios.places import Place
from fakellm.scenarios.records import Read, read, unknown_key
from fakellm.scenarios.yaml_text import HOLE
from fakellm.timing.distributions import ReadText
from fakellm.timing.durations import BadDuration
from fakellm.timing.pace import TimingSpec, with_files_read

IGNORED = "x-"
"""What the keys at the top begin with that are there for anchors only."""

_KEYS = schema.Scenario.__struct_encode_fields__
_DEFAULTS_OF_RULES = ("priority", "then", "times", "timing", "faults", "hold")
_SECTIONS = schema.Sections.__struct_encode_fields__

CheckFile = Callable[[Place, Path, str, Position], None]
"""Is handed a path, the folder it is relative to, and where it is named."""

ReadFile = Callable[[Path, str], schema.Reply]
"""Gives the reply that a path, relative to a folder, names."""


class Found(Struct, frozen=True, kw_only=True):
    """What a document says; what is wrong in it is left out."""

    settings: schema.Settings = schema.Settings()
    includes: tuple[tuple[str, Position], ...] = ()
    rules: tuple[LoadedRule, ...] = ()
    named: tuple[Named, ...] = ()


def read_scenario(
    place: Place,
    folder: Path,
    *,
    check_file: CheckFile,
    read_file: ReadFile,
    read_text: ReadText,
) -> Found:
    """Read a scenario; its mistakes are noted in the document.

    Args:
        place: of the whole document.
        folder: what the paths in it are relative to.
        check_file: is handed each ``file:`` of a reply.
        read_file: is what the rules read such a file with, later.
        read_text: reads the files of samples.
    """
    reader = _Reader(place, partial(check_file, place, folder), read_text)
    match place.value:
        case dict():
            for key in place.value:
                if key not in _KEYS and not key.startswith(IGNORED):
                    place.complain(place.spot.key_at((key,)), unknown_key(key, list(_KEYS)))
        case None:
            place.document.mistakes.append(
                Mistake(place.file, 1, 1, "there is nothing in this file", "warning")
            )
            return Found()
        case _:
            if place.value is not HOLE:
                what = kind_of(place.value)
                place.complain(place.at(), f"expected a mapping with the key `rules`, not {what}")
            return Found()
    settings = reader.settings()
    defaults = reader.record("defaults", schema.Defaults, Checker.defaults)
    return Found(
        settings=settings,
        includes=tuple(reader.includes()),
        rules=tuple(
            LoadedRule(
                rule=_read_timing(_with_defaults(rule, rule_place.value, defaults), read_text),
                file=place.file,
                line=rule_place.spot.line,
                column=rule_place.spot.column,
                folder=folder,
                defaults=defaults,
                read_file=partial(read_file, folder),
                place=rule_place,
            )
            for rule, rule_place in reader.rules()
        ),
        named=tuple(reader.named),
    )


def read_reply(place: Place, folder: Path, *, check_file: CheckFile) -> schema.Reply:
    """Read a document that is a reply; its mistakes are noted in the document.

    Args:
        place: of the whole document.
        folder: what the paths in it are relative to; those in the reply given are absolute.
        check_file: is handed each ``file:`` in the reply.
    """
    found = read(place.value, schema.Reply, place.spot, place.complain, holes=_has_holes(place))
    if found.record is HOLE:
        return ""
    Checker(place, partial(check_file, place, folder)).reply(found.record)
    reply: schema.Reply = _rooted(found.record, folder)
    return reply


def _has_holes(place: Place) -> bool:
    return bool(place.document.mistakes)


class _Reader:
    """Reads what is under the keys at the top."""

    def __init__(
        self,
        place: Place,
        check_file: Callable[[str, Position], None],
        read_text: ReadText,
    ) -> None:
        self._place = place
        self._check_file = check_file
        self._read_text = read_text
        self.named: list[Named] = []
        self._holes = _has_holes(place)

    def settings(self) -> schema.Settings:
        """The settings, wherever they stand: at the top, or under their key."""
        place = self._place
        there: schema.Settings = self.record("settings", schema.Settings, Checker.settings)
        inside = place.within("settings").value
        written = {name: each for name, each in place.value.items() if name in _SECTIONS}
        for name in written:
            if isinstance(inside, dict) and name in inside:
                spots = [place.spot.key_at(("settings", name)), place.spot.key_at((name,))]
                first, second = sorted(spots)
                place.complain(second, f"`{name}` has been said already, in line {first[0]}")
        top = Place(place.document, place.spot, written, place.file)
        found = self._checked(top, schema.Sections, Checker.sections)
        given = {
            name: value
            for name in _SECTIONS
            if found is not None and (value := getattr(found, name)) is not None
        }
        return _read_timings(structs.replace(there, **given), self._read_text)

    def record(self, key: str, kind: Any, check: Callable[[Checker, Any, Any], None]) -> Any:
        """The record under a key, or an empty one."""
        place = self._place.within(key)
        if place.value is None or place.value is HOLE:
            return kind()
        record = self._checked(place, kind, check)
        return kind() if record is None else record

    def _checked(self, place: Place, kind: Any, check: Callable[[Checker, Any, Any], None]) -> Any:
        found: Read = read(place.value, kind, place.spot, place.complain, holes=self._holes)
        if found.record is HOLE:
            return None
        self._check(place, lambda checker: check(checker, found.record, found.sound))
        return found.record

    def _check(self, place: Place, check: Callable[[Checker], None]) -> None:
        checker = Checker(place, self._check_file, self._read_text)
        check(checker)
        self.named.extend(checker.named)

    def includes(self) -> list[tuple[str, Position]]:
        """The paths that are included, and where they stand."""
        place = self._place.within("include")
        if place.value is None or place.value is HOLE:
            return []
        found = read(
            place.value, str | tuple[str, ...], place.spot, place.complain, holes=self._holes
        )
        if isinstance(found.record, str):
            return [(found.record, place.at())]
        if found.record is HOLE:
            return []
        # One that is no text stands as an empty one, and has been told.
        return [
            (path, place.at((index,)))
            for index, path in enumerate(found.record)
            if isinstance(place.written((index,)), str)
        ]

    def rules(self) -> list[tuple[schema.Rule, Place]]:
        """The rules, and where they stand."""
        rules = self._place.within("rules")
        if rules.value is None or rules.value is HOLE:
            return []
        if not isinstance(rules.value, list):
            rules.complain(rules.at(), f"expected a list of rules, not {kind_of(rules.value)}")
            return []
        found = []
        for index in range(len(rules.value)):
            place = rules.within(index)
            rule = self._checked(place, schema.Rule, Checker.rule)
            if rule is not None:
                found.append((rule, place))
        return found


def _read_timing(holder: Any, read_text: ReadText) -> Any:
    """A record with a ``timing``, whose samples are in it now."""
    if not isinstance(holder.timing, TimingSpec):
        return holder
    return structs.replace(holder, timing=_with_files_read(holder.timing, read_text))


def _with_files_read(timing: Any, read_text: ReadText) -> Any:
    try:
        return with_files_read(timing, read_text)
    except BadDuration:  # which has been told
        return timing


def _read_timings(settings: schema.Settings, read_text: ReadText) -> schema.Settings:
    """Settings with the samples of all their timings in them."""
    changes: dict[str, Any] = {}
    if settings.profiles is not None:
        changes["profiles"] = {
            name: _with_files_read(profile, read_text)
            for name, profile in settings.profiles.items()
        }
    if settings.phases is not None:
        changes["phases"] = tuple(_read_timing(each, read_text) for each in settings.phases)
    read: schema.Settings = structs.replace(_read_timing(settings, read_text), **changes)
    return read


def _with_defaults(rule: schema.Rule, written: Any, defaults: schema.Defaults) -> schema.Rule:
    changes = {
        name: getattr(defaults, name)
        for name in _DEFAULTS_OF_RULES
        if written.get(name) is None and getattr(defaults, name) is not None
    }
    return structs.replace(rule, **changes) if changes else rule


def _rooted(reply: Any, folder: Path) -> Any:
    """A reply, or a part of one, with the paths of its files made absolute."""
    match reply:
        case tuple():
            return tuple(_rooted(part, folder) for part in reply)
        case schema.ReplySpec(parts=tuple() as parts):
            return structs.replace(reply, parts=_rooted(parts, folder))
        case schema.PartSpec(file=str() as file):
            return structs.replace(reply, file=str((folder / file).absolute()))
    return reply
