"""What a value has to meet, with its choices made: references followed, branches taken.

A value has to meet several schemas at once (a reference and its siblings, all of ``allOf``, a
branch of ``anyOf``). Here they become a flat list, one list for each way through the branches;
whether ``oneOf``, ``not`` and ``if`` hold is seen only when a value is checked.
"""

import math
import random
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from fakellm.scenarios.json_schema.document import Document, Schema
from fakellm.scenarios.json_schema.heights import Heights
from fakellm.scenarios.json_schema.limits import MAX_DEPTH, UnusableSchema, join
from fakellm.scenarios.json_schema.values import TYPES

ALL_TYPES = frozenset(TYPES)

_NULL_LAST = 7 / 8  # how often a value is preferred to null


class Place(Struct, frozen=True, kw_only=True):
    """Where in the value something is made.

    ``depth`` counts levels of the value; ``name`` is the property's; ``path`` leads to the schema;
    ``entered`` counts how often each referred schema was entered on the way, by its id; ``sparse``
    asks for as little as the schema allows.
    """

    depth: int = 0
    name: str = ""
    path: str = ""
    entered: dict[int, int] = {}
    sparse: bool = False


class Flat(Struct, frozen=True, kw_only=True):
    """Schemas that all have to hold, their branches taken, and the types that they leave."""

    schemas: tuple[dict[str, Any], ...] = ()
    types: frozenset[str] = ALL_TYPES
    entered: tuple[int, ...] = ()


class _Branches(Struct, frozen=True):
    """A choice that is still to be made."""

    options: tuple[tuple[Schema, ...], ...]


class _State(Struct, frozen=True, kw_only=True):
    flat: Flat
    waiting: tuple[Schema | _Branches, ...]


class Chooser:
    """Takes branches, by chance where there is room, and towards an end where there is not.

    Args:
        document: what the schemas belong to.
        chance: the source of chance.
    """

    def __init__(self, document: Document, chance: random.Random) -> None:
        self._document = document
        self._chance = chance
        self._absent: dict[str, dict[str, Any]] = {}
        self.heights = Heights(document)

    def ways(
        self, schemas: tuple[Schema, ...], place: Place, problems: list[UnusableSchema]
    ) -> Iterator[Flat]:
        """The ways to take all branches, the preferred first.

        Args:
            schemas: what the value has to meet.
            place: where the value is made.
            problems: to this is added why ways led nowhere.
        """
        states = [_State(flat=Flat(), waiting=schemas)]
        while states:
            state = states.pop()
            if not state.waiting:
                yield state.flat
                continue
            first, rest = state.waiting[0], state.waiting[1:]
            self._document.work.spend(1 + len(rest) // 64)
            if isinstance(first, _Branches):
                states.extend(
                    _State(flat=state.flat, waiting=(*option, *rest))
                    for option in reversed(self._in_order(first, place))
                )
            elif isinstance(first, bool):
                if first:
                    states.append(_State(flat=state.flat, waiting=rest))
                else:
                    problems.append(UnusableSchema(place.path, "the schema false allows no value"))
            elif any(first is known for known in state.flat.schemas):
                states.append(_State(flat=state.flat, waiting=rest))
            else:
                further = self._with(first, rest, state.flat)
                if further.flat.types:
                    states.append(further)
                else:
                    path = join(self._document.path(first), "type")
                    problems.append(UnusableSchema(path, "no type is left that is allowed"))

    def _with(
        self, schema: dict[str, Any], rest: tuple[Schema | _Branches, ...], flat: Flat
    ) -> _State:
        """A state with one more schema taken in; its branches wait until nothing else does."""
        at_once: list[Schema] = list(schema.get("allOf", ()))
        entered = flat.entered
        if "$ref" in schema:
            target = self._document.target(schema)
            at_once.append(target)
            entered = (*entered, id(target))
        flat = Flat(
            schemas=(*flat.schemas, schema),
            types=flat.types & _types(schema),
            entered=entered,
        )
        return _State(flat=flat, waiting=(*at_once, *rest, *self._branches(schema)))

    def _branches(self, schema: dict[str, Any]) -> Iterator[_Branches]:
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                yield _Branches(tuple((branch,) for branch in schema[keyword]))
        if "if" in schema:
            met: tuple[Schema, ...] = (schema["if"], schema.get("then", True))
            yield _Branches((met, (schema.get("else", True),)))
        for name, dependent in schema.get("dependentSchemas", {}).items():
            absent = self._absent.setdefault(name, {"properties": {name: False}})
            yield _Branches(((dependent,), (absent,)))

    def _in_order(self, branches: _Branches, place: Place) -> list[tuple[Schema, ...]]:
        """The options that can come to an end, the preferred first; there is one, by its height."""
        options = [
            option
            for option in branches.options
            if place.depth + self.heights.of(*option) <= MAX_DEPTH + 1
        ]
        if place.sparse:
            options.sort(key=self._height)
        elif len(options) == len(_DECIMAL) and all(map(_is_of_type, options, _DECIMAL)):
            pass  # how pydantic writes a Decimal, which not every string is
        else:
            self._chance.shuffle(options)
            if self._chance.random() < _NULL_LAST:
                options.sort(key=lambda option: _is_of_type(option, "null"))
        return options

    def _height(self, option: tuple[Schema, ...]) -> float:
        return self.heights.of(*option)

    def refuse_endless(self, schemas: tuple[Schema, ...], place: Place) -> None:
        """Refuse what would nest too deeply, whichever branches are taken.

        Raises:
            UnusableSchema: saying so.
        """
        height = self.heights.of(*schemas)
        if math.isinf(height):
            raise UnusableSchema(place.path, "a value would have to contain itself, without end")
        if place.depth + height > MAX_DEPTH + 1:
            raise UnusableSchema(
                place.path, f"a value would be nested more than {MAX_DEPTH} levels deep"
            )


_DECIMAL = ("number", "string")


def _is_of_type(option: tuple[Schema, ...], name: str) -> bool:
    schema = option[0]
    return isinstance(schema, dict) and schema.get("type") == name


def _types(schema: dict[str, Any]) -> frozenset[str]:
    """The types that ``type``, and ``not`` with a mere ``type``, leave; integers are numbers."""
    types = ALL_TYPES
    if "type" in schema:
        types = _named(schema["type"])
    excluded = schema.get("not")
    if isinstance(excluded, dict) and excluded.keys() == {"type"}:
        gone = _named(excluded["type"])
        # What is a number but not an integer is found by trying.
        types -= gone if "number" in gone else gone - {"integer"}
    return types


def _named(types: str | list[str]) -> frozenset[str]:
    names = frozenset([types] if isinstance(types, str) else types)
    return names | {"integer"} if "number" in names else names
