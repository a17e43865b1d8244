import time
from collections.abc import Mapping
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.scenarios.yaml_text import (
    CHARACTERS_AT_MOST,
    HOLE,
    LEVELS_AT_MOST,
    NODES_AT_MOST,
    Document,
    Spot,
    read_yaml,
)

QUICK = settings(deadline=None, derandomize=True, max_examples=150)

PARSERS = [yaml.SafeLoader, *filter(None, [getattr(yaml, "CSafeLoader", None)])]
"""PyYAML's own parser, and libyaml's where there is one."""


def read(text: str) -> Document:
    """A text, read with the parser of this machine."""
    return read_yaml(text, "a.yml")


def value_of(text: str) -> Any:
    document = read(text)
    assert document.mistakes == [], document.mistakes
    return document.value


def told(text: str, parser: Any = None) -> list[str]:
    """What is wrong with a text, as ``line:column: message``."""
    document = read_yaml(text, "a", parser) if parser else read_yaml(text, "a")
    return [str(mistake).removeprefix("a:") for mistake in document.mistakes]


class ScalarTests(SynchronousTestCase):
    def test_only_true_and_false_are_booleans(self) -> None:
        self.assertEqual(
            value_of("[true, True, TRUE, false, False, FALSE]"), [True] * 3 + [False] * 3
        )
        for text in ("yes", "no", "on", "off", "y", "n", "tRue"):
            self.assertEqual(value_of(f"a: {text}"), {"a": text})

    def test_null_tilde_and_nothing_are_null(self) -> None:
        self.assertEqual(value_of("{a: null, b: Null, c: NULL, d: ~, e: }"), dict.fromkeys("abcde"))
        self.assertEqual(value_of("a:\nb:\n"), {"a": None, "b": None})

    def test_whole_numbers(self) -> None:
        self.assertEqual(value_of("[0, -1, +12, 007, 0o17, 0x1F]"), [0, -1, 12, 7, 15, 31])
        self.assertEqual(value_of(f"[{-(2**63)}, {2**64 - 1}]"), [-(2**63), 2**64 - 1])

    def test_fractions(self) -> None:
        self.assertEqual(value_of("[1.5, .5, 1., 1e3, -2.5E-1]"), [1.5, 0.5, 1.0, 1000.0, -0.25])

    def test_what_yaml_1_1_made_something_else_of_is_a_text(self) -> None:
        for text in (
            "12:30",
            "1_000",
            "0b1",
            "2026-11-23",
            "1.2.3",
            "+",
            "-x",
            ".",
            "0x",
            "=",
            "..",
        ):
            self.assertEqual(value_of(f"a: {text}"), {"a": text})

    def test_quoted_and_block_scalars_are_texts(self) -> None:
        self.assertEqual(value_of("['1', \"true\", '']"), ["1", "true", ""])
        self.assertEqual(value_of("a: |\n  1\nb: >\n  x\n  y\n"), {"a": "1\n", "b": "x y\n"})

    def test_the_tags_of_the_core_schema_say_what_is_meant(self) -> None:
        text = (
            "[!!str 1, ! 2, !!int '3', !!float 4, !!bool 'true', !!null '', !!map {a: 1}, !!seq []]"
        )
        self.assertEqual(value_of(text), ["1", "2", 3, 4.0, True, None, {"a": 1}, []])
        self.assertIs(type(value_of("!!float 4")), float)

    def test_a_tag_that_does_not_fit_is_told(self) -> None:
        for text in ("!!int x", "!!bool 1", "!!float x", "!!null x", "!!map [a]", "!!seq {a: b}"):
            self.assertEqual(
                told(text),
                [
                    (
                        f"1:1: the tag '{text.split()[0]}' has no meaning here: "
                        "quote the text if one is meant"
                    )
                ],
            )

    def test_a_number_that_is_none_after_all_is_told_once(self) -> None:
        self.assertEqual(
            told("!!float .inf"),
            ["1:1: .inf is a number that JSON does not have: quote it if a text is meant"],
        )

    def test_a_number_as_long_as_a_book_is_refused_and_not_worked_out(self) -> None:
        self.assertEqual(
            told("a: " + "9" * 1_000_000),
            ["1:4: this number has more than 64 bits: quote it if a text is meant"],
        )

    @QUICK
    @given(
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-(2**63), 2**64 - 1)
            | st.text("abc:-#é\n '\"{", max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text("ab-~1", min_size=1), inner, max_size=3)
            ),
            max_leaves=8,
        )
    )
    def test_what_pyyaml_writes_is_read_back(self, value: Any) -> None:
        for flow in (True, False):
            text = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True)
            self.assertEqual(value_of(text), value)


class PositionTests(SynchronousTestCase):
    TEXT = (
        "rules:\n"
        "  - when: {user: hello}\n"
        "    reply: |\n"
        "      Grüße,\n"
        "\n"
        "        {{ user }}\n"
        "    empty:\n"
    )

    def spot(self) -> Spot:
        return read(self.TEXT).spot

    def test_a_value_stands_where_it_begins(self) -> None:
        self.assertEqual(self.spot().at(), (1, 1))
        self.assertEqual(self.spot().at(("rules",)), (2, 3))
        self.assertEqual(self.spot().at(("rules", 0)), (2, 5))
        self.assertEqual(self.spot().at(("rules", 0, "when", "user")), (2, 18))

    def test_a_key_stands_where_it_begins(self) -> None:
        self.assertEqual(self.spot().key_at(("rules", 0, "when", "user")), (2, 12))
        self.assertEqual(self.spot().key_at(("rules", 0)), (2, 3))

    def test_nothing_stands_where_its_key_does(self) -> None:
        self.assertEqual(self.spot().at(("rules", 0, "empty")), (7, 5))
        self.assertEqual(read("- a\n-\n").spot.at((1,)), (2, 2))

    def test_what_is_not_there_stands_where_the_nearest_thing_around_it_does(self) -> None:
        for path in (("rules", 0, "nonesuch", "x"), ("rules", 0, 5), ("rules", 0, "x")):
            self.assertEqual(self.spot().at(path), (2, 5))
        self.assertEqual(self.spot().at(("rules", 7)), (2, 3))
        self.assertEqual(self.spot().at(("rules", 0, "when", "user", "deeper")), (2, 18))

    def test_a_line_of_a_literal_block_is_found_in_the_file(self) -> None:
        document = read(self.TEXT)
        spot = document.spot.find(("rules", 0, "reply"))
        text = document.value["rules"][0]["reply"]
        self.assertEqual(document.line_in(spot, text, 1), (4, 7))
        self.assertEqual(document.line_in(spot, text, 3), (6, 9))
        self.assertEqual(document.line_in(spot, text, None), (3, 12))

    def test_a_line_that_cannot_be_found_is_that_of_the_text(self) -> None:
        cases: Mapping[str, tuple[int, tuple[int, int]]] = {
            "a: >\n  x\n\n  y\n": (2, (1, 4)),
            'a: "x\\ny"\n': (2, (1, 4)),
            "a: &name\n  |\n  x\n": (1, (1, 4)),
            "a: |\n  x\n": (9, (1, 4)),
            "a: |\n  x": (2, (1, 4)),
        }
        for text, (line, expected) in cases.items():
            document = read(text)
            found = document.line_in(document.spot.find(("a",)), document.value["a"], line)
            self.assertEqual(found, expected, text)

    def test_columns_count_characters_and_lines_end_as_any_system_ends_them(self) -> None:
        self.assertEqual(read("'äöü': x").spot.at(("äöü",)), (1, 8))
        self.assertEqual(read("a: 1\r\nb: 2\r\n").spot.at(("b",)), (2, 4))


class AliasTests(SynchronousTestCase):
    def test_an_alias_is_what_it_stands_for(self) -> None:
        text = "a: &x {k: [1, &y two]}\nb: *x\nc: *y\n*y : 3\n"
        self.assertEqual(
            value_of(text), {"a": {"k": [1, "two"]}, "b": {"k": [1, "two"]}, "c": "two", "two": 3}
        )

    def test_an_alias_stands_where_it_is_written_and_what_is_inside_of_it_where_that_is(
        self,
    ) -> None:
        spot = read("a: &x {k: [1]}\nb: *x\n").spot
        self.assertEqual(spot.at(("b",)), (2, 4))
        self.assertEqual(spot.at(("b", "k", 0)), (1, 12))
        self.assertEqual(spot.key_at(("b", "k")), (1, 8))

    def test_an_anchor_may_be_used_again_for_something_else(self) -> None:
        self.assertEqual(value_of("[&x 1, *x, &x 2, *x]"), [1, 1, 2, 2])

    def test_a_merge_gives_what_is_not_there_already(self) -> None:
        text = (
            "base: &b {a: 1, b: 2}\nmore: &m {b: 3, c: 4}\n"
            "x: {<<: *b, a: 5}\ny: {a: 5, <<: [*m, *b]}\n"
        )
        document = read(text)
        self.assertEqual(document.value["x"], {"a": 5, "b": 2})
        self.assertEqual(document.value["y"], {"a": 5, "b": 3, "c": 4})
        self.assertEqual(document.spot.at(("x", "a")), (3, 16))
        self.assertEqual(document.spot.at(("x", "b")), (1, 20))

    def test_a_quoted_merge_key_is_a_key(self) -> None:
        self.assertEqual(value_of("{'<<': 1}"), {"<<": 1})

    def test_a_merge_key_can_have_no_anchor(self) -> None:
        self.assertEqual(
            told("a: {&x <<: {b: 1}}\nc: *x\n"), ["2:4: nothing is anchored as &x before this"]
        )

    def test_merging_twice_is_a_duplicate_key(self) -> None:
        self.assertEqual(
            told("{<<: {a: 1}, <<: {b: 2}}"), ["1:14: the key '<<' is here twice, first in line 1"]
        )

    def test_merging_what_is_no_mapping_is_told_and_what_is_lost_is_not_told_again(self) -> None:
        self.assertEqual(
            told("{<<: 1}"),
            ["1:6: << takes a mapping or a list of mappings, such as *name, not a number"],
        )
        self.assertEqual(
            told("{<<: [{a: 1}, x]}"),
            ["1:15: << takes a mapping or a list of mappings, such as *name, not a text"],
        )
        self.assertEqual(told("{<<: *x}"), ["1:6: nothing is anchored as &x before this"])

    def test_what_is_within_itself_is_told(self) -> None:
        self.assertEqual(
            told("a: &a [1, {b: *a}]"),
            ["1:15: *a is within what it stands for, which would never end"],
        )

    def test_a_hole_is_left_where_a_value_is_lost(self) -> None:
        self.assertEqual(read("[*x, 1, !y 2, .nan]").value, [HOLE, 1, HOLE, HOLE])
        self.assertEqual(repr(HOLE), "HOLE")


class KeyTests(SynchronousTestCase):
    def test_every_duplicate_is_told_and_the_first_one_stays(self) -> None:
        document = read("a: 1\nb: {c: 2, c: 3}\na: 4\n")
        self.assertEqual(document.value, {"a": 1, "b": {"c": 2}})
        self.assertEqual(
            [str(mistake) for mistake in document.mistakes],
            [
                "a.yml:2:11: the key 'c' is here twice, first in line 2",
                "a.yml:3:1: the key 'a' is here twice, first in line 1",
            ],
        )

    def test_keys_that_are_no_texts_are_told(self) -> None:
        self.assertEqual(
            told("{1: a, 1.5: b, null: c, false: d, .inf: e}"),
            [
                "1:2: a key must be a text, not a number: quote it",
                "1:8: a key must be a text, not a number: quote it",
                "1:16: a key must be a text, not nothing: quote it",
                "1:25: a key must be a text, not false: quote it",
                "1:35: .inf is a number that JSON does not have: quote it if a text is meant",
            ],
        )

    def test_of_a_template_without_quotes_nothing_else_is_told(self) -> None:
        document = read("a: {{ user }}\n")
        self.assertEqual(document.value, {"a": HOLE})
        self.assertEqual(len(document.mistakes), 1)


class BoundTests(SynchronousTestCase):
    def test_levels(self) -> None:
        deepest = "[" * LEVELS_AT_MOST + "]" * LEVELS_AT_MOST
        self.assertEqual(told(deepest), [])
        self.assertEqual(told(f"[{deepest}]"), ["1:51: this is nested more than 50 levels deep"])

    def test_levels_that_aliases_bring_with_them_count(self) -> None:
        half = LEVELS_AT_MOST // 2
        text = f"- &a {'[' * half}{']' * half}\n- {'[' * half}*a{']' * half}\n"
        self.assertEqual(told(text), ["2:28: this is nested more than 50 levels deep"])

    def test_a_billion_laughs_are_refused_before_they_are_laughed(self) -> None:
        lines = ["a0: &a0 [ha]\n"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 40)]
        started = time.perf_counter()
        self.assertEqual(
            told("".join(lines)),
            ["7:15: with its aliases written out this has more than 1,000,000 values"],
        )
        # In truth some milliseconds; written out it would not fit into any memory.
        self.assertLess(time.perf_counter() - started, 1)

    def test_aliases_share_what_they_stand_for(self) -> None:
        document = read("a: &a [x]\nb: [*a, *a]\n")
        self.assertIs(document.value["b"][0], document.value["b"][1])

    def test_values(self) -> None:
        almost = ",".join(["1"] * 99_999)
        text = f"a: &a [{almost}]\nb: [{','.join(['*a'] * 8)}]\n"
        self.assertEqual(told(text), [])
        self.assertGreater(NODES_AT_MOST, 900_000)
        self.assertEqual(len(told(text.replace("*a]", "*a,*a,*a]"))), 1)

    def test_characters(self) -> None:
        self.assertEqual(
            told("#" * (CHARACTERS_AT_MOST + 1)),
            ["1:1: the text is longer than 10,000,000 characters"],
        )

    def test_thousands_of_open_brackets_are_one_mistake(self) -> None:
        for text in ("[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000):
            for parser in PARSERS:
                self.assertEqual(len(told(text, parser)), 1)


class TextTests(SynchronousTestCase):
    def test_a_byte_order_mark_is_passed_by(self) -> None:
        document = read("\ufeffa: 1")
        self.assertEqual(document.value, {"a": 1})
        self.assertEqual(document.spot.key_at(("a",)), (1, 1))

    def test_nothing_at_all_is_nothing(self) -> None:
        for text in ("", "\n\n", "# nothing\n", "---\n", "null"):
            self.assertIs(value_of(text), None)

    def test_characters_that_are_no_text_are_told_where_they_stand(self) -> None:
        for text, expected in {
            "a: b\nc: \x00": "2:4: the character U+0000",
            "a\ud800": "1:2: the character U+D800",
            "\ufffe": "1:1: the character U+FFFE",
        }.items():
            self.assertEqual(len(told(text)), 1)
            self.assertTrue(told(text)[0].startswith(expected), told(text))

    def test_what_else_is_wrong_is_told_even_if_the_text_ends_wrongly(self) -> None:
        self.assertEqual(
            told("a: 1\na: 2\nb: [\n"),
            [
                "2:1: the key 'a' is here twice, first in line 1",
                "4:1: the file ends where a value is expected: is a bracket not closed?",
            ],
        )
        self.assertIs(read("a: 1\na: 2\nb: [\n").value, HOLE)

    def test_a_second_document_is_refused(self) -> None:
        self.assertEqual(
            told("a: 1\n---\n"), ["2:1: a second document begins here: a file may have only one"]
        )
        self.assertEqual(value_of("%YAML 1.2\n---\na: 1\n...\n"), {"a": 1})

    def test_a_text_alone_has_a_position_too(self) -> None:
        self.assertEqual(read("  hello").spot.at(), (1, 3))


class SyntaxTests(SynchronousTestCase):
    """Both parsers of PyYAML are understood, and nearly always agree about the place."""

    CASES: Mapping[str, str] = {
        "a:\n\tb: 1\n": "2:1: a tab cannot indent: use spaces",
        "a: |\n\tb\n": "2:1: a tab cannot indent: use spaces",
        "a: b: c\n": "1:5: ':' is not expected here: quote the text, or indent the key like its "
        "neighbours",
        "a: - b\n": "1:4: a list cannot begin here: put '- ' on a line of its own",
        "a: 'x\nb: 3\n": "1:4: this quoted text is never closed",
        "a: 'x\n---\n'\n": "1:4: this quoted text is never closed",
        "a: 1\nb\n": "2:1: expected 'key: value'",
        "a: [b\n": "1:4: this bracket is never closed",
        "a: {b: c\n": "1:4: this bracket is never closed",
        "a: [b\nc: d\n": "2:2: expected ',' or ']' in the list begun in line 1",
        "a:\n  {b c: d\n  e: f}\n": "3:4: expected ',' or '}' in the mapping begun in line 2",
        "a: @b\n": "1:4: a text cannot begin with '@': quote it",
        "a: *\n": "1:4: a name must follow '*' and '&' (alias and anchor): quote the text if one "
        "is meant",
        "a: !e!x 1\n": "1:4: a tag (a word after '!') has no meaning here: quote the text if one "
        "is meant",
        "- a\nb: c\n": "2:1: expected '- ' as in the list begun in line 1: is the indentation "
        "right?",
        "a: [, b]\n": "1:5: expected a value",
        "a: [b,\n": "2:1: the file ends where a value is expected: is a bracket not closed?",
        "a: 'x' y\n": "1:8: expected a key of the mapping begun in line 1: is the indentation "
        "right?",
        "[a]\nb\n": "2:1: expected the end of the file: is the indentation right?",
    }

    def test_each_mistake_is_told_in_plain_words(self) -> None:
        for text, expected in self.CASES.items():
            for parser in PARSERS:
                self.assertEqual(told(text, parser), [expected], (text, parser))

    def test_an_escape_that_is_none_is_told_with_the_way_out(self) -> None:
        for text in ('a: "\\d"', 'a: "\\uXYZ"', 'a: "\\UFFFFFFFF"'):
            for parser in PARSERS:
                (line,) = told(text, parser)
                self.assertRegex(line, "^1:[0-9]+: this is no escape: .* use single quotes$")

    def test_half_a_character_is_no_text(self) -> None:
        """libyaml refuses the escape; PyYAML's own parser lets it pass."""
        for parser in PARSERS:
            (line,) = told('a: "\\ud800"', parser)
            self.assertRegex(line, "^1:[0-9]+: this is no escape")

    def test_any_other_complaint_is_passed_on(self) -> None:
        for parser in PARSERS:
            (line,) = told("%YAML 3.0\n---\na: 1\n", parser)
            self.assertRegex(line, "^1:[0-9]+: this is no YAML: found incompatible YAML document")

    @QUICK
    @given(st.text(alphabet="ab:-[]{},'\"&*!|>%@`#?\\ \n\t\u2028\ufeffé1.~<", max_size=30))
    def test_no_text_whatever_raises(self, text: str) -> None:
        for parser in PARSERS:
            document = read_yaml(text, "a", parser)
            for mistake in document.mistakes:
                self.assertGreaterEqual(mistake.line, 1)
                self.assertGreaterEqual(mistake.column, 1)
                self.assertTrue(mistake.message.isprintable(), mistake.message)
            if not document.mistakes:
                document.spot.at(("a", 0))
