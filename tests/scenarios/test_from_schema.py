"""Values made from JSON Schemas: valid, plausible, the same for the same seed, and never a hang."""

import datetime as dt
import decimal
import enum
import json
import os
import random
import re
import subprocess
import sys
import uuid
from typing import Any, Literal, Optional, Union

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator
from openai.lib._pydantic import to_strict_json_schema
from pydantic import BaseModel, Field
from twisted.trial.unittest import SynchronousTestCase

from fakellm.scenarios import from_schema
from fakellm.scenarios.from_schema import UnusableSchema, make_value
from fakellm.scenarios.json_schema.formats import FORMATS
from fakellm.scenarios.json_schema.limits import Work

SEEDS = range(12)

Json = Any


def made(schema: Json, seeds: range = SEEDS) -> list[Any]:
    """What different seeds make of a schema, each checked by `jsonschema`."""
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    values = []
    for seed in seeds:
        value = make_value(schema, random.Random(seed))
        validator.validate(value)
        values.append(value)
    return values


def refused(schema: Json) -> UnusableSchema:
    """Why nothing can be made of a schema."""
    try:
        value = make_value(schema, random.Random(0))
    except UnusableSchema as error:
        return error
    raise AssertionError(f"made {value!r}")


class Case(SynchronousTestCase):
    def assert_refused(self, schema: Json, path: str, reason: str) -> None:
        error = refused(schema)
        self.assertEqual(error.path, path)
        self.assertIn(reason, error.reason)
        self.assertEqual(str(error), f"{path}: {error.reason}" if path else error.reason)


class ScalarTests(Case):
    def test_each_type_makes_values_of_it(self) -> None:
        for name, types in {
            "string": {str}, "integer": {int}, "number": {float}, "boolean": {bool},
            "null": {type(None)}, "object": {dict}, "array": {list},
        }.items():  # fmt: skip
            self.assertEqual(set(map(type, made({"type": name}))), types)

    def test_of_several_types_all_are_made_and_null_seldom(self) -> None:
        values = made({"type": ["integer", "string", "null"]}, range(100))
        self.assertEqual({type(value) for value in values}, {int, str, type(None)})
        self.assertLess(values.count(None), 30)

    def test_numbers_keep_to_their_bounds(self) -> None:
        self.assertEqual(set(made({"type": "integer", "minimum": 3, "maximum": 4})), {3, 4})
        bounds = {"exclusiveMinimum": 3, "exclusiveMaximum": 5}
        self.assertEqual(set(made({"type": "integer", **bounds})), {4})
        for low, high in ((0, 1), (-7.5, -7.25), (1e9, 1e9 + 1), (0.1, 0.1), (1e-12, 2e-12)):
            made({"type": "number", "minimum": low, "maximum": high})
        made({"type": "integer", "minimum": 10**20})
        made({"type": "integer", "maximum": -(10**20)})
        made({"type": "number", "minimum": 1, "maximum": 2, "exclusiveMinimum": 1.5})

    def test_exclusive_bounds_of_draft_4_are_kept(self) -> None:
        schema = {"type": "integer", "minimum": 3, "exclusiveMinimum": True, "maximum": 4}
        self.assertEqual({make_value(schema, random.Random(seed)) for seed in SEEDS}, {4})

    def test_multiples_are_multiples_by_decimals_and_by_division_of_doubles(self) -> None:
        for value in made({"type": "number", "multipleOf": 0.01}, range(200)):
            self.assertEqual(decimal.Decimal(repr(value)) % decimal.Decimal("0.01"), 0)
        self.assertEqual(set(made({"type": "integer", "multipleOf": 70})), {70})
        self.assertEqual(set(made({"type": "integer", "multipleOf": 2.5, "maximum": 9})), {5})
        for value in made({"type": "integer", "multipleOf": 1000}):
            self.assertTrue(value)
        both = {"allOf": [{"multipleOf": 4}, {"multipleOf": 6}], "type": "integer", "minimum": 1}
        self.assertEqual({value % 12 for value in made(both)}, {0})

    def test_strings_have_the_length_asked_for(self) -> None:
        lengths = {len(text) for text in made({"type": "string", "minLength": 70})}
        self.assertTrue(70 <= min(lengths) <= max(lengths) <= 85, lengths)
        for low, high in ((1, 1), (0, 0), (6, 6), (13, 14)):
            made({"type": "string", "minLength": low, "maxLength": high})

    def test_patterns_are_matched(self) -> None:
        for pattern in (
            r"^\d{3}-\d{4}$", "^[A-Z]{2}[0-9]+$", "x$", "^(foo|bar)[^a-z]?$", r"\bfox\b",
            r"^(?=.*\d)(?=.*[a-z])[a-z0-9]{8,}$", r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$",
        ):  # fmt: skip
            made({"type": "string", "pattern": pattern})
            if "foo" not in pattern:
                made({"type": "string", "pattern": pattern, "minLength": 8, "maxLength": 8})

    def test_two_patterns_at_once_are_matched_by_what_satisfies_both(self) -> None:
        made({"allOf": [{"pattern": "^[a-z]+$"}, {"pattern": "^.{3}$"}], "type": "string"})
        made({"type": "string", "pattern": "^[a-z0-9@.]+$", "format": "email"})

    def test_formats_are_kept(self) -> None:
        for name in [*FORMATS, "int32", "binary", "unknown"]:
            self.assertGreater(len(set(made({"type": "string", "format": name}))), 0)

    def test_formats_that_can_be_longer_or_shorter_are(self) -> None:
        for name in (
            "email", "hostname", "idn-email", "iri", "json-pointer", "regex", "uri",
            "uri-reference", "relative-json-pointer",
        ):  # fmt: skip
            for length in (5, 40, 130):
                bounds = {"minLength": length, "maxLength": length}
                values = made({"type": "string", "format": name, **bounds}, range(2))
                self.assertEqual({len(value) for value in values}, {length})

    def test_the_property_name_says_what_to_expect(self) -> None:
        names = ["userEmail", "city", "homepage_url", "authorName", "phone", "address", "title",
                 "order_id", "answers", "tags", "42"]  # fmt: skip
        properties: dict[str, Json] = {name: {"type": "string"} for name in names}
        properties["age"] = {"type": "integer"}
        for value in made({"properties": properties, "required": [*names, "age"]}):
            self.assertIn("@example.com", value["userEmail"])
            self.assertRegex(value["homepage_url"], "^https://example.com/")
            self.assertRegex(value["authorName"], "^[A-Z][a-z]+ [A-Z][a-z]+$")
            self.assertRegex(value["city"], "^[A-Z][a-z]+$")
            self.assertRegex(value["answers"], r"\.$")
            self.assertRegex(value["order_id"], r"\d$")
            self.assertIn(value["age"], range(18, 81))


class EnumTests(Case):
    def test_one_of_the_listed_values_is_made(self) -> None:
        self.assertEqual(set(made({"enum": ["a", "b"]})), {"a", "b"})
        self.assertEqual(set(made({"enum": list(range(50))}, range(300))), set(range(50)))
        self.assertEqual(made({"const": {"a": [1]}})[0], {"a": [1]})

    def test_a_listed_value_has_to_meet_the_rest_as_well(self) -> None:
        self.assertEqual(
            set(made({"enum": [1, "a", None, 20], "type": "integer", "maximum": 9})), {1}
        )
        self.assertEqual(set(made({"enum": [1, 2], "const": 2})), {2})
        self.assertEqual(set(made({"enum": [*range(99), "a"], "type": "string"})), {"a"})
        self.assert_refused({"enum": [1, 2], "type": "string"}, "enum", "nothing it lists")
        self.assert_refused({"const": 1, "minimum": 2}, "const", "nothing it lists")

    def test_what_is_made_shares_nothing_with_the_schema(self) -> None:
        schema: Json = {"const": {"a": []}}
        make_value(schema, random.Random(0))["a"].append(1)
        self.assertEqual(schema, {"const": {"a": []}})


class ObjectTests(Case):
    def test_required_properties_are_there_and_optional_ones_as_a_rule(self) -> None:
        schema = {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}},
                  "required": ["a", "c"]}  # fmt: skip
        values = made(schema, range(100))
        self.assertEqual({"a" in value and "c" in value for value in values}, {True})
        self.assertGreater(sum("b" in value for value in values), 70)
        self.assertLess(sum("b" in value for value in values), 100)

    def test_properties_come_in_the_order_of_the_schema(self) -> None:
        names = ["z", "m", "a"]
        schema = {"properties": dict.fromkeys(names, True), "required": sorted(names)}
        self.assertEqual(list(made(schema)[0]), names)

    def test_no_property_is_invented_where_properties_are_named(self) -> None:
        self.assertEqual(made({"type": "object", "properties": {}})[0], {})
        self.assertEqual(made({"type": "object", "additionalProperties": False})[0], {})

    def test_dictionaries_get_a_few_entries(self) -> None:
        for schema in (
            {"type": "object", "additionalProperties": {"type": "integer"}},
            {"type": "object", "patternProperties": {"^x-[a-z]{3}$": {"type": "integer"}},
             "additionalProperties": False},
            {"type": "object", "propertyNames": {"pattern": "^[A-Z]{3}$"}},
            {"type": "object", "propertyNames": {"enum": ["a", "b"]},
             "additionalProperties": {"type": "boolean"}},
        ):  # fmt: skip
            self.assertTrue(all(1 <= len(value) <= 3 for value in made(schema)), schema)

    def test_a_property_meets_its_own_schema_and_those_of_its_patterns(self) -> None:
        schema = {"properties": {"ab": {"minimum": 5}}, "required": ["ab", "b"],
                  "patternProperties": {"^a": {"type": "integer", "maximum": 6}},
                  "additionalProperties": {"type": "boolean"}}  # fmt: skip
        self.assertEqual({value["ab"] for value in made(schema)}, {5, 6})
        self.assertEqual({value["b"] for value in made(schema)}, {True, False})

    def test_the_number_of_properties_is_kept(self) -> None:
        five = {name: {"type": "null"} for name in "abcde"}
        self.assertEqual({len(v) for v in made({"properties": five, "maxProperties": 2})}, {2})
        self.assertEqual({len(v) for v in made({"properties": five, "minProperties": 5})}, {5})
        self.assertEqual({len(v) for v in made({"type": "object", "minProperties": 12})}, {12})
        named = {"minProperties": 3, "propertyNames": {"enum": ["a", "b", "c"]}}
        self.assertEqual({len(v) for v in made({"type": "object", **named})}, {3})

    def test_properties_that_depend_on_others_come_with_them(self) -> None:
        schema = {
            "properties": {"card": {"type": "string"}},
            "dependentRequired": {"card": ["address"], "address": ["city", "card"]},
        }
        self.assertIn(3, {len(value) for value in made(schema)})
        self.assertEqual({len(v) for v in made({**schema, "maxProperties": 1})}, {0})
        made(
            {"properties": {"a": {"type": "null"}}, "dependentSchemas": {"a": {"required": ["b"]}}}
        )
        impossible = {"properties": {"a": {"type": "null"}}, "dependentSchemas": {"a": False}}
        self.assertEqual(made({"type": "object", **impossible})[0], {})

    def test_an_optional_property_that_cannot_be_is_left_out(self) -> None:
        self.assertEqual(made({"type": "object", "properties": {"a": False}})[0], {})

    def test_nothing_unevaluated_is_invented(self) -> None:
        schema = {"type": "object", "allOf": [{"properties": {"a": {"type": "null"}}}],
                  "required": ["a"], "unevaluatedProperties": False}  # fmt: skip
        self.assertEqual(made(schema)[0], {"a": None})
        self.assert_refused({**schema, "minProperties": 2}, "minProperties", "only 1 of 2")
        items = {"type": "array", "prefixItems": [{"type": "null"}], "unevaluatedItems": False}
        self.assertEqual(made(items)[0], [None])
        self.assertEqual(made({**items, "items": {"const": 1}, "minItems": 2})[0], [None, 1])

    def test_what_cannot_be_met_is_said(self) -> None:
        self.assert_refused(
            {"type": "object", "required": ["a"], "properties": {"a": False}},
            "properties.a",
            "false",
        )
        self.assert_refused(
            {"type": "object", "required": ["a", "b"], "maxProperties": 1},
            "maxProperties", "2 properties are required, which is above 1",
        )  # fmt: skip
        self.assert_refused(
            {"type": "object", "minProperties": 2, "maxProperties": 1},
            "minProperties",
            "2 is above",
        )
        self.assert_refused(
            {"type": "object", "minProperties": 2, "additionalProperties": False},
            "minProperties", "only 0 of 2",
        )  # fmt: skip
        self.assert_refused(
            {"type": "object", "minProperties": 2, "propertyNames": {"const": "a"}},
            "minProperties", "only 1 of 2",
        )  # fmt: skip
        self.assert_refused(
            {"type": "object", "required": ["ab"], "propertyNames": {"maxLength": 1}},
            "propertyNames", 'rule out "ab"',
        )  # fmt: skip
        self.assert_refused({"type": "object", "minProperties": 9999}, "minProperties", "not made")


class ArrayTests(Case):
    def test_arrays_have_one_to_three_items(self) -> None:
        lengths = {len(value) for value in made({"type": "array", "items": {"type": "integer"}})}
        self.assertEqual(lengths, {1, 2, 3})

    def test_the_number_of_items_is_kept(self) -> None:
        self.assertEqual({len(v) for v in made({"type": "array", "minItems": 7})}, {7})
        self.assertEqual({len(v) for v in made({"type": "array", "maxItems": 0})}, {0})

    def test_tuples_are_filled(self) -> None:
        pair = {"prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False}
        self.assertEqual({len(value) for value in made({"type": "array", **pair})}, {2})
        longer = {"prefixItems": [{"type": "integer"}], "items": {"type": "null"}, "minItems": 3}
        self.assertEqual({tuple(value[1:]) for value in made(longer)}, {(None, None)})

    def test_tuples_as_drafts_before_2020_12_have_them_are_filled(self) -> None:
        schema = {"type": "array", "items": [{"type": "integer"}, {"type": "null"}],
                  "additionalItems": False}  # fmt: skip
        for seed in SEEDS:
            value = make_value(schema, random.Random(seed))
            Draft7Validator(schema).validate(value)
            self.assertEqual(len(value), 2)

    def test_unique_items_differ(self) -> None:
        for items in (
            {"enum": [1, 2, 3, True]},
            {"type": "boolean"},
            {"type": "integer", "maximum": 2},
        ):
            made({"type": "array", "items": items, "uniqueItems": True, "minItems": 2})
        made({"type": "array", "items": {"type": "integer"}, "uniqueItems": True, "minItems": 300},
             range(2))  # fmt: skip
        all_four = {"items": {"enum": [1, 2, 3, True]}, "uniqueItems": True, "minItems": 4}
        self.assertEqual({len(value) for value in made({"type": "array", **all_four})}, {4})
        few = {"type": "array", "items": {"const": 1}, "uniqueItems": True}
        self.assertEqual(made(few)[0], [1])
        self.assert_refused({**few, "minItems": 2}, "items.const", "nothing it lists")

    def test_arrays_contain_what_is_asked_for_as_often_as_asked_for(self) -> None:
        seven = {"contains": {"const": 7}}
        values = made({"type": "array", "items": {"type": "integer"}, **seven})
        self.assertEqual({7 in value for value in values}, {True})
        made(
            {
                "type": "array",
                "items": {"enum": [7, 8]},
                **seven,
                "minContains": 2,
                "maxContains": 3,
            }
        )
        made(
            {
                "type": "array",
                "items": {"enum": [7, 8]},
                **seven,
                "minContains": 0,
                "maxContains": 0,
            }
        )
        made({"type": "array", "prefixItems": [{"type": "string"}], **seven})
        made({"type": "array", "prefixItems": [{"enum": [7, 8]}], "maxItems": 1, **seven})
        made({"type": "array", "minItems": 5, "items": {"enum": [7, 8]}, **seven, "maxContains": 1})
        one = {"items": {"type": "null"}, "contains": {"type": "null"}, "maxContains": 1}
        self.assertEqual(made({"type": "array", **one})[0], [None])

    def test_where_prefix_items_meet_contains_no_more_items_are_needed(self) -> None:
        schema = {"prefixItems": [{"type": "integer"}], "contains": {"type": "integer"},
                  "items": {"type": "integer"}, "maxContains": 1}  # fmt: skip
        self.assertEqual({len(value) for value in made({"type": "array", **schema})}, {1})

    def test_what_cannot_be_met_is_said(self) -> None:
        self.assert_refused(
            {"type": "array", "minItems": 2, "maxItems": 1}, "minItems", "2 is above"
        )
        self.assert_refused(
            {"type": "array", "contains": False, "items": {"type": "null"}}, "items", "false"
        )
        crossed = {"type": "number", "minimum": 2, "maximum": 1}
        self.assert_refused(
            {"type": "array", "items": crossed, "minItems": 1}, "items.minimum", "from 2 up to 1"
        )


class CombinationTests(Case):
    def test_any_branch_of_any_of_is_taken(self) -> None:
        values = made(
            {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]}, range(99)
        )
        self.assertEqual({type(value) for value in values}, {int, str, type(None)})
        self.assertLess(values.count(None), 30)

    def test_exactly_one_branch_of_one_of_holds(self) -> None:
        made(
            {"oneOf": [{"multipleOf": 2, "type": "integer"}, {"multipleOf": 3, "type": "integer"}]}
        )
        made({"oneOf": [{"type": "integer"}, {"type": "number"}]})
        made({"oneOf": [{"required": ["a"]}, {"required": ["b"]}], "type": "object",
              "properties": {"a": {"type": "null"}, "b": {"type": "null"}}})  # fmt: skip
        made(
            {"oneOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "email"}]}
        )
        self.assert_refused({"oneOf": [{"type": "null"}, {"type": "null"}]}, "", "no value")

    def test_a_discriminated_union_keeps_its_tag(self) -> None:
        cat = {"properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}}}
        dog = {"properties": {"kind": {"const": "dog"}, "name": {"type": "string"}}}
        for animal in (cat, dog):
            animal.update({"type": "object", "required": list(animal["properties"])})  # type: ignore[dict-item]
        kinds = {value["kind"] for value in made({"oneOf": [cat, dog]})}
        self.assertEqual(kinds, {"cat", "dog"})

    def test_all_of_all_of_holds(self) -> None:
        schema = {"allOf": [{"type": ["integer", "string"]}, {"type": ["number", "null"]},
                            {"minimum": 5}, {"maximum": 6}]}  # fmt: skip
        self.assertEqual(set(made(schema)), {5, 6})
        both = {"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]},
                          {"properties": {"a": {"maximum": 3}}}], "type": "object"}  # fmt: skip
        self.assertEqual({value["a"] <= 3 for value in made(both)}, {True})

    def test_what_not_forbids_is_not_made(self) -> None:
        made({"not": {"type": "string"}})
        made({"not": {"type": ["string", "number"]}})
        made({"type": "number", "not": {"type": "integer"}})
        self.assertEqual(set(made({"type": "boolean", "not": {"const": True}})), {False})
        self.assertEqual(
            set(made({"type": ["null", "integer"], "not": {"type": "number"}})), {None}
        )
        made({"type": "object", "properties": {"a": True, "b": True}, "not": {"required": ["a"]}})
        made({"type": "string", "not": {"minLength": 3}})
        made({"type": "array", "not": {"maxItems": 4}})
        made({"type": "integer", "minimum": 1, "maximum": 60, "not": {"maximum": 59}})
        self.assert_refused({"not": {}}, "", "no value was found")
        self.assert_refused({"type": "null", "not": {"const": None}}, "", "no value was found")

    def test_conditions_hold(self) -> None:
        schema = {
            "type": "object",
            "properties": {"country": {"enum": ["us", "nl"]}, "code": {"type": "string"}},
            "required": ["country", "code"],
            "if": {"properties": {"country": {"const": "us"}}},
            "then": {"properties": {"code": {"pattern": "^[0-9]{5}$"}}},
            "else": {"properties": {"code": {"pattern": "^[0-9]{4} [A-Z]{2}$"}}},
        }
        found = {(value["country"], len(value["code"])) for value in made(schema)}
        self.assertEqual(found, {("us", 5), ("nl", 7)})
        made({"type": "integer", "if": {"minimum": 50}, "else": {"maximum": 3}})
        made({"type": "integer", "if": {"minimum": 50}, "then": {"multipleOf": 7}})

    def test_contradictions_are_said(self) -> None:
        self.assert_refused(
            {"allOf": [{"type": "string"}, {"type": "integer"}]}, "allOf.1.type", "no type is left"
        )
        self.assert_refused({"properties": {"a": {"anyOf": [False]}}, "type": "object",
                             "required": ["a"]}, "properties.a", "false")  # fmt: skip

    def test_boolean_schemas_allow_all_or_nothing(self) -> None:
        self.assertEqual({type(value) for value in made(True)}, {str})
        self.assert_refused(False, "", "the schema false allows no value")

    def test_a_schema_without_type_is_taken_for_what_it_speaks_of(self) -> None:
        for schema, kind in (
            ({"properties": {"a": {}}}, dict), ({"items": {}}, list), ({"minimum": 3}, float),
            ({"minLength": 3}, str), ({"title": "Any"}, str),
        ):  # fmt: skip
            self.assertEqual({type(value) for value in made(schema)}, {kind})

    def test_nullable_of_openapi_is_tolerated(self) -> None:
        self.assertEqual(set(map(type, made({"type": "string", "nullable": True}))), {str})


class ReferenceTests(Case):
    def test_references_are_followed_however_they_are_written(self) -> None:
        schema = {
            "type": "array",
            "prefixItems": [
                {"$ref": "#/$defs/x"},
                {"$ref": "#/definitions/a~1b~0c%20d"},
                {"$ref": "#named"},
                {"$ref": "#/components/schemas/0"},
            ],
            "items": False,
            "$defs": {"x": {"const": 1}, "y": {"$anchor": "named", "const": 3}},
            "definitions": {"a/b~c d": {"const": 2}},
            "components": {"schemas": [{"$ref": "#/components/more"}], "more": {"const": 4}},
        }
        self.assertEqual(made(schema)[0], [1, 2, 3, 4])

    def test_what_stands_beside_a_reference_holds_too(self) -> None:
        schema = {
            "$ref": "#/$defs/x",
            "maximum": 2,
            "$defs": {"x": {"type": "integer", "minimum": 2}},
        }
        self.assertEqual(set(made(schema)), {2})

    def test_recursion_comes_to_an_end_after_a_little_of_it(self) -> None:
        tree = {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "children": {"type": "array", "items": {"$ref": "#"}},
                "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
                "parent": {"$ref": "#"},
            },
            "required": ["value", "children", "next"],
        }
        values = made(tree)
        self.assertTrue(any(value["children"] for value in values))
        self.assertTrue(any(value["next"] for value in values))
        self.assertLess(max(len(json.dumps(value)) for value in values), 20_000)

    def test_recursion_through_types_and_several_schemas_comes_to_an_end(self) -> None:
        made({"type": ["object", "null"], "properties": {"a": {"$ref": "#"}}, "required": ["a"]})
        made({"properties": {"a": {"$ref": "#"}}, "required": ["a"], "title": "no type"})
        made({"type": "array", "items": {"$ref": "#"}, "uniqueItems": True})
        made({"$ref": "#/$defs/a", "$defs": {
            "a": {"type": "array", "items": {"$ref": "#/$defs/b"}, "minItems": 2},
            "b": {"oneOf": [{"$ref": "#/$defs/a"}, {"type": "integer"}]},
        }})  # fmt: skip
        made({"type": "object", "properties": {f"p{i}": {"$ref": "#"} for i in range(30)}})

    def test_recursion_without_end_is_refused(self) -> None:
        endless = {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}
        self.assert_refused(endless, "", "contain itself, without end")
        self.assert_refused(
            {"type": "array", "minItems": 1, "items": {"anyOf": [{"$ref": "#"}]}},
            "",
            "contain itself",
        )
        self.assert_refused({"type": "array", "contains": {"$ref": "#"}}, "", "contain itself")
        ring = {"a": {"allOf": [True, {"$ref": "#/$defs/b"}]}, "b": {"$ref": "#/$defs/a"}}
        for schema, path in (
            ({"$ref": "#"}, "$ref"),
            ({"not": {"$ref": "#"}}, "not.$ref"),
            ({"anyOf": [{"type": "null"}, {"$ref": "#"}]}, "anyOf.1.$ref"),
            ({"type": "null", "$defs": ring}, "$defs.b.$ref"),
        ):
            self.assert_refused(schema, path, "leads back to itself, without end")
        nested = {"type": "array", "items": {"$ref": "#"}, "minItems": 1}
        self.assert_refused({"if": {"minimum": 1}, "then": nested, "else": nested}, "", "itself")

    def test_references_that_lead_nowhere_are_refused(self) -> None:
        for reference, reason in {
            "#/$defs/y": '"#/$defs/y" leads to nothing',
            "#/$defs/x/type/0": "leads to nothing",
            "#/list/7": "leads to nothing",
            "#/list/²": "leads to nothing",
            "#gone": 'there is no $anchor "gone"',
            "other.json#/x": "is not inside this schema",
            "https://example.com/schema": "is not inside this schema",
        }.items():
            schema = {
                "items": {"$ref": reference},
                "$defs": {"x": {"type": "null"}},
                "list": [True],
            }
            self.assert_refused(schema, "items.$ref", reason)
        self.assert_refused(
            {"$ref": "#/list", "list": [True]}, "list", "a schema is an object or a"
        )


class RefusalTests(Case):
    def test_malformed_schemas_are_refused_with_the_place_and_the_reason(self) -> None:
        for keyword, value, reason in (
            ("type", "objekt", '"objekt" is not a type'),
            ("type", [], "[] is not a type"),
            ("enum", [], "an array of at least one, not []"),
            ("anyOf", {}, "an array of at least one"),
            ("prefixItems", 1, "must be an array"),
            ("properties", [], "must be an object"),
            ("required", "a", "an array of names"),
            ("dependentRequired", {"a": "b"}, "arrays of names"),
            ("minItems", -1, "a whole number from 0 on"),
            ("maxLength", 1.5, "a whole number from 0 on"),
            ("minimum", "1", 'must be a number, not "1"'),
            ("exclusiveMinimum", None, "must be a number, not null"),
            ("multipleOf", 0, "a number above 0"),
            ("uniqueItems", 1, "true or false"),
            ("pattern", "(", "nothing closes"),
            ("pattern", 1, "must be a string, not 1"),
            ("patternProperties", {"(": True}, "nothing closes"),
            ("$dynamicRef", "#", "not supported"),
            ("$id", "x", "an $id inside the schema is not supported"),
            ("not", "x" * 99, 'an object or a boolean, not "' + "x" * 59 + "..."),
        ):
            schema: Json = {"properties": {"age": {keyword: value}}}
            self.assert_refused(schema, f"properties.age.{keyword}", reason)

    def test_what_is_no_schema_or_no_json_is_refused(self) -> None:
        not_schemas: list[Json] = [None, 1, "string", [], ()]
        for schema in not_schemas:
            self.assertEqual(refused(schema).path, "")
        self.assert_refused({"enum": [{"a": {1}}]}, "enum.0.a", "a set is not JSON")
        self.assert_refused({1: 2}, "", "a name is a string, not a int")
        self.assert_refused({"const": float("nan")}, "const", "beyond 1e300")
        self.assert_refused({"const": 10**400}, "const", "beyond 1e300")
        self.assert_refused({"const": "\ud800"}, "const", "half a surrogate pair")
        self.assertEqual(made({"const": "é"})[0], "é")

    def test_bounds_that_cross_are_refused(self) -> None:
        for bounds, path, reason in (
            ({"type": "integer", "minimum": 5, "maximum": 3}, "minimum", "from 5 up to 3"),
            ({"type": "number", "minimum": 3, "exclusiveMaximum": 3}, "minimum", "from 3 below 3"),
            ({"type": "integer", "exclusiveMinimum": 3, "maximum": 3.5}, "exclusiveMinimum", "3"),
            ({"type": "integer", "multipleOf": 7, "minimum": 1, "maximum": 6}, "minimum", "steps"),
            ({"type": "string", "minLength": 3, "maxLength": 2}, "minLength", "3 is above"),
            ({"type": "string", "pattern": "^a{5}$", "maxLength": 2}, "pattern", "up to 2 char"),
            ({"type": "string", "format": "date", "maxLength": 9}, "format", 'no "date" of 0 to 9'),
            ({"type": "string", "format": "hostname", "minLength": 999}, "", "no value"),
            ({"type": "string", "pattern": "^a{5}$", "minLength": 6}, "", "no value"),
            ({"type": "string", "pattern": "a^"}, "", "no value"),
        ):  # fmt: skip
            self.assert_refused(bounds, path, reason)
            outer = {"type": "object", "properties": {"age": bounds}, "required": ["age"]}
            self.assert_refused(outer, f"properties.age.{path}".rstrip("."), reason)

    def test_huge_values_are_refused(self) -> None:
        self.assert_refused({"type": "array", "minItems": 10_000_000}, "minItems", "not made")
        self.assert_refused({"type": "string", "minLength": 10**9}, "minLength", "not made")
        self.assert_refused(
            {"type": "string", "pattern": "^a{999999}$"}, "pattern", "matches nothing"
        )
        long = {"type": "array", "minItems": 20, "items": {"type": "string", "minLength": 90_000}}
        self.assert_refused(long, "", "more than 1000000 characters")
        many = {"type": "array", "minItems": 150, "items": {"const": [[]] * 150}}
        self.assert_refused(many, "", "more than 20000 values")
        constants = {"type": "array", "minItems": 5_000, "items": {"const": "x" * 10_000}}
        self.assert_refused(constants, "", "too much work")
        self.assert_refused({"allOf": [{"title": str(i)} for i in range(10_001)]}, "",
                            "more than 10000 subschemas")  # fmt: skip

    def test_deep_schemas_are_refused_and_never_overflow_the_stack(self) -> None:
        for wrap, depth in (
            (
                lambda inner: {"type": "object", "properties": {"a": inner}, "required": ["a"]},
                1_000,
            ),
            (lambda inner: {"type": "array", "items": inner, "minItems": 1}, 1_000),
            (lambda inner: {"allOf": [inner]}, 1_000),
            (lambda inner: {"not": inner}, 1_000),
            (lambda inner: {"const": [inner]}, 1_000),
        ):
            schema: Json = {"type": "null"}
            for _ in range(depth):
                schema = wrap(schema)
            self.assert_refused(schema, "", "nested more than 128 levels deep")

    def test_values_of_sixty_levels_are_made_and_of_more_refused(self) -> None:
        schema: Json = {"type": "null"}
        for _ in range(60):
            schema = {"type": "array", "items": schema, "minItems": 1, "maxItems": 1}
        self.assertEqual(json.dumps(make_value(schema, random.Random(0))).count("["), 60)
        chain = {f"t{i}": {"type": "array", "items": {"$ref": f"#/$defs/t{i + 1}"}, "minItems": 1}
                 for i in range(70)}  # fmt: skip
        schema = {"$ref": "#/$defs/t0", "$defs": {**chain, "t70": {"type": "null"}}}
        self.assert_refused(schema, "", "nested more than 64 levels deep")
        branch = {"anyOf": [{"$ref": "#/$defs/t0"}, {"$ref": "#/$defs/t1"}]}
        self.assert_refused({**branch, "$defs": schema["$defs"]}, "", "nested more than 64")
        optional = {"properties": {"a": branch}, "type": "object", "$defs": schema["$defs"]}
        self.assertEqual(make_value(optional, random.Random(0)), {})

    def test_running_out_of_stack_is_an_error_like_any_other(self) -> None:
        limit = sys.getrecursionlimit()
        frame, depth = sys._getframe(), 0
        while frame.f_back is not None:
            frame, depth = frame.f_back, depth + 1
        schema: Json = {"type": "null"}
        for _ in range(60):
            schema = {"type": "array", "items": schema, "minItems": 1}
        sys.setrecursionlimit(depth + 100)
        try:
            error = refused(schema)
        finally:
            sys.setrecursionlimit(limit)
        self.assertIn("nested too deeply", error.reason)

    def test_catastrophic_patterns_do_no_harm(self) -> None:
        for pattern in ("^(a+)+$", "^((a*)*)*b$", r"^(\w+\s?)*$", "^(a|aa|aaa)+$", "(x+x+)+y"):
            made({"type": "string", "pattern": pattern}, range(3))
        long = {"type": "string", "pattern": "^(?:[a-z]|1)*$", "minLength": 50_000}
        self.assert_refused(long, "", "too much work")

    def test_combinations_without_a_way_out_end(self) -> None:
        self.patch(from_schema, "Work", lambda: Work(20_000))
        schema = {
            "type": "object",
            "allOf": [{"anyOf": [{"required": [f"{i}{j}"]} for i in range(8)]} for j in range(8)],
            "maxProperties": 1,
        }
        self.assertIn("too much work", refused(schema).reason)


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Node(BaseModel):
    weight: int = Field(ge=1, lt=9)
    children: list["Node"]
    next: "Node | None" = None


class Order(BaseModel):
    """What pydantic users declare."""

    id: uuid.UUID
    color: Color
    size: Literal["s", "m", 3]
    price: decimal.Decimal = Field(max_digits=8, decimal_places=2)
    note: Optional[str]  # noqa: UP045 -- as users write it
    either: Union[int, str, Node]  # noqa: UP007 -- as users write it
    counts: dict[str, int]
    pair: tuple[int, str]
    scores: tuple[float, ...]
    tags: set[str]
    made: dt.datetime
    day: dt.date
    at: dt.time
    span: dt.timedelta
    tree: Node
    code: str = Field(pattern=r"^[A-Z]{3}-\d{2,4}$")
    nested: list[dict[str, list[Node]]] = []
    anything: Any = None


class SdkTests(Case):
    def test_what_pydantic_emits_is_met_and_read_back_by_the_model(self) -> None:
        for value in made(Order.model_json_schema()):
            Order.model_validate_json(json.dumps(value))

    def test_what_openai_makes_of_a_model_is_met_and_read_back(self) -> None:
        for value in made(to_strict_json_schema(Order)):
            self.assertEqual(set(value), set(Order.model_fields))
            Order.model_validate_json(json.dumps(value))


class DeterminismTests(Case):
    def test_other_seeds_make_other_values(self) -> None:
        values = {json.dumps(value) for value in made(Order.model_json_schema())}
        self.assertEqual(len(values), len(SEEDS))

    def test_other_processes_make_the_same_value(self) -> None:
        """Hashes of strings, and so the order of sets, differ from process to process."""
        script = (
            "import json, random, sys; from fakellm.scenarios.from_schema import make_value;"
            "schema = json.load(sys.stdin);"
            "print(json.dumps([make_value(schema, random.Random(seed)) for seed in range(12)]))"
        )
        schema = Order.model_json_schema()
        schema["properties"]["free"] = {"not": {"type": "string"}}
        answers = {
            subprocess.run(
                [sys.executable, "-c", script],
                input=json.dumps(schema),
                env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for seed in ("1", "2")
        }
        self.assertEqual(answers, {json.dumps(made(schema)) + "\n"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 20) | st.floats(-5, 20) | st.sampled_from("ab"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=4,
)
NAMES = st.sampled_from(["a", "b", "city", "email", "x1"])
TYPES = st.sampled_from(["string", "integer", "number", "boolean", "null", "object", "array"])
PATTERNS = st.sampled_from(
    ["^[a-z]+$", r"^\d{3}-\d{4}$", "a", "[^a-z]", "^.{3,8}$", r"^(?=.*\d)[a-z0-9]{4,}$", "x$"]
)
SIZES = st.integers(0, 4)
NUMBERS = st.integers(-5, 20) | st.sampled_from([0.5, 2.75, 12.5, -0.01])


def _keywords(**optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=optional)


def _typed(name: str, **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"type": st.just(name)}, optional=optional)


STRINGS = _typed(
    "string",
    minLength=st.integers(0, 12),
    maxLength=st.integers(3, 40),
    pattern=PATTERNS,
    format=st.sampled_from([*FORMATS, "int32"]),
)
NUMERIC = _keywords(
    minimum=NUMBERS,
    maximum=NUMBERS.map(lambda number: number + 10),
    exclusiveMinimum=NUMBERS,
    exclusiveMaximum=NUMBERS.map(lambda number: number + 10),
    multipleOf=st.sampled_from([2, 3, 0.01, 0.1, 0.5, 7]),
)
LEAVES = st.one_of(
    st.booleans(),
    TYPES.map(lambda name: {"type": name}),
    st.lists(TYPES, min_size=1, max_size=3, unique=True).map(lambda names: {"type": names}),
    JSON.map(lambda value: {"const": value}),
    st.lists(JSON, min_size=1, max_size=4).map(lambda values: {"enum": values}),
    STRINGS,
    st.builds(
        lambda name, rest: {"type": name, **rest}, st.sampled_from(["integer", "number"]), NUMERIC
    ),
    NUMERIC,
    st.sampled_from(["#", "#/$defs/node", "#/$defs/a~1b", "#named"]).map(lambda to: {"$ref": to}),
)


def _composed(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    branches = st.lists(inner, min_size=1, max_size=3)
    objects = _typed(
        "object",
        properties=st.dictionaries(NAMES, inner, max_size=3),
        required=st.lists(NAMES, max_size=2, unique=True),
        additionalProperties=inner,
        patternProperties=st.dictionaries(PATTERNS, inner, max_size=1),
        propertyNames=st.sampled_from(
            [{"maxLength": 4}, {"pattern": "^[a-z]"}, {"enum": ["a", "q"]}]
        ),
        minProperties=SIZES,
        maxProperties=SIZES,
        dependentRequired=st.dictionaries(NAMES, st.lists(NAMES, max_size=2), max_size=1),
        dependentSchemas=st.dictionaries(NAMES, inner, max_size=1),
    )
    arrays = _typed(
        "array",
        items=inner,
        prefixItems=st.lists(inner, min_size=1, max_size=2),
        minItems=SIZES,
        maxItems=SIZES,
        uniqueItems=st.booleans(),
        contains=inner,
        minContains=st.integers(0, 2),
        maxContains=st.integers(1, 3),
    )
    combinations = _keywords(anyOf=branches, oneOf=branches, allOf=branches)
    conditions = _keywords(**{"not": inner, "if": inner, "then": inner, "else": inner})
    return st.one_of(objects, arrays, combinations, conditions)


SCHEMAS = st.recursive(LEAVES, _composed, max_leaves=8)


def _rooted(schema: Json, node: Json, other: Json) -> Json:
    named = {
        "$anchor": "named",
        "type": ["object", "null"],
        "properties": {"a": {"$ref": "#named"}},
    }
    definitions = {"$defs": {"node": node, "a/b": other, "named": named}}
    return schema if isinstance(schema, bool) else {**schema, **definitions}


@st.composite
def _described(draw: st.DrawFn, values: st.SearchStrategy[Any] = JSON) -> tuple[Json, Json]:
    """A value, and a schema that it meets."""
    value = draw(values)
    return value, draw(_description(value))


def _description(value: Any) -> st.SearchStrategy[Json]:
    exact: st.SearchStrategy[Json]
    match value:
        case None | bool():
            exact = st.just({"type": "null" if value is None else "boolean"})
        case int() | float():
            exact = st.just({"type": "number", "minimum": value, "maximum": value + 1})
        case str():
            exact = st.just({"type": "string", "minLength": len(value), "maxLength": len(value)})
        case list():
            exact = st.tuples(*map(_description, value)).map(
                lambda items: {
                    "type": "array",
                    "prefixItems": list(items),
                    "items": False,
                    "minItems": len(items),
                }
            )
        case _:
            exact = st.fixed_dictionaries(
                {name: _description(child) for name, child in value.items()}
            ).map(
                lambda properties: {
                    "type": "object",
                    "properties": properties,
                    "required": list(properties),
                    "additionalProperties": False,
                }
            )
    return st.one_of(
        exact,
        st.just({"const": value}),
        JSON.map(lambda other: {"enum": [other, value]}),
        st.tuples(exact, LEAVES).map(lambda pair: {"anyOf": [pair[0], _sane(pair[1])]}),
        st.tuples(exact, exact).map(lambda pair: {"allOf": list(pair)}),
        exact.map(lambda schema: {"not": {"not": schema}, **schema}),
        exact.map(lambda schema: {"if": schema, "then": schema, "else": False}),
    )


def _sane(schema: Json) -> Json:
    """A schema without a reference, which might lead nowhere."""
    return False if isinstance(schema, dict) and "$ref" in schema else schema


class PropertyTests(Case):
    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(schema=st.builds(_rooted, SCHEMAS, SCHEMAS, SCHEMAS), seed=st.integers(0, 9))
    def test_what_is_made_of_a_random_schema_is_valid_and_the_same_again(
        self, schema: Json, seed: int
    ) -> None:
        try:
            value = make_value(schema, random.Random(seed))
        except UnusableSchema as error:
            with self.assertRaises(UnusableSchema) as again:
                make_value(schema, random.Random(seed))
            self.assertEqual(str(again.exception), str(error))
            return
        checker = Draft202012Validator.FORMAT_CHECKER
        Draft202012Validator(schema, format_checker=checker).validate(value)
        self.assertEqual(json.dumps(make_value(schema, random.Random(seed))), json.dumps(value))

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(described=_described(), seed=st.integers(0, 9))
    def test_a_schema_made_after_a_value_is_never_refused(
        self, described: tuple[Json, Json], seed: int
    ) -> None:
        value, schema = described
        checker = Draft202012Validator.FORMAT_CHECKER
        validator = Draft202012Validator(schema, format_checker=checker)
        validator.validate(value)
        validator.validate(make_value(schema, random.Random(seed)))

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(
        schema=st.recursive(
            JSON | st.text(max_size=3) | st.integers() | st.floats(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "type",
                            "$ref",
                            "properties",
                            "required",
                            "items",
                            "enum",
                            "anyOf",
                            "not",
                            "minimum",
                            "multipleOf",
                            "minLength",
                            "pattern",
                            "format",
                            "$defs",
                            "if",
                            "minItems",
                            "additionalProperties",
                            "contains",
                            "$anchor",
                            "$id",
                        ]
                    ),
                    inner
                    | st.sampled_from(["object", "array", "string", "integer", "#", "#/items"]),
                    max_size=4,
                )
            ),
            max_leaves=12,
        )
    )
    def test_any_json_is_made_a_value_of_or_refused_and_nothing_else(self, schema: Json) -> None:
        try:
            value = make_value(schema, random.Random(0))
        except UnusableSchema as error:
            self.assertTrue(error.reason)
            return
        self.assertIsInstance(json.dumps(value, allow_nan=False), str)
        self.assertIsNone(re.search("[\ud800-\udfff]", json.dumps(value, ensure_ascii=False)))
