"""A schema, checked for its form, with all that is looked up in it: references, paths, patterns.

A document is refused as a whole where any part of it is malformed, used or not, so that chance
never decides whether a client learns of its mistake. What keywords mean for values is not known
here.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from fakellm.scenarios.json_schema.keywords import LISTS, MAPS, SINGLES, flaw_of
from fakellm.scenarios.json_schema.limits import (
    MAX_MAGNITUDE,
    MAX_NESTING,
    MAX_SCHEMAS,
    UnusableSchema,
    Work,
    join,
    shown,
)
from fakellm.scenarios.json_schema.regex import Regex
from fakellm.scenarios.json_schema.regex_syntax import UnsupportedPattern
from fakellm.scenarios.json_schema.values import identity

Schema = dict[str, Any] | bool

_INDEX_DIGITS = 9


class Document:
    """A whole schema.

    Args:
        root: the schema, as decoded from JSON.
        work: the budget that reading it is taken from.

    Raises:
        UnusableSchema: it is no schema, is malformed somewhere, or refers to what is not there.
    """

    def __init__(self, root: Any, work: Work) -> None:
        _refuse_what_json_lacks(root, work)
        self.work = work
        self.root: Schema = root
        self.schemas: dict[int, dict[str, Any]] = {}
        self._paths: dict[int, str] = {}
        self._targets: dict[int, Schema] = {}
        self._anchors: dict[str, dict[str, Any]] = {}
        self._regexes: dict[str, Regex] = {}
        self._listed: dict[int, frozenset[Any]] = {}
        self._walk(root, "")
        referring = list(self.schemas.values())
        for schema in referring:  # grows: what is referred to may refer on
            if "$ref" in schema:
                target, path = self._found(schema)
                self._targets[id(schema)] = target
                known = len(self.schemas)
                self._walk(target, path)
                referring.extend(list(self.schemas.values())[known:])

    def path(self, schema: Schema) -> str:
        """Where a subschema stands; empty for the root."""
        return self._paths.get(id(schema), "")

    def target(self, schema: dict[str, Any]) -> Schema:
        """What the ``$ref`` of a subschema refers to."""
        return self._targets[id(schema)]

    def regex(self, pattern: str) -> Regex:
        """The regular expression of a ``pattern`` or a name under ``patternProperties``."""
        return self._regexes[pattern]

    def listed(self, schema: dict[str, Any]) -> frozenset[Any]:
        """The identities (see `identity`) of what ``const`` and ``enum`` of a subschema allow."""
        known = self._listed.get(id(schema))
        if known is None:
            known = frozenset(map(identity, listed_values(schema)))
            if "enum" in schema:
                known &= frozenset(map(identity, schema["enum"]))
            self._listed[id(schema)] = known
        return known

    def _walk(self, start: Any, start_path: str) -> None:
        """Check the form of a schema and of all below it, once."""
        waiting = [(start, start_path)]
        while waiting:
            schema, path = waiting.pop()
            if isinstance(schema, bool) or id(schema) in self.schemas:
                continue
            self.work.spend()
            if not isinstance(schema, dict):
                raise UnusableSchema(
                    path, f"a schema is an object or a boolean, not {shown(schema)}"
                )
            if len(self.schemas) >= MAX_SCHEMAS:
                raise UnusableSchema("", f"there are more than {MAX_SCHEMAS} subschemas")
            self.schemas[id(schema)] = schema
            self._paths[id(schema)] = path
            self._check(schema, path)
            below = [(child, join(path, *steps)) for steps, child in children(schema)]
            waiting.extend(reversed(below))

    def _check(self, schema: dict[str, Any], path: str) -> None:
        for keyword, value in schema.items():
            flaw = flaw_of(keyword, value)
            if flaw is not None:
                raise UnusableSchema(join(path, keyword), flaw)
        if "$id" in schema and schema is not self.root:
            # It would change what references below it, and to it, mean.
            raise UnusableSchema(join(path, "$id"), "an $id inside the schema is not supported")
        if "$anchor" in schema:
            self._anchors.setdefault(schema["$anchor"], schema)
        patterns = [
            (pattern, "patternProperties") for pattern in schema.get("patternProperties", ())
        ]
        if "pattern" in schema:
            patterns.append((schema["pattern"], "pattern"))
        for pattern, keyword in patterns:
            if pattern not in self._regexes:
                self.work.spend(len(pattern))
                try:
                    self._regexes[pattern] = Regex(pattern)
                except UnsupportedPattern as error:
                    raise UnusableSchema(
                        join(path, keyword), f"{shown(pattern)}: {error}"
                    ) from None

    def _found(self, schema: dict[str, Any]) -> tuple[Any, str]:
        """The target of a reference and its path."""
        reference: str = schema["$ref"]
        path = join(self.path(schema), "$ref")
        if not reference.startswith("#"):
            raise UnusableSchema(
                path, f"{shown(reference)} is not inside this schema: only #, #/... and #anchor are"
            )
        fragment = unquote(reference[1:])
        if fragment and not fragment.startswith("/"):
            if fragment not in self._anchors:
                raise UnusableSchema(path, f"there is no $anchor {shown(fragment)}")
            anchored = self._anchors[fragment]
            return anchored, self.path(anchored)
        steps = [step.replace("~1", "/").replace("~0", "~") for step in fragment.split("/")[1:]]
        found: Any = self.root
        for step in steps:
            self.work.spend()
            if isinstance(found, dict) and step in found:
                found = found[step]
            elif isinstance(found, list) and _is_index(step, found):
                found = found[int(step)]
            else:
                raise UnusableSchema(path, f"{shown(reference)} leads to nothing")
        return found, join("", *steps)


def _is_index(step: str, items: list[Any]) -> bool:
    return (
        step.isascii()
        and step.isdecimal()
        and len(step) <= _INDEX_DIGITS
        and int(step) < len(items)
    )


def listed_values(schema: dict[str, Any]) -> list[Any]:
    """The values that the ``const`` or, without one, the ``enum`` of a subschema lists."""
    values: list[Any] = [schema["const"]] if "const" in schema else schema["enum"]
    return values


def prefix_items(schema: dict[str, Any]) -> list[Schema]:
    """The schemas of the first items; an array of ``items`` (before draft 2020-12) counts."""
    items = schema.get("items")
    return list(items if isinstance(items, list) else schema.get("prefixItems", ()))


def rest_items(schema: dict[str, Any]) -> Schema:
    """The schema of the items after the first."""
    items: Schema | list[Schema] = schema.get("items", True)
    if isinstance(items, list):
        after: Schema = schema.get("additionalItems", True)
        return after
    return items


def children(schema: dict[str, Any]) -> Iterator[tuple[tuple[object, ...], Any]]:
    """The subschemas right below a schema, each with the steps that lead to it."""
    for keyword, value in schema.items():
        if keyword in SINGLES and not (keyword == "items" and isinstance(value, list)):
            yield (keyword,), value
        elif keyword in LISTS or keyword == "items":
            yield from (((keyword, index), child) for index, child in enumerate(value))
        elif keyword in MAPS:
            yield from (((keyword, name), child) for name, child in value.items())


def _refuse_what_json_lacks(root: Any, work: Work) -> None:
    """Bound the nesting, and refuse what JSON text in UTF-8 cannot carry."""
    waiting: list[tuple[Any, str, int]] = [(root, "", 1)]
    while waiting:
        value, path, level = waiting.pop()
        work.spend()
        if level > MAX_NESTING:
            raise UnusableSchema("", f"nested more than {MAX_NESTING} levels deep")
        match value:
            case dict():
                for name, child in value.items():
                    _refuse_bad_text(name, path)
                    waiting.append((child, join(path, name), level + 1))
            case list():
                waiting.extend(
                    (child, join(path, index), level + 1) for index, child in enumerate(value)
                )
            case str():
                _refuse_bad_text(value, path)
            case bool() | None:
                pass
            case int() | float():
                if abs(value) <= MAX_MAGNITUDE:  # not so for NaN
                    continue
                raise UnusableSchema(path, "numbers beyond 1e300 are not supported")
            case _:
                raise UnusableSchema(path, f"a {type(value).__name__} is not JSON")


def _refuse_bad_text(text: Any, path: str) -> None:
    if not isinstance(text, str):
        raise UnusableSchema(path, f"a name is a string, not a {type(text).__name__}")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UnusableSchema(path, "half a surrogate pair is no text") from None
