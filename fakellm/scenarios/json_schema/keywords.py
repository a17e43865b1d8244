"""The keywords of JSON Schema (draft 2020-12, and what older drafts wrote) and the form of each.

Unknown keywords are nobody's business, as the specification has it. A flaw is said in words a
person understands, and whether a keyword's value can be met is not asked here.
"""

from collections.abc import Callable
from typing import Any

from fakellm.scenarios.json_schema.limits import shown
from fakellm.scenarios.json_schema.values import TYPES, is_number

SINGLES = frozenset(
    {
        "additionalItems",
        "additionalProperties",
        "contains",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
"""Keywords that hold a subschema."""

LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
"""Keywords that hold an array of subschemas."""

MAPS = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})
"""Keywords that hold subschemas by name."""


def flaw_of(keyword: str, value: Any) -> str | None:
    """What is wrong with the form of a keyword's value; ``None`` where nothing is."""
    check = _FORMS.get(keyword)
    return None if check is None else check(value)


def _type(value: Any) -> str | None:
    names = value if isinstance(value, list) and value else [value]
    for name in names:
        if name not in TYPES:
            return f"{shown(name)} is not a type: those are {', '.join(TYPES)}"
    return None


def _names(value: Any) -> str | None:
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return None
    return f"must be an array of names, not {shown(value)}"


def _names_by_name(value: Any) -> str | None:
    if isinstance(value, dict) and not any(map(_names, value.values())):
        return None
    return f"must be an object of arrays of names, not {shown(value)}"


def _map(value: Any) -> str | None:
    return None if isinstance(value, dict) else f"must be an object, not {shown(value)}"


def _filled_list(value: Any) -> str | None:
    if isinstance(value, list) and value:
        return None
    return f"must be an array of at least one, not {shown(value)}"


def _list(value: Any) -> str | None:
    return None if isinstance(value, list) else f"must be an array, not {shown(value)}"


def _count(value: Any) -> str | None:
    if is_number(value) and value >= 0 and value == int(value):
        return None
    return f"must be a whole number from 0 on, not {shown(value)}"


def _number(value: Any) -> str | None:
    return None if is_number(value) else f"must be a number, not {shown(value)}"


def _number_or_boolean(value: Any) -> str | None:
    return None if isinstance(value, bool) else _number(value)


def _step(value: Any) -> str | None:
    if is_number(value) and value > 0:
        return None
    return f"must be a number above 0, not {shown(value)}"


def _boolean(value: Any) -> str | None:
    return None if isinstance(value, bool) else f"must be true or false, not {shown(value)}"


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else f"must be a string, not {shown(value)}"


def _unsupported(_value: Any) -> str | None:
    return "is not supported"


_FORMS: dict[str, Callable[[Any], str | None]] = {
    **dict.fromkeys(MAPS, _map),
    **dict.fromkeys(LISTS, _filled_list),
    "prefixItems": _list,
    "type": _type,
    "enum": _filled_list,
    "required": _names,
    "dependentRequired": _names_by_name,
    **dict.fromkeys(
        (
            "maxContains",
            "maxItems",
            "maxLength",
            "maxProperties",
            "minContains",
            "minItems",
            "minLength",
            "minProperties",
        ),
        _count,
    ),
    "minimum": _number,
    "maximum": _number,
    "exclusiveMinimum": _number_or_boolean,  # a boolean before draft 6
    "exclusiveMaximum": _number_or_boolean,
    "multipleOf": _step,
    "uniqueItems": _boolean,
    "pattern": _text,
    "format": _text,
    "$ref": _text,
    "$anchor": _text,
    "$dynamicRef": _unsupported,
    "$recursiveRef": _unsupported,
}
