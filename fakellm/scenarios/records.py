"""Plain data to records, every mistake at once and in words.

msgspec converts, fast, and stops at the first mistake; then the same declarations are walked again
to find them all. What is wrong is taken out on the way, so that the rest can still be looked at.
This module knows msgspec's types and no rule of the scenario language.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.inspect import (
    AnyType,
    BoolType,
    DictType,
    Field,
    FloatType,
    IntType,
    LiteralType,
    Metadata,
    NoneType,
    StrType,
    StructType,
    TupleType,
    Type,
    UnionType,
    VarTupleType,
    type_info,
)

from fakellm.faults.spec import After, ErrorFault, FaultSpec, HoldSpec
from fakellm.scenarios import schema
from fakellm.scenarios.mistakes import Position, did_you_mean, kind_of, one_of, shown
from fakellm.scenarios.yaml_text import HOLE, Spot
from fakellm.spelling import nearest
from fakellm.timing.conduct import LimitSpec
from fakellm.timing.distributions import DistributionSpec
from fakellm.timing.pace import TimingSpec

Complain = Callable[[Position, str], None]
"""Takes a mistake: where and what."""

_WORDS: dict[type[Any], str] = {
    schema.TextTest: "a text test (a mapping such as {contains: ...})",
    schema.NumberTest: "a number test (a mapping such as {at_least: 2})",
    schema.ToolResultTest: "a mapping such as {name: ...}",
    schema.When: "a mapping such as {user: ...}",
    schema.ToolCallSpec: "a mapping such as {name: ...}",
    schema.ReasoningSpec: "a mapping such as {tokens: 100}",
    schema.LoremSpec: "a mapping such as {tokens: 300}",
    schema.ErrorSpec: "a mapping such as {status: 429}",
    schema.PartSpec: "a part (a mapping such as {text: ...})",
    schema.ReplySpec: "a mapping such as {text: ...}",
    schema.Rule: "a rule (a mapping such as {when: ..., reply: ...})",
    schema.Phase: "a phase (a mapping such as {after: 60s, ...})",
    TimingSpec: "a timing (a mapping such as {ttft: 200ms})",
    DistributionSpec: "a distribution (a mapping such as {uniform: [1s, 2s]})",
    LimitSpec: "a limit (a mapping such as {requests: 60, per: 1m})",
    FaultSpec: "a fault (a mapping such as {reset: {after: 3}})",
    ErrorFault: "a mapping such as {status: 429}",
    HoldSpec: "a gate (a mapping such as {gate: ..., after: 3})",
    After: "a mapping such as {tokens: 3}",
}
_LISTS: dict[type[Any], str] = {
    schema.PartSpec: "a list of parts",
    schema.ReplySpec: "a list of replies",
    FaultSpec: "a list of faults",
    HoldSpec: "a list of gates",
}
_KEYS_NAMED_AT_MOST = 25
_OLD_BOOLS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


class _Record:
    """A record's keys."""

    def __init__(self, declared: StructType) -> None:
        self.type = declared.cls
        self.fields: dict[str, _Expected] = {}
        self.required: list[str] = []

    def fill(self, fields: tuple[Field, ...]) -> None:
        """Look at the fields, once the record itself is known: it may be within them."""
        for field in fields:
            self.fields[field.encode_name] = _Expected(field.type)
            if field.required:
                self.required.append(field.encode_name)


_records: dict[type[Any], _Record] = {}


def _record(declared: StructType) -> _Record:
    # A pure cache: what a type declares does not change.
    if declared.cls not in _records:
        _records[declared.cls] = record = _Record(declared)
        record.fill(declared.fields)
    return _records[declared.cls]


def _branches(declared: Type) -> Iterator[Type]:
    """The types that a type is a choice of."""
    match declared:
        case Metadata():
            yield from _branches(declared.type)
        case UnionType():
            for branch in declared.types:
                yield from _branches(branch)
        case _:
            yield declared


class _Expected:
    """What may stand in one place: each kind of data at most once, as msgspec demands."""

    def __init__(self, declared: Type) -> None:
        self.anything = False
        self.nothing = False
        self.bool = False
        self.text = False
        self.number: IntType | None = None
        self.fraction: FloatType | None = None
        self.words: list[str] = []
        self.numbers: list[int] = []
        self.record: _Record | None = None
        self.values: _Expected | None = None
        self.items: _Expected | None = None
        self.row: list[_Expected] | None = None
        self.shortest = 0
        for branch in _branches(declared):
            self._add(branch)

    def _add(self, declared: Type) -> None:
        match declared:
            case AnyType():
                self.anything = True
            case NoneType():
                self.nothing = True
            case BoolType():
                self.bool = True
            case IntType():
                self.number = declared
            case FloatType():
                self.fraction = declared
            case StrType():
                self.text = True
            case LiteralType():
                self.words.extend(each for each in declared.values if isinstance(each, str))
                self.numbers.extend(each for each in declared.values if isinstance(each, int))
            case StructType():
                self.record = _record(declared)
            case DictType():
                self.values = _Expected(declared.value_type)
            case VarTupleType():
                self.items = _Expected(declared.item_type)
                self.shortest = declared.min_length or 0
            case TupleType():
                self.row = [_Expected(each) for each in declared.item_types]
            case _:
                raise TypeError(f"no words for {declared} yet")

    def __str__(self) -> str:
        """What is expected, in words."""
        found = []
        if self.text:
            found.append("a text")
        if self.words:
            found.extend(self.words)
        found.extend(map(str, self.numbers))
        if self.fraction is not None:
            found.append("a number")
        elif self.number is not None:
            found.append("a whole number")
        if self.bool:
            found.append("true or false")
        if self.record is not None:
            found.append(_WORDS.get(self.record.type, "a mapping"))
        if self.values is not None:
            found.append("a mapping")
        if self.items is not None:
            items = self.items.record
            found.append("a list" if items is None else _LISTS.get(items.type, "a list"))
        elif self.row is not None:
            found.append(f"a list of {len(self.row)}")
        return one_of(found)


class Walk:
    """Looks at data for one record.

    Args:
        complain: is told each mistake.
    """

    def __init__(self, complain: Complain) -> None:
        self._complain = complain

    def sound(self, value: Any, expected: _Expected, spot: Spot) -> Any:  # noqa: PLR0912 -- a case for each
        """The value without all that is wrong in it; `HOLE` where nothing is left."""
        if value is HOLE or (value is None and expected.nothing):
            return value
        if expected.anything:
            return _filled(value)
        match value:
            case bool() if expected.bool:
                return value
            case int() if expected.number is not None and not isinstance(value, bool):
                return self._number(value, expected.number, spot)
            case int() | float() if expected.fraction and not isinstance(value, bool):
                return self._number(value, expected.fraction, spot)
            case int() if value in expected.numbers and not isinstance(value, bool):
                return value
            case str() if expected.text or value in expected.words:
                return value
            case str() if expected.words:
                hint = did_you_mean(value, expected.words)
                return self._wrong(spot, f"expected {expected}, not {shown(value)}{hint}")
            case int() if expected.numbers and not isinstance(value, bool):
                return self._wrong(spot, f"expected {expected}, not {value}")
            case list() if expected.items is not None:
                return self._items(value, expected, expected.items, spot)
            case list() if expected.row is not None:
                return self._row(value, expected.row, spot)
            case dict() if expected.record is not None:
                return self._record(value, expected.record, spot)
            case dict() if expected.values is not None:
                return self._values(value, expected.values, spot)
        return self._wrong(spot, f"expected {expected}, {_instead(value, expected)}")

    def _wrong(self, spot: Spot, message: str) -> Any:
        self._complain(spot.at(), message)
        return HOLE

    def _number(self, value: float, expected: IntType | FloatType, spot: Spot) -> Any:
        if expected.ge is not None and value < expected.ge:
            return self._wrong(spot, f"expected at least {expected.ge:g}, not {value}")
        if expected.gt is not None and value <= expected.gt:
            return self._wrong(spot, f"expected more than {expected.gt:g}, not {value}")
        if expected.le is not None and value > expected.le:
            return self._wrong(spot, f"expected at most {expected.le}, not {value}")
        return value

    def _row(self, value: list[Any], row: "list[_Expected]", spot: Spot) -> Any:
        if len(value) != len(row):
            return self._wrong(spot, f"expected a list of {len(row)}, not of {len(value)}")
        found = [
            self.sound(each, expected, where)
            for each, expected, where in zip(value, row, spot.inside, strict=True)
        ]
        return HOLE if HOLE in found else found

    def _items(self, value: list[Any], expected: _Expected, items: _Expected, spot: Spot) -> Any:
        if len(value) < expected.shortest:
            return self._wrong(spot, "expected at least one, but the list is empty")
        found = [
            self.sound(each, items, where) for each, where in zip(value, spot.inside, strict=True)
        ]
        if HOLE not in found:
            return found
        # Items keep their number; a text is wrong nowhere that a text may stand.
        return ["" if each is HOLE else each for each in found] if items.text else HOLE

    def _values(self, value: Mapping[str, Any], expected: _Expected, spot: Spot) -> Any:
        found = {
            name: self.sound(each, expected, spot.inside[name]) for name, each in value.items()
        }
        return {name: each for name, each in found.items() if each is not HOLE}

    def _record(self, value: Mapping[str, Any], record: _Record, spot: Spot) -> Any:
        found = {}
        meant = set()
        for name, each in value.items():
            expected = record.fields.get(name)
            if expected is None:
                meant.add(nearest(name, record.fields))
                self._complain(spot.key_at((name,)), unknown_key(name, list(record.fields)))
            elif each is not None or expected.nothing or name in record.required:
                found[name] = self.sound(each, expected, spot.inside[name])
            # What may be left out may also be left empty.
        for name in record.required:
            if name not in value and name not in meant:
                self._complain(spot.at(), f"the key {name!r} is missing")
        found = {name: each for name, each in found.items() if each is not HOLE}
        return found if all(name in found for name in record.required) else HOLE


def _instead(value: Any, expected: _Expected) -> str:
    """What there is of another kind than what is expected, and how to mend it."""
    match value:
        case None:
            return "but there is nothing"
        case str():
            hint = f": write {_OLD_BOOLS[value.lower()]}" if value.lower() in _OLD_BOOLS else ""
            return f"not the text {shown(value)}{hint if expected.bool else ''}"
        case float() if expected.number is not None:
            return "not a fraction"
        case int() | float() if expected.text:
            return f"not {kind_of(value)}: quote it"
    return f"not {kind_of(value)}"


def _filled(value: Any) -> Any:
    """A copy of data with nothing where there were holes."""
    match value:
        case dict():
            return {name: _filled(each) for name, each in value.items()}
        case list():
            return [_filled(each) for each in value]
    return None if value is HOLE else value


def unknown_key(name: str, known: list[str]) -> str:
    """What to say of a key that means nothing."""
    hint = did_you_mean(name, known)
    if not hint and len(known) <= _KEYS_NAMED_AT_MOST:
        hint = f"; known are {', '.join(known)}"
    return f"unknown key {shown(name)}{hint}"


class Read(Struct, frozen=True):
    """Data that was read into a record: the record, if any is left, and what it was made of."""

    record: Any
    sound: Any


_expectations: dict[Any, _Expected] = {}


def read(value: Any, declared: Any, spot: Spot, complain: Complain, *, holes: bool = False) -> Read:
    """Read data into a record, or any other declared type.

    Args:
        value: plain data, perhaps with holes in it.
        declared: a type made of records, texts, bools, whole numbers, lists, mappings and Any.
        spot: where the data stands.
        complain: is told every mistake.
        holes: whether there may be holes in the data.

    Returns:
        what all that is right in the data comes to; `HOLE` as the record if it comes to nothing.
    """
    if not holes:
        try:
            return Read(msgspec.convert(value, declared), value)
        except msgspec.ValidationError:
            pass
    if declared not in _expectations:
        _expectations[declared] = _Expected(type_info(declared))
    sound = Walk(complain).sound(value, _expectations[declared], spot)
    if sound is HOLE:
        return Read(HOLE, HOLE)
    try:
        return Read(msgspec.convert(sound, declared), sound)
    except msgspec.ValidationError as error:
        # A record's own check, in its own words.
        complain(spot.at(), str(error).partition(" - at `")[0])
        return Read(HOLE, HOLE)
