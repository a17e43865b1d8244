"""How many levels of objects and arrays a schema asks for at the least: what ends recursion.

A height is a lower bound where keywords stand beside one another; it is infinite where a value
would have to contain itself without end.
"""

import math
from collections import defaultdict, deque
from typing import Any

from fakellm.scenarios.json_schema.document import (
    Document,
    Schema,
    children,
    prefix_items,
    rest_items,
)
from fakellm.scenarios.json_schema.values import TYPES

_SCALARS = frozenset(TYPES) - {"object", "array"}


class Heights:
    """The least heights of all subschemas of a document, 1 for a scalar.

    Args:
        document: its budget of work is used.
    """

    def __init__(self, document: Document) -> None:
        self._document = document
        self._known: dict[int, float] = dict.fromkeys(document.schemas, math.inf)
        users = defaultdict(list)
        for schema in document.schemas.values():
            below = [child for _, child in children(schema)]
            if "$ref" in schema:
                below.append(document.target(schema))
            for child in below:
                users[id(child)].append(schema)
        # Children come after their parents in a document: this way round most are settled at once.
        waiting = deque(reversed(document.schemas.values()))
        while waiting:
            schema = waiting.popleft()
            document.work.spend()
            height = self._height(schema)
            if height < self._known[id(schema)]:
                self._known[id(schema)] = height
                waiting.extend(users[id(schema)])

    def of(self, *schemas: Schema) -> float:
        """The least height of a value that meets all of several schemas."""
        # Booleans are not recursive; what `false` rules out is found out where it is met.
        return max((self._known.get(id(schema), 1) for schema in schemas), default=1)

    def _height(self, schema: dict[str, Any]) -> float:
        heights = [self._own_height(schema), self.of(*schema.get("allOf", ()))]
        if "$ref" in schema:
            heights.append(self.of(self._document.target(schema)))
        heights.extend(
            min(self.of(branch) for branch in schema[keyword])
            for keyword in ("anyOf", "oneOf")
            if keyword in schema
        )
        if "if" in schema:
            met = self.of(schema["if"], schema.get("then", True))
            heights.append(min(met, self.of(schema.get("else", True))))
        return max(heights)

    def _own_height(self, schema: dict[str, Any]) -> float:
        named = schema.get("type", "null")
        types = {named} if isinstance(named, str) else set(named)
        if types & _SCALARS or "const" in schema or "enum" in schema:
            return 1
        heights = []
        if "object" in types:
            properties = schema.get("properties", {})
            required = [properties.get(name, True) for name in schema.get("required", ())]
            heights.append(1 + self.of(*required))
        if "array" in types:
            heights.append(1 + self.of(*_needed_items(schema)))
        return min(heights)


def _needed_items(schema: dict[str, Any]) -> list[Schema]:
    needed = prefix_items(schema)
    fewest = int(schema.get("minItems", 0))
    if fewest > len(needed):
        needed.append(rest_items(schema))
    if "contains" in schema and schema.get("minContains", 1) >= 1:
        needed.append(schema["contains"])
        fewest = max(fewest, len(needed))
    return needed[:fewest]
