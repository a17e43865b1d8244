"""YAML text to plain data that knows where it stands, with all that is wrong with it.

PyYAML only cuts the text into events; data is made here, after the core schema of YAML 1.2:
``yes``, ``on`` and ``12:30`` are texts. Aliases share what they stand for, so that a text of a few
lines cannot become gigabytes. This module knows nothing of scenarios and reads no files.
"""

import re
from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any

import yaml
from msgspec import Struct

from fakellm.scenarios.mistakes import Mistake, Position, did_you_mean, kind_of, shown
from fakellm.scenarios.yaml_words import BAD_ESCAPE, in_plain_words

LEVELS_AT_MOST = 50
CHARACTERS_AT_MOST = 10_000_000
NODES_AT_MOST = 1_000_000

HOLE: Any = type("Hole", (), {"__repr__": lambda _: "HOLE"})()
"""Stands where a value is so wrong that there is none; its mistake has been told."""

PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""What cuts the text into events: libyaml's parser where PyYAML has it, else its own."""

# A whole number of more bits fits no JSON number that is read back as it was written.
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1
_LONGEST_INT = 100

_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_TAG = "tag:yaml.org,2002:"

_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_INTS = (
    (re.compile(r"[-+]?[0-9]+"), 10),
    (re.compile(r"0o[0-7]+"), 8),
    (re.compile(r"0x[0-9a-fA-F]+"), 16),
)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_NUMBER_STARTS = frozenset("+-.0123456789")
_KINDS: dict[str, Any] = {"int": int, "float": (int, float), "bool": bool, "null": type(None)}


class Spot(Struct, eq=False):
    """Where a value and everything in it stands.

    Attributes:
        line: from 1 on.
        column: from 1 on, in characters.
        literal: whether it is a block of text after ``|``, whose lines are those of the file.
        keys: of a mapping, where each key stands.
        inside: the spots of what is in a mapping or a list.
    """

    line: int
    column: int
    literal: bool = False
    keys: dict[str, Position] = {}
    inside: Any = None

    def find(self, path: Sequence[str | int]) -> "Spot":
        """The spot at a path of keys and indices, or the nearest one around where none is."""
        spot = self
        for step in path:
            try:
                spot = spot.inside[step]
            except (LookupError, TypeError):
                break
        return spot

    def at(self, path: Sequence[str | int] = ()) -> Position:
        """Line and column of the value at a path."""
        spot = self.find(path)
        return spot.line, spot.column

    def key_at(self, path: Sequence[str | int]) -> Position:
        """Line and column of the key that a path ends with, or of the value where there is none."""
        around = self.find(path[:-1])
        return around.keys.get(str(path[-1]), (around.line, around.column))


class Document(Struct, eq=False):
    """A text of YAML, read.

    Attributes:
        value: dicts, lists, texts, ints, floats, bools, None and `HOLE`. What was written once and
            aliased is one object in several places: never change it.
        spot: where it stands.
        text: what was read.
        mistakes: all that is wrong with the text as YAML.
    """

    value: Any
    spot: Spot
    text: str
    mistakes: list[Mistake]
    _lines: list[str] | None = None

    @property
    def lines(self) -> list[str]:
        """The text's lines, as the parser counts them."""
        if self._lines is None:
            self._lines = _LINE_BREAK.split(self.text)
        return self._lines

    def line_in(self, spot: Spot, value: str, line: int | None) -> Position:
        """Where a line of a text stands in the file, as far as that can be told.

        Args:
            spot: of the text.
            value: the text.
            line: a line of the text, from 1 on.
        """
        if line is not None and spot.literal:
            within = value.split("\n")
            number = spot.line + line
            if 1 <= line <= len(within) and number <= len(self.lines):
                written = self.lines[number - 1]
                if written.strip() == within[line - 1].strip():
                    return number, len(written) - len(written.lstrip()) + 1
        return spot.line, spot.column


def read_yaml(text: str, file: str, parser: Any = PARSER) -> Document:
    """Read a text of YAML.

    Args:
        text: at most `CHARACTERS_AT_MOST` long; a byte order mark before it is allowed.
        file: how mistakes call it.
        parser: a loader class of PyYAML, of which only the parser is used.
    """
    text = text.removeprefix("\ufeff")
    builder = _Builder(text, file)
    try:
        _check_characters(text)
        builder.build(_events(text, parser))
    except _Stop as stop:
        builder.mistake(stop.position, stop.message)
        builder.value = HOLE
    return Document(
        value=builder.value,
        spot=builder.spot,
        text=text,
        mistakes=builder.mistakes,
    )


class _Stop(Exception):
    """A mistake after which nothing more can be read."""

    def __init__(self, position: Position, message: str) -> None:
        self.position = position
        self.message = message
        super().__init__(message)


def position_in(text: str, index: int) -> Position:
    """Line and column of the character at an index."""
    before = _LINE_BREAK.split(text[:index])
    return len(before), len(before[-1]) + 1


def _check_characters(text: str) -> None:
    if len(text) > CHARACTERS_AT_MOST:
        raise _Stop((1, 1), f"the text is longer than {CHARACTERS_AT_MOST:,} characters")
    if found := _NOT_TEXT.search(text):
        code = ord(found[0])
        raise _Stop(
            position_in(text, found.start()),
            f"the character U+{code:04X} cannot be written here as it is: write it as an escape, "
            'such as "\\u200B", in double quotes',
        )


def _events(text: str, parser: Any) -> Iterator[Any]:
    loader = parser(text)
    try:
        while loader.check_event():
            yield loader.get_event()
    except yaml.MarkedYAMLError as error:
        raise _Stop(*in_plain_words(error, text)) from None
    except (ValueError, OverflowError):
        # PyYAML's own parser makes a character of any number that is escaped.
        mark = loader.get_mark()
        raise _Stop((mark.line + 1, mark.column + 1), BAD_ESCAPE) from None
    finally:
        loader.dispose()


class _Anchored(Struct, frozen=True):
    """What an anchor stands for, and how many nodes and levels that is."""

    value: Any
    spot: Spot
    size: int
    levels: int


class _Open:
    """A list or a mapping whose end has not come yet."""

    __slots__ = ("anchor", "key", "levels", "lost", "merges", "size_before", "spot", "value")

    def __init__(self, value: Any, spot: Spot, anchor: str | None, size_before: int) -> None:
        self.value = value
        self.spot = spot
        self.anchor = anchor
        self.size_before = size_before
        self.levels = 1
        self.lost = False
        self.key: Any = _NO_KEY
        self.merges: list[tuple[Any, Spot]] = []


_NO_KEY: Any = object()
_LOST_KEY: Any = object()
_MERGE_KEY: Any = object()


class _Builder:
    """Makes data of events, and counts what it would be with all aliases written out."""

    def __init__(self, text: str, file: str) -> None:
        self.value: Any = None
        self.spot = Spot(1, 1)
        self._documents = 0
        self.mistakes: list[Mistake] = []
        self._text = text
        self._file = file
        self._open: list[_Open] = []
        self._anchors: dict[str, _Anchored | None] = {}
        self._size = 0

    def mistake(self, position: Position, message: str) -> None:
        """Note a mistake."""
        self.mistakes.append(Mistake(self._file, *position, message))

    def build(self, events: Iterator[Any]) -> None:
        """Build the data of all events.

        Raises:
            _Stop: nothing more can be read.
        """
        for event in events:
            mark = event.start_mark
            match event:
                case yaml.ScalarEvent():
                    spot = Spot(mark.line + 1, mark.column + 1, event.style == "|")
                    self._scalar(event, spot)
                case yaml.MappingStartEvent():
                    spot = Spot(mark.line + 1, mark.column + 1, keys={}, inside={})
                    self._begin(event, {}, spot)
                case yaml.SequenceStartEvent():
                    self._begin(event, [], Spot(mark.line + 1, mark.column + 1, inside=[]))
                case yaml.CollectionEndEvent():
                    self._end()
                case yaml.AliasEvent():
                    self._alias(str(event.anchor), (mark.line + 1, mark.column + 1))
                case yaml.DocumentStartEvent():
                    self._documents += 1
                    if self._documents > 1:
                        raise _Stop(
                            (mark.line + 1, mark.column + 1),
                            "a second document begins here: a file may have only one",
                        )

    def _scalar(self, event: Any, spot: Spot) -> None:
        self._count(1, 0, spot)
        text: str = event.value
        if (
            self._open
            and self._open[-1].key is _NO_KEY
            and isinstance(self._open[-1].value, dict)
            and text == "<<"
            and event.implicit[0]
        ):
            value = _MERGE_KEY
        elif event.style == '"' and _SURROGATE.search(text):
            # PyYAML's own parser lets halves of characters pass.
            self.mistake((spot.line, spot.column), BAD_ESCAPE)
            value = HOLE
        elif event.tag is None:
            value = self._plain(text, spot) if event.implicit[0] else text
        elif event.tag == "!":
            value = text
        else:
            value = self._tagged(event.tag, text, spot)
        if event.start_mark.index == event.end_mark.index and self._open:
            # Nothing was written: its place is that of the key.
            around = self._open[-1]
            if isinstance(around.key, str):
                spot.line, spot.column = around.spot.keys[around.key]
        if event.anchor and value is not _MERGE_KEY:
            self._anchors[event.anchor] = _Anchored(value, spot, 1, 0)
        self._place(value, spot)

    def _plain(self, text: str, spot: Spot) -> Any:
        if text in _NULLS:
            return None
        if text in _BOOLS:
            return _BOOLS[text]
        if text[0] not in _NUMBER_STARTS:
            return text
        for pattern, base in _INTS:
            if pattern.fullmatch(text):
                number = int(text, base) if len(text) <= _LONGEST_INT else _INT_MAX + 1
                if _INT_MIN <= number <= _INT_MAX:
                    return number
                return self._lost(spot, "this number has more than 64 bits")
        if _FLOAT.fullmatch(text):
            number_ = float(text)
            return number_ if isfinite(number_) else self._lost(spot, "this number is too large")
        if _NOT_FINITE.fullmatch(text):
            return self._lost(spot, f"{text} is a number that JSON does not have")
        return text

    def _lost(self, spot: Spot, message: str) -> Any:
        self.mistake((spot.line, spot.column), f"{message}: quote it if a text is meant")
        return HOLE

    def _tagged(self, tag: str, text: str, spot: Spot) -> Any:
        kind = tag.removeprefix(_TAG)
        if kind == "str":
            return text
        if kind in _KINDS:
            value = self._plain(text, spot)
            if value is HOLE or isinstance(value, _KINDS[kind]):
                return float(value) if kind == "float" and value is not HOLE else value
        self._refuse_tag(tag, spot)
        return HOLE

    def _refuse_tag(self, tag: str, spot: Spot) -> None:
        written = f"!!{tag.removeprefix(_TAG)}" if tag.startswith(_TAG) else tag
        self.mistake(
            (spot.line, spot.column),
            f"the tag {shown(written)} has no meaning here: quote the text if one is meant",
        )

    def _begin(self, event: Any, value: Any, spot: Spot) -> None:
        wanted = "map" if isinstance(value, dict) else "seq"
        if event.tag is not None and event.tag not in {"!", _TAG + wanted}:
            self._refuse_tag(event.tag, spot)
        before = self._size
        self._count(1, 1, spot)
        if event.anchor:
            self._anchors[event.anchor] = None
        self._open.append(_Open(value, spot, event.anchor, before))

    def _end(self) -> None:
        ended = self._open.pop()
        for merged, spot in ended.merges:
            self._merge(ended, merged, spot)
        value = HOLE if ended.lost else ended.value
        if ended.anchor:
            size = self._size - ended.size_before
            self._anchors[ended.anchor] = _Anchored(value, ended.spot, size, ended.levels)
        self._place(value, ended.spot, ended.levels)

    def _alias(self, name: str, position: Position) -> None:
        spot = Spot(*position)
        self._count(1, 0, spot)
        if name not in self._anchors:
            known = did_you_mean(name, self._anchors)
            self.mistake(position, f"nothing is anchored as &{name} before this{known}")
            self._place(HOLE, spot)
            return
        anchored = self._anchors[name]
        if anchored is None:
            self.mistake(position, f"*{name} is within what it stands for, which would never end")
            self._place(HOLE, spot)
            return
        self._count(anchored.size, anchored.levels, spot)
        # What is wrong with the whole is wrong here; what is wrong inside of it, there.
        there = anchored.spot
        spot.keys, spot.inside = there.keys, there.inside
        self._place(anchored.value, spot, anchored.levels)

    def _place(self, value: Any, spot: Spot, levels: int = 0) -> None:
        if not self._open:
            self.value, self.spot = value, spot
            return
        around = self._open[-1]
        around.levels = max(around.levels, levels + 1)
        if isinstance(around.value, list):
            around.value.append(value)
            around.spot.inside.append(spot)
        elif around.key is _NO_KEY:
            around.key = self._key(value, spot, around)
        else:
            key, around.key = around.key, _NO_KEY
            if key is _MERGE_KEY:
                around.merges.append((value, spot))
            elif key is not _LOST_KEY:
                around.value[key] = value
                around.spot.inside[key] = spot

    def _key(self, value: Any, spot: Spot, around: _Open) -> Any:
        position = spot.line, spot.column
        if value is HOLE:
            return _LOST_KEY
        if value is not _MERGE_KEY and not isinstance(value, str):
            if isinstance(value, dict | list):
                around.lost = True
                self.mistake(
                    position, 'a key must be a text; a template must be quoted: "{{ ... }}"'
                )
            else:
                self.mistake(position, f"a key must be a text, not {kind_of(value)}: quote it")
            return _LOST_KEY
        name = "<<" if value is _MERGE_KEY else value
        if name in around.spot.keys:
            line = around.spot.keys[name][0]
            self.mistake(position, f"the key {shown(name)} is here twice, first in line {line}")
            return _LOST_KEY
        around.spot.keys[name] = position
        return value

    def _merge(self, into: _Open, value: Any, spot: Spot) -> None:
        if isinstance(value, list):
            for each, its_spot in zip(value, spot.inside, strict=True):
                self._merge_one(into, each, its_spot)
        else:
            self._merge_one(into, value, spot)

    def _merge_one(self, into: _Open, value: Any, spot: Spot) -> None:
        if isinstance(value, dict):
            for key, inside in value.items():
                if key not in into.value:
                    into.value[key] = inside
                    into.spot.keys[key] = spot.keys[key]
                    into.spot.inside[key] = spot.inside[key]
        elif value is not HOLE:
            self.mistake(
                (spot.line, spot.column),
                f"<< takes a mapping or a list of mappings, such as *name, not {kind_of(value)}",
            )

    def _count(self, size: int, levels: int, spot: Spot) -> None:
        self._size += size
        if self._size > NODES_AT_MOST:
            raise _Stop(
                (spot.line, spot.column),
                f"with its aliases written out this has more than {NODES_AT_MOST:,} values",
            )
        if len(self._open) + levels > LEVELS_AT_MOST:
            raise _Stop(
                (spot.line, spot.column), f"this is nested more than {LEVELS_AT_MOST} levels deep"
            )
