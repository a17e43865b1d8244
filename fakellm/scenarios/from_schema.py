"""Values made from JSON Schemas: what the fake model says where a schema is asked for.

The schemas are those of draft 2020-12 that SDKs emit (``$ref`` inside the schema, combinations,
bounds, patterns, formats). They come from untrusted clients, so each value has a budget of work and
bounds on its size (`json_schema.limits`); no regular expression of a client is ever
run by ``re``, and no exception but `UnusableSchema` comes out. Everything follows from the schema
and from ``chance``: nothing here may read a clock, a hash of a string or the order of a set.
"""

import copy
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from fakellm.scenarios.json_schema.arrays import make_array
from fakellm.scenarios.json_schema.check import Checker
from fakellm.scenarios.json_schema.choices import ALL_TYPES, Chooser, Flat, Place
from fakellm.scenarios.json_schema.document import Document, Schema, listed_values
from fakellm.scenarios.json_schema.heights import Heights
from fakellm.scenarios.json_schema.limits import (
    UnusableSchema,
    Work,
    WorkSpentError,
    join,
)
from fakellm.scenarios.json_schema.loops import refuse_loops
from fakellm.scenarios.json_schema.numbers import make_number
from fakellm.scenarios.json_schema.objects import make_object
from fakellm.scenarios.json_schema.strings import make_string
from fakellm.scenarios.json_schema.values import IS_TYPE, refuse_huge, weigh

__all__ = ["UnusableSchema", "make_value"]

_MAKING_STEPS = 10
_CHARACTERS_A_STEP = 50
_VALUES_A_STEP = 16
_FEW = 8
_ENOUGH = 300  # values; from then on as few as possible
_RECURSIONS = 1  # how often a schema is entered inside itself before it is to end
_SPARSE_TRIES = 4
_TRIES = {"string": 64, "number": 512, "integer": 512, "object": 12, "array": 12}
_NULL = 1 / 8  # how often null is chosen before anything else

_SPEAKS_OF = {
    "object": (
        "additionalProperties", "dependentRequired", "dependentSchemas", "maxProperties",
        "minProperties", "patternProperties", "properties", "propertyNames", "required",
    ),
    "array": (
        "contains", "items", "maxItems", "minItems", "prefixItems", "uniqueItems",
    ),
    "string": ("format", "maxLength", "minLength", "pattern"),
    "number": ("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"),
}  # fmt: skip


def make_value(schema: Any, chance: random.Random) -> Any:
    """Make a value that is valid for a JSON Schema and looks plausible.

    Args:
        schema: a schema as decoded from JSON: an object or a boolean.
        chance: the only source of randomness; equally seeded, it gives the same value.

    Returns:
        A value as decoded from JSON, which shares nothing with the schema.

    Raises:
        UnusableSchema: the schema is malformed, cannot be met, or asks for too much.
    """
    try:
        document = Document(schema, Work())
        refuse_loops(document)
        value = _Maker(document, chance).make((document.root,), Place())
    except WorkSpentError:
        raise UnusableSchema("", "it takes too much work to make a value") from None
    except RecursionError:
        raise UnusableSchema("", "it is nested too deeply") from None
    refuse_huge(value)
    return value


class _Maker:
    """Makes the values of one document; `fakellm.scenarios.json_schema.making.Making` says how."""

    def __init__(self, document: Document, chance: random.Random) -> None:
        self.document = document
        self.checker = Checker(document)
        self.chance = chance
        self._chooser = Chooser(document, chance)
        self._made = 0

    @property
    def heights(self) -> Heights:
        return self._chooser.heights

    def below(self, place: Place, schemas: Sequence[Schema], name: str, step: str) -> Place:
        path = next(
            (self.document.path(schema) for schema in schemas if isinstance(schema, dict)),
            join(place.path, step),
        )
        return replace(place, depth=place.depth + 1, name=name, path=path)

    def make(
        self,
        schemas: tuple[Schema, ...],
        place: Place,
        is_rejected: Callable[[Any], bool] | None = None,
    ) -> Any:
        self.document.work.spend(_MAKING_STEPS)
        self._made += 1
        self._chooser.refuse_endless(schemas, place)

        def is_accepted(value: Any) -> bool:
            return all(self.checker.is_valid(schema, value) for schema in schemas) and not (
                is_rejected is not None and is_rejected(value)
            )

        problems: list[UnusableSchema] = []
        for flat in self._chooser.ways(schemas, place, problems):
            for value in self._candidates(flat, self._entering(flat, place), problems):
                if is_accepted(value):
                    return value
        raise next(iter(problems), _unmet(place))

    def _entering(self, flat: Flat, place: Place) -> Place:
        """The place with the references of a way counted."""
        entered = dict(place.entered)
        for target in flat.entered:
            entered[target] = entered.get(target, 0) + 1
        is_enough = self._made > _ENOUGH or any(
            entered[target] > _RECURSIONS for target in flat.entered
        )
        return replace(place, entered=entered, sparse=place.sparse or is_enough)

    def _candidates(
        self, flat: Flat, place: Place, problems: list[UnusableSchema]
    ) -> Iterator[Any]:
        """Values that may do, the preferred first."""
        listing = next(
            (schema for schema in flat.schemas if "const" in schema or "enum" in schema), None
        )
        if listing is not None:
            yield from self._listed(listing, flat)
            path = join(self.document.path(listing), "const" if "const" in listing else "enum")
            problems.append(UnusableSchema(path, "nothing it lists meets the other keywords"))
            return
        kinds = set(flat.types)
        if "number" in kinds:
            kinds.discard("integer")
        makers = {kind: self._of_kind(kind, flat, place) for kind in sorted(kinds)}
        while makers:
            kind = self._preferred(list(makers), flat, place)
            try:
                yield next(makers[kind])
            except StopIteration:
                del makers[kind]
            except UnusableSchema as problem:
                problems.append(problem)
                del makers[kind]

    def _listed(self, listing: dict[str, Any], flat: Flat) -> Iterator[Any]:
        for value in self._shuffled(listed_values(listing)):
            if any(IS_TYPE[kind](value) for kind in flat.types):
                nodes, characters = weigh(value)
                self.document.work.spend(nodes + characters // _CHARACTERS_A_STEP)
                yield copy.deepcopy(value)

    def _shuffled(self, values: list[Any]) -> Iterator[Any]:
        """All values, after a few that are drawn without the labour of shuffling a long list."""
        if len(values) > _FEW:
            yield from self.chance.choices(values, k=_FEW)
            self.document.work.spend(len(values) // _VALUES_A_STEP)
        yield from self.chance.sample(values, len(values))

    def _preferred(self, kinds: list[str], flat: Flat, place: Place) -> str:
        scalars = [kind for kind in kinds if kind not in {"array", "object"}]
        if place.sparse and scalars:
            return self.chance.choice(scalars)
        if flat.types == ALL_TYPES:
            spoken_of = [
                kind
                for kind in kinds
                if any(
                    word in schema for word in _SPEAKS_OF.get(kind, ()) for schema in flat.schemas
                )
            ]
            if spoken_of or "string" in kinds:
                return self.chance.choice(spoken_of or ["string"])
        if "null" in kinds and len(kinds) > 1 and self.chance.random() >= _NULL:
            kinds.remove("null")
        return self.chance.choice(kinds)

    def _of_kind(self, kind: str, flat: Flat, place: Place) -> Iterator[Any]:
        if kind == "null":
            yield None
        elif kind == "boolean":
            yield from self.chance.sample([True, False], 2)
        else:
            is_scarce = place.sparse and kind in {"array", "object"}
            for attempt in range(_SPARSE_TRIES if is_scarce else _TRIES[kind]):
                yield self._typed(kind, flat, place, attempt)

    def _typed(self, kind: str, flat: Flat, place: Place, attempt: int) -> Any:
        self.document.work.spend(_MAKING_STEPS)
        match kind:
            case "object":
                return make_object(self, flat, place, attempt)
            case "array":
                return make_array(self, flat, place, attempt)
            case "string":
                return make_string(flat.schemas, self.document, place.name, self.chance, attempt)
            case _:
                return make_number(
                    kind, flat.schemas, self.document, place.name, self.chance, attempt
                )


def _unmet(place: Place) -> UnusableSchema:
    return UnusableSchema(place.path, "no value was found that meets all of its keywords together")
