"""Objects that meet several schemas at once: what is required, and most of what is optional."""

from collections.abc import Iterator
from typing import Any

from fakellm.scenarios.json_schema.choices import Flat, Place
from fakellm.scenarios.json_schema.document import Schema
from fakellm.scenarios.json_schema.limits import MAX_ITEMS, UnusableSchema, join, shown
from fakellm.scenarios.json_schema.making import Making
from fakellm.scenarios.json_schema.words import NOUNS

_OPTIONAL = (0.9, 0.9, 0.9, 0.5, 0.5, 0.5, 0.2, 0.2, 0)
"""How often an optional property is there, attempt for attempt."""

_SCALAR = 1  # the height of what may be optional where as little as possible is wanted
_USUAL_MOST = 3
_SPARE_NAMES = 8
_NAME: dict[str, Any] = {"type": "string"}
_LONGEST_NAME = 64


def make_object(making: Making, flat: Flat, place: Place, attempt: int) -> dict[str, Any]:
    """An object that meets the object keywords of several schemas.

    Args:
        making: makes the properties' values.
        flat: the schemas.
        place: where the object is.
        attempt: how many objects were made before; the more, the fewer optional properties.

    Raises:
        UnusableSchema: a required property cannot be made, or there cannot be as many as asked for.
    """
    return _Object(making, flat, place, attempt).made()


class _Object:
    def __init__(self, making: Making, flat: Flat, place: Place, attempt: int) -> None:
        self._making = making
        self._schemas = flat.schemas
        self._place = place
        self._frequency = _OPTIONAL[min(attempt, len(_OPTIONAL) - 1)]
        self._properties: dict[str, Any] = {}

    def made(self) -> dict[str, Any]:
        low, high = self._counts()
        required = self._closed_over(self._union("required"))
        if len(required) > high:
            raise self._problem(
                "maxProperties", f"{len(required)} properties are required, which is above {high}"
            )
        declared = self._union("properties")
        optional = [name for name in declared if name not in required]
        wanted = [name for name in optional if self._is_wanted(name)][: high - len(required)]
        chosen = dict.fromkeys(wanted)
        both = self._closed_over({**required, **chosen})
        if len(both) <= high:
            required = {**required, **{name: None for name in both if name not in chosen}}
        for name in dict.fromkeys((*declared, *both)):
            if name in required:
                self._properties[name] = self._value(name)
            elif name in chosen:
                self._try(name)
        for name in optional:
            if len(self._properties) < low and name not in self._properties:
                self._try(name)
        self._invent(low, high, declared)
        return self._properties

    def _counts(self) -> tuple[int, int]:
        low = max((int(schema.get("minProperties", 0)) for schema in self._schemas), default=0)
        high = min(
            [MAX_ITEMS, *(int(schema.get("maxProperties", MAX_ITEMS)) for schema in self._schemas)]
        )
        if low > MAX_ITEMS:
            raise self._problem(
                "minProperties", f"objects of more than {MAX_ITEMS} properties are not made"
            )
        if low > high:
            raise self._problem("minProperties", f"{low} is above maxProperties, {high}")
        return low, high

    def _problem(self, keyword: str, reason: str) -> UnusableSchema:
        """An error at the first schema that has the keyword."""
        bearer = next(schema for schema in self._schemas if keyword in schema)
        return UnusableSchema(join(self._making.document.path(bearer), keyword), reason)

    def _union(self, keyword: str) -> dict[str, None]:
        """All names under a keyword, in order."""
        return dict.fromkeys(name for schema in self._schemas for name in schema.get(keyword, ()))

    def _closed_over(self, names: dict[str, None]) -> dict[str, None]:
        """The names and all that depend on them."""
        closed = dict(names)
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            for schema in self._schemas:
                for other in schema.get("dependentRequired", {}).get(name, ()):
                    if other not in closed:
                        closed[other] = None
                        waiting.append(other)
        return closed

    def _is_wanted(self, name: str) -> bool:
        if self._place.sparse and self._making.heights.of(*self._asked(name)) > _SCALAR:
            return False
        return self._making.chance.random() < self._frequency

    def _asked(self, name: str) -> list[Schema]:
        """What the value of a property has to meet."""
        asked: list[Schema] = []
        evaluated = False
        matches = self._making.checker.matches
        for schema in self._schemas:
            own = [schema["properties"][name]] if name in schema.get("properties", ()) else []
            own.extend(
                child
                for pattern, child in schema.get("patternProperties", {}).items()
                if matches(pattern, name)
            )
            if not own and "additionalProperties" in schema:
                own.append(schema["additionalProperties"])
            evaluated = evaluated or bool(own)
            asked.extend(own)
        if not evaluated:
            asked.extend(
                schema["unevaluatedProperties"]
                for schema in self._schemas
                if "unevaluatedProperties" in schema
            )
        return asked

    def _value(self, name: str) -> Any:
        for schema in self._schemas:
            names = schema.get("propertyNames", True)
            if not self._making.checker.is_valid(names, name):
                raise self._problem(
                    "propertyNames", f"they rule out {shown(name)}, which is required"
                )
        asked = self._asked(name)
        where = self._making.below(self._place, asked, name, f"properties.{name}")
        return self._making.make(tuple(asked), where)

    def _try(self, name: str) -> None:
        try:
            self._properties[name] = self._value(name)
        except UnusableSchema:
            return  # it is optional

    def _invent(self, low: int, high: int, declared: dict[str, None]) -> None:
        """Add properties that the schemas do not name, where they are asked for or invited."""
        wanted = low
        if not declared and not self._place.sparse and any(map(_invites, self._schemas)):
            wanted = max(low, self._making.chance.randint(1, _USUAL_MOST))
        wanted = min(wanted, high)
        for name in self._new_names(wanted + _SPARE_NAMES):
            if len(self._properties) >= wanted:
                break
            if name not in self._properties and name not in declared:
                self._try(name)
        if len(self._properties) < low:
            raise self._problem(
                "minProperties", f"only {len(self._properties)} of {low} properties can be made"
            )

    def _new_names(self, count: int) -> Iterator[str]:
        chance = self._making.chance
        patterns = list(self._union("patternProperties"))
        restrictions = [
            schema["propertyNames"] for schema in self._schemas if "propertyNames" in schema
        ]
        for index in range(count):
            if restrictions:
                where = self._making.below(self._place, restrictions, "", "propertyNames")
                try:
                    yield self._making.make(
                        (_NAME, *restrictions), where, self._properties.__contains__
                    )
                except UnusableSchema:
                    return
            elif patterns:
                regex = self._making.document.regex(chance.choice(patterns))
                yield regex.write(chance, 1, _LONGEST_NAME)
            else:
                noun = chance.choice(NOUNS)
                yield noun if index < _USUAL_MOST else f"{noun}_{index}"


def _invites(schema: dict[str, Any]) -> bool:
    """Whether a schema speaks of properties that it does not name."""
    invitation = schema.get("additionalProperties", False)
    return invitation is not False or "patternProperties" in schema or "propertyNames" in schema
