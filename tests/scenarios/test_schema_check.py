"""The own checker of values against the `jsonschema` library, keyword by keyword."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from twisted.trial.unittest import SynchronousTestCase

from fakellm.scenarios.json_schema.check import Checker
from fakellm.scenarios.json_schema.document import Document
from fakellm.scenarios.json_schema.formats import FORMATS
from fakellm.scenarios.json_schema.limits import UnusableSchema, Work

VALUES: list[Any] = [
    None, True, False, 0, 1, 1.0, -3, 2.5, 7, 0.3, 1e308, "", "a", "abc", "7", "a1", "é",
    [], [1], [1, 1.0], [1, True], ["a", "b", "a"], [[], []], [None, 1, "x"], [5, 7],
    {}, {"a": 1}, {"a": "x", "b": 2}, {"b": None}, {"b": True}, {"x1": 1, "a": 0}, {"a": {"a": {}}},
]  # fmt: skip

SCHEMAS: list[Any] = [
    True, False, {}, {"type": "integer"}, {"type": "number"}, {"type": ["string", "null"]},
    {"type": "boolean"}, {"type": "object"}, {"type": "array"}, {"const": 1}, {"const": [1, 1]},
    {"enum": [True, {"a": 1.0}, "a"]}, {"const": 1, "enum": [True, 1]}, {"const": 0, "enum": [1]},
    {"minimum": 1}, {"maximum": 1}, {"exclusiveMinimum": 1}, {"exclusiveMaximum": 1},
    {"multipleOf": 2}, {"multipleOf": 0.1}, {"multipleOf": 1e-308}, {"multipleOf": 2.5},
    {"minLength": 2}, {"maxLength": 2}, {"pattern": "^[a-z]"}, {"format": "date"}, {"format": "?"},
    {"minItems": 2}, {"maxItems": 1}, {"uniqueItems": True}, {"uniqueItems": False},
    {"items": {"type": "integer"}}, {"prefixItems": [{"type": "null"}], "items": False},
    {"prefixItems": [{"type": "integer"}]}, {"contains": {"minimum": 5}},
    {"contains": {"const": "a"}, "minContains": 2}, {"contains": {"const": "a"}, "maxContains": 1},
    {"contains": False, "minContains": 0},
    {"properties": {"a": {"type": "integer"}}}, {"required": ["a"]},
    {"additionalProperties": False},
    {"properties": {"a": True}, "patternProperties": {"[0-9]$": {"const": 1}},
     "additionalProperties": {"type": "integer"}},
    {"propertyNames": {"maxLength": 1}}, {"minProperties": 2}, {"maxProperties": 1},
    {"dependentRequired": {"a": ["b"]}}, {"dependentSchemas": {"a": {"required": ["x1"]}}},
    {"anyOf": [{"type": "null"}, {"minimum": 2}]}, {"oneOf": [{"minimum": 1}, {"maximum": 3}]},
    {"allOf": [{"minimum": 1}, {"maximum": 3}]}, {"not": {"type": "integer"}},
    {"if": {"type": "integer"}, "then": {"minimum": 1}, "else": {"type": "string"}},
    {"if": {"type": "integer"}, "then": {"minimum": 1}}, {"if": {"type": "integer"}, "else": False},
    {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object", "properties": {"a": {"$ref": "#"}}}}},
]  # fmt: skip

LIKELY_TEXTS = [
    "", "a", "a.b", "-a", "a-", "a" * 64, ".".join(["a" * 50] * 6), "a_b", "a@b", "a b", "é.com",
    "2024-02-29", "2023-02-29", "2024-1-1", "10:00:00Z", "10:00:00+02:00", "25:00:00Z", "10:00",
    "2024-02-29T10:00:00Z", "2024-02-29t10:00:00.5z", "2024-02-30T10:00:00Z", "P1D", "P", "PT",
    "P1W",
    "P1Y2M3DT4H5M6S", "PT5M", "1D", "127.0.0.1", "256.0.0.1", "::1", "fe80::1%eth0", "g::1",
    "https://example.com/a?b#c", "https://example.com/a b", "mailto:a@b", "//a/b", "/a/b", "a:b",
    "https://exämple.com", "123e4567-e89b-12d3-a456-426614174000",
    "123e4567e89b12d3a456426614174000",
    "/a~1b", "/a~2b", "0/a", "1#", "01", "^[a-z]+$", "[", "(",
]  # fmt: skip


def own(schema: Any, value: Any) -> bool:
    document = Document(schema, Work())
    return Checker(document).is_valid(document.root, value)


def theirs(schema: Any, value: Any) -> bool:
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    return bool(validator.is_valid(value))


class CheckerTests(SynchronousTestCase):
    def test_it_agrees_with_jsonschema_on_each_keyword(self) -> None:
        for schema in SCHEMAS:
            for value in VALUES:
                self.assertEqual(own(schema, value), theirs(schema, value), (schema, value))

    def test_it_agrees_with_jsonschema_on_each_format(self) -> None:
        for name in FORMATS:
            for text in LIKELY_TEXTS:
                schema = {"format": name}
                self.assertEqual(own(schema, text), theirs(schema, text), (name, text))

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(
        value=st.floats(-100, 100).map(lambda number: round(number, 2)),
        step=st.sampled_from([0.01, 0.05, 0.1, 0.25, 0.5, 1, 3]),
    )
    def test_it_agrees_with_jsonschema_on_what_is_a_multiple(
        self, value: float, step: float
    ) -> None:
        schema = {"multipleOf": step}
        self.assertEqual(own(schema, value), theirs(schema, value))

    def test_exclusive_bounds_of_draft_4_are_understood(self) -> None:
        above = {"minimum": 1, "exclusiveMinimum": True}
        below = {"maximum": 1, "exclusiveMaximum": True}
        self.assertEqual([own(above, 1), own(above, 2)], [False, True])
        self.assertEqual([own(below, 1), own(below, 0)], [False, True])
        self.assertTrue(own({"minimum": 1, "exclusiveMinimum": False}, 1))

    def test_arrays_of_items_as_before_draft_2020_12_are_understood(self) -> None:
        schema = {"items": [{"type": "integer"}], "additionalItems": False}
        self.assertEqual(
            [own(schema, [1]), own(schema, ["a"]), own(schema, [1, 1])], [True, False, False]
        )
        self.assertTrue(own({"items": [{"type": "integer"}]}, [1, "a"]))

    def test_references_that_only_lead_on_are_refused(self) -> None:
        with self.assertRaises(UnusableSchema) as caught:
            own({"not": {"$ref": "#"}}, 1)
        self.assertIn("too far", caught.exception.reason)
