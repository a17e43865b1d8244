"""What is wrong with a body: facts, from msgspec's message and a second look."""

import json
from typing import Annotated, Any, Literal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta, Struct
from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.invalid import Invalid, Problem, decode

few = settings(deadline=None, derandomize=True, max_examples=150, database=None)


class Circle(Struct, kw_only=True, tag_field="shape", tag="circle"):
    radius: Annotated[float, Meta(ge=0, le=10)]
    colour: Literal["red", "green"] = "red"


class Square(Struct, kw_only=True, tag_field="shape", tag="square"):
    side: Annotated[int, Meta(ge=1)] = 1
    colour: Literal["blue"] = "blue"


Word = Annotated[str, Meta(pattern=r"^[a-z\\]+\Z", min_length=1, max_length=8)]


class Body(Struct, kw_only=True):
    word: Word = "word"
    shapes: Annotated[list[Circle | Square], Meta(max_length=2)] = []
    words: list[str] | str | None = None
    anything: list[Any] | None = None
    mixed: list[str | int] | None = None
    flag: bool = False
    ratio: float = 0.5
    count: Annotated[int, Meta(ge=0, le=9)] | None = None
    limits: dict[Word, Annotated[int, Meta(ge=0, le=9)]] | None = None
    few: Annotated[dict[str, list[Circle]], Meta(min_length=1, max_length=2)] | None = None
    matrix: list[list[int]] = []


def problem_of(body: bytes | dict[str, Any]) -> Problem:
    """What is wrong with a body that is not a `Body`."""
    if isinstance(body, dict):
        body = json.dumps(body).encode()
    try:
        decode(body, Body)
    except Invalid as error:
        return error.problem
    raise AssertionError("nothing is wrong")


class DecodeTests(SynchronousTestCase):
    def test_a_right_body_becomes_its_record(self) -> None:
        body = decode(b'{"word":"abc","shapes":[{"shape":"circle","radius":1}]}', Body)
        self.assertEqual(body, Body(word="abc", shapes=[Circle(radius=1.0)]))

    def test_what_no_field_is_for_is_skipped(self) -> None:
        self.assertEqual(decode('{"ü":"ü","x":1e999}'.encode(), Body), Body())

    def test_of_two_fields_with_one_name_the_last_counts(self) -> None:
        self.assertEqual(decode(b'{"word":"a","word":"b"}', Body), Body(word="b"))

    def test_what_is_not_json(self) -> None:
        bodies = {
            "nothing": b"",
            "white space": b" \n",
            "no JSON": b"word=abc",
            "two documents": b"{}{}",
            "an end too early": b'{"word":',
            "NaN": b'{"ratio":NaN}',
            "a comment": b"{}//",
            "a byte order mark": "\ufeff{}".encode(),
            "UTF-16": "{}".encode("utf-16"),
            "Latin-1 in a value": '{"word":"ü"}'.encode("latin-1"),
            "Latin-1 in a name nobody knows": '{"ü":1}'.encode("latin-1"),
            "Latin-1 in a value nobody looks at": '{"x":["ü"]}'.encode("latin-1"),
            "half a pair of surrogates": b'{"word":"\\ud800"}',
            "a surrogate as bytes": b'{"word":"\xed\xa0\x80"}',
            "a control character": b'{"word":"\x01"}',
            "arrays without end": b"[" * 100_000,
            "objects without end": b'{"x":' * 100_000,
            "nesting of 100,000 levels": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            "a mistake in what breaks off later": b'{"flag":1,"word":',
            "a mistake before nesting without end": b'{"flag":1,"x":' + b"[" * 100_000,
        }
        for name, body in bodies.items():
            with self.subTest(name):
                self.assertEqual(problem_of(body), Problem(kind="not_json"))

    def test_what_is_no_object(self) -> None:
        for body, got in [
            (b"null", "null"),
            (b"true", "bool"),
            (b"1", "int"),
            (b"1.5", "float"),
            (b'"x"', "str"),
            (b"[{}]", "array"),
        ]:
            with self.subTest(body):
                self.assertEqual(problem_of(body), Problem(kind="not_object", got=got))


class ProblemTests(SynchronousTestCase):
    """One mistake, and what is told of it."""

    def assert_problem(self, body: bytes | dict[str, Any], kind: Any, **facts: Any) -> None:
        self.assertEqual(problem_of(body), Problem(kind=kind, **facts))

    def test_a_missing_field_is_told_with_its_path(self) -> None:
        class Needs(Struct):
            need: int

        with self.assertRaises(Invalid) as caught:
            decode(b"{}", Needs)
        self.assertEqual(caught.exception.problem, Problem(kind="missing", path="need"))
        self.assert_problem({"shapes": [{"shape": "circle"}]}, "missing", path="shapes[0].radius")
        self.assert_problem({"shapes": [{"radius": 1}]}, "missing", path="shapes[0].shape")

    def test_a_type_is_told_with_what_would_do(self) -> None:
        self.assert_problem({"flag": "x"}, "type", path="flag", expected=("bool",), got="str")
        self.assert_problem({"ratio": []}, "type", path="ratio", expected=("float",), got="array")
        self.assert_problem(
            {"count": 1.0}, "type", path="count", expected=("int", "null"), got="float"
        )
        self.assert_problem(
            {"matrix": [[1], [2, {}]]}, "type", path="matrix[1][1]", expected=("int",), got="object"
        )

    def test_an_array_is_told_with_what_it_is_made_of(self) -> None:
        for name, expected in [
            ("shapes", ("array of object",)),
            ("words", ("str", "array of str", "null")),
            ("anything", ("array", "null")),
            ("mixed", ("array", "null")),
            ("matrix", ("array",)),
        ]:
            with self.subTest(name):
                self.assert_problem({name: 5}, "type", path=name, expected=expected, got="int")

    def test_a_tag_that_is_no_string_is_told_with_its_type(self) -> None:
        tags: list[tuple[Any, str]] = [
            (None, "null"), (5, "int"), (True, "bool"), ([], "array"), ({}, "object")
        ]  # fmt: skip
        for tag, got in tags:
            with self.subTest(got):
                self.assert_problem(
                    {"shapes": [{"shape": tag}]},
                    "type", path="shapes[0].shape", expected=("str",), got=got,
                )  # fmt: skip

    def test_a_tag_nobody_has_is_told_with_all_there_are(self) -> None:
        self.assert_problem(
            {"shapes": [{"shape": "circle", "radius": 1}, {"shape": "star"}]},
            "value", path="shapes[1].shape", expected=("circle", "square"), got="star",
        )  # fmt: skip

    def test_a_value_is_told_with_those_of_the_record_that_its_tag_chose(self) -> None:
        self.assert_problem(
            {"shapes": [{"shape": "square", "colour": "red"}]},
            "value", path="shapes[0].colour", expected=("blue",), got="red",
        )  # fmt: skip

    def test_a_value_that_looks_like_a_message_does_not_lead_astray(self) -> None:
        for word in ["x - at `$.word`", "x` - at `key` in `$.limits`", "`$[...]`", "'", '"\n\\']:
            with self.subTest(word):
                self.assert_problem(
                    {"shapes": [{"shape": word}]},
                    "value", path="shapes[0].shape", expected=("circle", "square"), got=word,
                )  # fmt: skip
                self.assert_problem(
                    {"shapes": [{"shape": "square", "colour": word}]},
                    "value", path="shapes[0].colour", expected=("blue",), got=word,
                )  # fmt: skip

    def test_a_number_out_of_bounds_is_told_with_the_bound(self) -> None:
        self.assert_problem(
            {"count": 10}, "maximum", path="count", expected=("9",), type="int", got=10
        )
        self.assert_problem(
            {"count": -1}, "minimum", path="count", expected=("0",), type="int", got=-1
        )
        self.assert_problem(
            {"shapes": [{"shape": "circle", "radius": 10.5}]},
            "maximum", path="shapes[0].radius", expected=("10",), type="float", got=10.5,
        )  # fmt: skip
        self.assert_problem(
            {"count": 2**64}, "maximum", path="count", expected=("9",), type="int", got=2**64
        )

    def test_a_number_too_large_for_computers_is_told_with_its_path(self) -> None:
        many = "9" * 5000
        for body, path in [
            ('{"ratio":1e999}', "ratio"),
            ('{"ratio":-1e999}', "ratio"),
            (f'{{"ratio":{many}}}', "ratio"),
            (f'{{"count":{many}}}', "count"),
            (f'{{"matrix":[[1],[{many}]]}}', "matrix[1][0]"),
            (f'{{"limits":{{"x":{many}}}}}', "limits"),
            ('{"limits":{"x":1e999}}', "limits"),
            (f'{{"flag":"x","anything":[{many}]}}', ""),
        ]:
            with self.subTest(body[:20]):
                self.assert_problem(body.encode(), "number", path=path)

    def test_a_number_too_large_elsewhere_hides_no_mistake(self) -> None:
        self.assert_problem(
            b'{"flag":"x","anything":[1e999]}', "type", path="flag", expected=("bool",), got="str"
        )

    def test_lengths_are_told_with_the_bound_and_the_size(self) -> None:
        self.assert_problem({"word": ""}, "short", path="word", expected=("1",), type="str", got=0)
        self.assert_problem(
            {"word": "a" * 9}, "long", path="word", expected=("8",), type="str", got=9
        )
        circle = {"shape": "circle", "radius": 1}
        self.assert_problem(
            {"shapes": [circle] * 3}, "long", path="shapes", expected=("2",), type="array", got=3
        )
        self.assert_problem({"few": {}}, "short", path="few", expected=("1",), type="object", got=0)
        self.assert_problem(
            {"few": {"a": [], "b": [], "c": []}},
            "long", path="few", expected=("2",), type="object", got=3,
        )  # fmt: skip

    def test_a_pattern_is_told_as_anybody_but_python_writes_it(self) -> None:
        for word in ["ABC", "abc\n"]:
            self.assert_problem({"word": word}, "pattern", path="word", expected=(r"^[a-z\\]+$",))

    def test_a_value_in_a_map_is_told_with_its_name(self) -> None:
        limits = {"fine": 1, "bad": 10, "worse": 11}
        self.assert_problem(
            {"limits": limits}, "maximum", path="limits.bad", expected=("9",), type="int", got=10
        )
        self.assert_problem(
            {"limits": {"bad": "1"}}, "type", path="limits.bad", expected=("int",), got="str"
        )

    def test_a_mistake_deep_in_a_map_is_told_with_its_whole_path(self) -> None:
        circles = [{"shape": "circle", "radius": 1, "colour": "black"}]
        self.assert_problem(
            {"few": {"a": [], "b": circles}},
            "value", path="few.b[0].colour", expected=("green", "red"), got="black",
        )  # fmt: skip

    def test_a_name_in_a_map_is_told_as_such(self) -> None:
        self.assert_problem(
            {"limits": {"fine": 1, "a" * 9: 1}},
            "long", path="limits", key=True, expected=("8",), type="str", got=9,
        )  # fmt: skip
        self.assert_problem(
            {"limits": {"Bad": 1}}, "pattern", path="limits", key=True, expected=(r"^[a-z\\]+$",)
        )

    def test_a_long_name_in_a_map_is_cut(self) -> None:
        self.assertEqual(problem_of({"few": {"k" * 99: 5}}).path, f"few.{'k' * 64}...")

    def test_a_mistake_far_down_a_map_is_told_without_its_name(self) -> None:
        """A map may have millions of entries, and looking for one costs time."""
        limits = {
            f"{chr(97 + i // 26 // 26)}{chr(97 + i // 26 % 26)}{chr(97 + i % 26)}": 1
            for i in range(1000)
        }
        for wrong in ["x", 10]:
            problem = problem_of({"limits": {**limits, "zzzz": wrong}})
            self.assertEqual(problem.path, "limits")
        self.assertEqual(problem.got, None)

    def test_names_that_come_twice_leave_untold_what_was_there(self) -> None:
        for body, facts in {
            b'{"flag":"x","flag":true}': {"kind": "type", "expected": ("bool",), "got": "str"},
            b'{"count":10,"count":"x"}': {"kind": "maximum", "expected": ("9",), "type": "int"},
            b'{"word":"","word":5}': {"kind": "short", "expected": ("1",), "type": "str"},
        }.items():
            problem: Any = problem_of(body)
            self.assertEqual({name: getattr(problem, name) for name in facts}, facts)
        problem = problem_of(b'{"shapes":[{"shape":"x"}],"shapes":5}')
        self.assertEqual(
            problem, Problem(kind="value", path="shapes[0].shape", expected=("circle", "square"))
        )
        problem = problem_of(b'{"shapes":[{"shape":"x"}],"shapes":[]}')
        self.assertEqual(problem.path, "shapes[0].shape")
        problem = problem_of(b'{"shapes":[{"shape":"x","shape":1e30}]}')
        self.assertEqual(problem.got, None)
        problem = problem_of(b'{"limits":{"x":1,"y":10,"x":"z"}}')
        self.assertEqual(problem.path, "limits.y")
        problem = problem_of(b'{"limits":{"x":10},"limits":5}')
        self.assertEqual(problem.path, "limits")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
NAMES = st.sampled_from([*Body.__struct_fields__, "shape", "radius", "side", "colour"])
NEARLY = st.recursive(
    st.sampled_from([0, -1, 99, 1.5, 2**70, "", "circle", "square", "RED", "x" * 99, None, True]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=20,
)


class AnyBodyTests(SynchronousTestCase):
    """Whatever comes is a record, or invalid in a way that can be told."""

    def check(self, body: bytes) -> None:
        try:
            decode(body, Body)
        except Invalid as error:
            self.assertIsInstance(error.problem, Problem)
            json.loads(msgspec.json.encode(error.problem.path))

    @few
    @given(st.binary())
    def test_bytes(self, body: bytes) -> None:
        self.check(body)

    @few
    @given(st.dictionaries(NAMES, ANYTHING, max_size=6))
    def test_json(self, body: dict[str, Any]) -> None:
        self.check(json.dumps(body).encode())

    @few
    @given(st.dictionaries(NAMES, NEARLY, max_size=6))
    def test_nearly_right_json(self, body: dict[str, Any]) -> None:
        self.check(json.dumps(body, ensure_ascii=False).encode())

    @few
    @given(st.lists(st.tuples(NAMES, NEARLY), max_size=6))
    def test_names_that_come_twice(self, fields: list[tuple[str, Any]]) -> None:
        self.check(("{" + ",".join(f'"{n}":{json.dumps(v)}' for n, v in fields) + "}").encode())
