"""Whether a value meets a schema, by the keywords that values are made from.

It agrees with the ``jsonschema`` library (draft 2020-12, formats checked), down to how a remainder
is told from rounding; ``unevaluated...`` keywords are not looked at. It serves made values, which
are small; each step is taken from the document's budget of work.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from fakellm.scenarios.json_schema.document import Document, Schema, prefix_items, rest_items
from fakellm.scenarios.json_schema.formats import FORMATS
from fakellm.scenarios.json_schema.limits import UnusableSchema
from fakellm.scenarios.json_schema.values import IS_TYPE, identity

_MAX_HOPS = 160  # from schema to subschema; more than any made value needs


class Checker:
    """Checks values against the subschemas of one document.

    Args:
        document: what the schemas belong to.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self._hops = 0

    def is_valid(self, schema: Schema, value: Any) -> bool:
        """Whether a value meets a schema of the document.

        Raises:
            UnusableSchema: references lead on too far.
        """
        if isinstance(schema, bool):
            return schema
        self.document.work.spend()
        if self._hops > _MAX_HOPS:
            raise UnusableSchema(self.document.path(schema), "references lead on too far")
        self._hops += 1
        try:
            for keyword in schema:
                type_name, check = _CHECKS.get(keyword, _NOTHING)
                if type_name and IS_TYPE[type_name](value) and not check(self, schema, value):
                    return False
        finally:
            self._hops -= 1
        return True

    def matches(self, pattern: str, text: str) -> bool:
        """Whether a pattern of the document matches somewhere in a text."""
        return self.document.regex(pattern).is_in(text, self.document.work.spend)

    def declares(self, schema: dict[str, Any], name: str) -> bool:
        """Whether a property is not an additional one."""
        return name in schema.get("properties", ()) or any(
            self.matches(pattern, name) for pattern in schema.get("patternProperties", ())
        )


_Check = Callable[[Checker, dict[str, Any], Any], bool]


def _type(_checker: Checker, schema: dict[str, Any], value: Any) -> bool:
    names = schema["type"]
    return any(IS_TYPE[name](value) for name in ([names] if isinstance(names, str) else names))


def _listed(checker: Checker, schema: dict[str, Any], value: Any) -> bool:
    return identity(value) in checker.document.listed(schema)


def _ref(checker: Checker, schema: dict[str, Any], value: Any) -> bool:
    return checker.is_valid(checker.document.target(schema), value)


def _all_of(checker: Checker, schema: dict[str, Any], value: Any) -> bool:
    return all(checker.is_valid(branch, value) for branch in schema["allOf"])


def _any_of(checker: Checker, schema: dict[str, Any], value: Any) -> bool:
    return any(checker.is_valid(branch, value) for branch in schema["anyOf"])


def _one_of(checker: Checker, schema: dict[str, Any], value: Any) -> bool:
    return sum(checker.is_valid(branch, value) for branch in schema["oneOf"]) == 1


def _not(checker: Checker, schema: dict[str, Any], value: Any) -> bool:
    return not checker.is_valid(schema["not"], value)


def _if(checker: Checker, schema: dict[str, Any], value: Any) -> bool:
    branch = "then" if checker.is_valid(schema["if"], value) else "else"
    return checker.is_valid(schema.get(branch, True), value)


def _minimum(_checker: Checker, schema: dict[str, Any], value: Any) -> bool:
    bound = schema["minimum"]
    # `exclusiveMinimum: true` is how drafts before the sixth said it.
    return bool(value > bound or (value == bound and schema.get("exclusiveMinimum") is not True))


def _maximum(_checker: Checker, schema: dict[str, Any], value: Any) -> bool:
    bound = schema["maximum"]
    return bool(value < bound or (value == bound and schema.get("exclusiveMaximum") is not True))


def _exclusive_minimum(_checker: Checker, schema: dict[str, Any], value: Any) -> bool:
    bound = schema["exclusiveMinimum"]
    return isinstance(bound, bool) or bool(value > bound)


def _exclusive_maximum(_checker: Checker, schema: dict[str, Any], value: Any) -> bool:
    bound = schema["exclusiveMaximum"]
    return isinstance(bound, bool) or bool(value < bound)


def _multiple_of(_checker: Checker, schema: dict[str, Any], value: Any) -> bool:
    step = schema["multipleOf"]
    if not isinstance(step, float):
        return bool(value % step == 0)
    quotient = value / step
    if math.isinf(quotient):
        return (Fraction(value) / Fraction(step)).denominator == 1
    return bool(int(quotient) == quotient)


def _pattern(checker: Checker, schema: dict[str, Any], value: Any) -> bool:
    return checker.matches(schema["pattern"], value)


def _format(_checker: Checker, schema: dict[str, Any], value: Any) -> bool:
    known = FORMATS.get(schema["format"])
    return known is None or known.holds(value)


def _properties(checker: Checker, schema: dict[str, Any], value: Any) -> bool:
    return all(
        checker.is_valid(child, value[name])
        for name, child in schema["properties"].items()
        if name in value
    )


def _pattern_properties(checker: Checker, schema: dict[str, Any], value: Any) -> bool:
    return all(
        checker.is_valid(child, value[name])
        for pattern, child in schema["patternProperties"].items()
        for name in value
        if checker.matches(pattern, name)
    )


def _additional_properties(checker: Checker, schema: dict[str, Any], value: Any) -> bool:
    return all(
        checker.is_valid(schema["additionalProperties"], value[name])
        for name in value
        if not checker.declares(schema, name)
    )


def _property_names(checker: Checker, schema: dict[str, Any], value: Any) -> bool:
    return all(checker.is_valid(schema["propertyNames"], name) for name in value)


def _required(_checker: Checker, schema: dict[str, Any], value: Any) -> bool:
    return all(name in value for name in schema["required"])


def _dependent_required(_checker: Checker, schema: dict[str, Any], value: Any) -> bool:
    return all(
        other in value
        for name, others in schema["dependentRequired"].items()
        if name in value
        for other in others
    )


def _dependent_schemas(checker: Checker, schema: dict[str, Any], value: Any) -> bool:
    return all(
        checker.is_valid(child, value)
        for name, child in schema["dependentSchemas"].items()
        if name in value
    )


def _prefix_items(checker: Checker, schema: dict[str, Any], value: Any) -> bool:
    return all(map(checker.is_valid, prefix_items(schema), value))


def _items(checker: Checker, schema: dict[str, Any], value: Any) -> bool:
    first = prefix_items(schema)
    rest = rest_items(schema)
    return all(map(checker.is_valid, first, value)) and all(
        checker.is_valid(rest, item) for item in value[len(first) :]
    )


def _contains(checker: Checker, schema: dict[str, Any], value: Any) -> bool:
    found = sum(checker.is_valid(schema["contains"], item) for item in value)
    return bool(schema.get("minContains", 1) <= found <= schema.get("maxContains", len(value)))


def _unique_items(_checker: Checker, schema: dict[str, Any], value: Any) -> bool:
    return not schema["uniqueItems"] or len(set(map(identity, value))) == len(value)


def _at_least(keyword: str) -> _Check:
    return lambda _checker, schema, value: bool(len(value) >= schema[keyword])


def _at_most(keyword: str) -> _Check:
    return lambda _checker, schema, value: bool(len(value) <= schema[keyword])


_NOTHING: tuple[str, _Check] = ("", _type)
_CHECKS: dict[str, tuple[str, _Check]] = {
    "$ref": ("any", _ref),
    "additionalProperties": ("object", _additional_properties),
    "allOf": ("any", _all_of),
    "anyOf": ("any", _any_of),
    "const": ("any", _listed),
    "contains": ("array", _contains),
    "dependentRequired": ("object", _dependent_required),
    "dependentSchemas": ("object", _dependent_schemas),
    "enum": ("any", _listed),
    "exclusiveMaximum": ("number", _exclusive_maximum),
    "exclusiveMinimum": ("number", _exclusive_minimum),
    "format": ("string", _format),
    "if": ("any", _if),
    "items": ("array", _items),
    "maxItems": ("array", _at_most("maxItems")),
    "maxLength": ("string", _at_most("maxLength")),
    "maxProperties": ("object", _at_most("maxProperties")),
    "maximum": ("number", _maximum),
    "minItems": ("array", _at_least("minItems")),
    "minLength": ("string", _at_least("minLength")),
    "minProperties": ("object", _at_least("minProperties")),
    "minimum": ("number", _minimum),
    "multipleOf": ("number", _multiple_of),
    "not": ("any", _not),
    "oneOf": ("any", _one_of),
    "pattern": ("string", _pattern),
    "patternProperties": ("object", _pattern_properties),
    "prefixItems": ("array", _prefix_items),
    "properties": ("object", _properties),
    "propertyNames": ("object", _property_names),
    "required": ("object", _required),
    "type": ("any", _type),
    "uniqueItems": ("array", _unique_items),
}
