"""Arrays that meet several schemas at once: one to three items, or as many as are asked for."""

from collections.abc import Hashable
from typing import Any

from msgspec import Struct

from fakellm.scenarios.json_schema.choices import Flat, Place
from fakellm.scenarios.json_schema.document import Schema, prefix_items, rest_items
from fakellm.scenarios.json_schema.limits import MAX_ITEMS, UnusableSchema, join
from fakellm.scenarios.json_schema.making import Making
from fakellm.scenarios.json_schema.values import identity

_USUAL_MOST = (3, 3, 3, 5, 7, 9)
"""How many items there are at most where nobody asks for more, attempt for attempt."""


class _Needed(Struct, frozen=True, kw_only=True):
    """A ``contains``: from ``fewest`` to ``most`` items have to meet the schema."""

    schema: Schema
    fewest: int
    most: int


def make_array(making: Making, flat: Flat, place: Place, attempt: int) -> list[Any]:
    """An array that meets the array keywords of several schemas.

    Args:
        making: makes the items.
        flat: the schemas.
        place: where the array is.
        attempt: how many arrays were made before.

    Raises:
        UnusableSchema: an item cannot be made, or there cannot be as many as are asked for.
    """
    return _Array(making, flat, place, attempt).made()


class _Array:
    def __init__(self, making: Making, flat: Flat, place: Place, attempt: int) -> None:
        self._making = making
        self._schemas = flat.schemas
        self._place = place
        self._needed = [
            _Needed(
                schema=schema["contains"],
                fewest=int(schema.get("minContains", 1)),
                most=int(schema.get("maxContains", MAX_ITEMS)),
            )
            for schema in flat.schemas
            if "contains" in schema
        ]
        self._unique = any(schema.get("uniqueItems") for schema in flat.schemas)
        # An array without items to spare is the likelier to fail, so it is not tried each time.
        self._scarce = place.sparse and attempt % 2 == 0
        self._usual_most = _USUAL_MOST[min(attempt, len(_USUAL_MOST) - 1)]
        self._items: list[Any] = []
        self._seen: set[Hashable] = set()
        self._reserved: list[list[_Needed]] = []

    def made(self) -> list[Any]:
        try:
            return self._filled()
        except UnusableSchema:
            if self._scarce or not self._needed:
                raise
        # An item to spare may be one too many that meets a `contains`.
        self._scarce = True
        return self._filled()

    def _filled(self) -> list[Any]:
        self._items = []
        self._seen = set()
        least, length = self._lengths()
        least = max(least, self._reserve(length))
        for index in range(length):
            try:
                item = self._item(index)
            except UnusableSchema:
                if index < least:
                    raise
                break
            self._items.append(item)
            self._seen.add(identity(item))
        return self._items

    def _lengths(self) -> tuple[int, int]:
        """How many items are asked for at the least, and how many to make."""
        document = self._making.document
        low, high, path = 0, MAX_ITEMS, self._place.path
        first = 0
        for schema in self._schemas:
            if schema.get("minItems", 0) > low:
                low, path = int(schema["minItems"]), join(document.path(schema), "minItems")
            high = min(high, int(schema.get("maxItems", high)))
            first = max(first, len(prefix_items(schema)))
            if rest_items(schema) is False:
                high = min(high, len(prefix_items(schema)))
        if low > MAX_ITEMS:
            raise UnusableSchema(path, f"arrays of more than {MAX_ITEMS} items are not made")
        if low > high:
            raise UnusableSchema(
                path, f"{low} is above the greatest number of items allowed, {high}"
            )
        needed = sum(need.fewest for need in self._needed)
        length = max(low, needed)
        if not self._scarce:
            usual = 1 if self._place.sparse else self._making.chance.randint(1, self._usual_most)
            length = max(low, first + needed, usual)
        return low, min(length, high)

    def _reserve(self, length: int) -> int:
        """Give each ``contains`` its places, behind the first items where there is room.

        Returns:
            The number of items up to the last of those places.
        """
        self._reserved = [[] for _ in range(length)]
        total = sum(need.fewest for need in self._needed)
        first = max((len(prefix_items(schema)) for schema in self._schemas), default=0)
        index = max(min(first, length - total), 0)
        for need in self._needed:
            for _ in range(min(need.fewest, length)):
                self._reserved[index % length].append(need)
                index += 1
        return min(index, length) if total else 0

    def _item(self, index: int) -> Any:
        asked: list[Schema] = []
        for schema in self._schemas:
            first = prefix_items(schema)
            asked.append(first[index] if index < len(first) else rest_items(schema))
        if not any(_evaluates(schema, index) for schema in self._schemas):
            asked.extend(
                schema["unevaluatedItems"]
                for schema in self._schemas
                if "unevaluatedItems" in schema
            )
        asked.extend(need.schema for need in self._reserved[index])
        unwanted = [need.schema for need in self._needed if self._is_enough(need, index)]

        def is_rejected(item: Any) -> bool:
            return (self._unique and identity(item) in self._seen) or any(
                self._making.checker.is_valid(schema, item) for schema in unwanted
            )

        where = self._making.below(self._place, asked, self._place.name, "items")
        return self._making.make(tuple(asked), where, is_rejected)

    def _is_enough(self, need: _Needed, index: int) -> bool:
        """Whether an item here must not meet a ``contains``, lest there be too many."""
        if need.most >= MAX_ITEMS or need in self._reserved[index]:
            return False
        is_valid = self._making.checker.is_valid
        found = sum(is_valid(need.schema, item) for item in self._items)
        return found + sum(need in asked for asked in self._reserved[index:]) >= need.most


def _evaluates(schema: dict[str, Any], index: int) -> bool:
    return "items" in schema or index < len(prefix_items(schema))
