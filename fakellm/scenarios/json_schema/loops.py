"""References that lead back to where they came from without a step into the value.

JSON Schema (draft 2020-12, core, section 9.4.1) leaves open what such a schema means, and
validators run into the ground on it; recursion through properties and items is another matter, and
fine.
"""

from collections.abc import Iterator
from typing import Any

from fakellm.scenarios.json_schema.document import Document, Schema, children
from fakellm.scenarios.json_schema.limits import UnusableSchema, join

_IN_PLACE = frozenset({"allOf", "anyOf", "dependentSchemas", "else", "if", "not", "oneOf", "then"})
"""Keywords whose subschemas are about the same value."""


def refuse_loops(document: Document) -> None:
    """Look at all subschemas of a document.

    Raises:
        UnusableSchema: one refers to itself; the path leads to a reference of the loop.
    """
    done: set[int] = set()
    for start in document.schemas.values():
        entered: set[int] = set()
        way: list[tuple[dict[str, Any], Iterator[Schema]]] = [(start, iter([start]))]
        while way:
            schema, following = way[-1]
            step = next(following, None)
            if step is None:
                way.pop()
                done.add(id(schema))
                entered.discard(id(schema))
            elif id(step) in entered:
                raise UnusableSchema(
                    join(document.path(schema), "$ref"), "it leads back to itself, without end"
                )
            elif isinstance(step, dict) and id(step) not in done:
                document.work.spend()
                entered.add(id(step))
                way.append((step, _in_place(document, step)))


def _in_place(document: Document, schema: dict[str, Any]) -> Iterator[Schema]:
    if "$ref" in schema:
        yield document.target(schema)
    yield from (child for steps, child in children(schema) if steps[0] in _IN_PLACE)
