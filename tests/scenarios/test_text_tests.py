"""The tests of a text, and of a number, that scenarios are written with."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from unittest import mock

import msgspec
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.logger import LogEvent, LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from fakellm.scenarios import text_tests
from fakellm.scenarios.schema import NumberRule, NumberTest, TextRule, TextTest
from fakellm.scenarios.text_tests import (
    STRIKES,
    BadRule,
    _is_quick,
    compile_number,
    compile_text,
    quoted,
)

few = settings(deadline=None, derandomize=True, max_examples=300, database=None)

PATTERNS = ("a", "^a", "a+b?$", r"(?P<x>a|b) ", "(?i)A", r"[^a ]\w")
letters = st.text("abAB ", max_size=4)
leaves = st.builds(TextTest, equals=letters) | letters


def text_rules(inner: st.SearchStrategy[TextRule]) -> st.SearchStrategy[TextRule]:
    """Tests of any one or two kinds, made of inner ones."""
    maybe = st.none() | letters
    several = st.none() | st.lists(inner, min_size=1, max_size=3).map(tuple)
    return st.builds(
        TextTest,
        contains=maybe,
        starts_with=st.none() | st.just("a"),
        ends_with=st.none() | st.just("b"),
        like=st.none() | st.none() | letters,
        matches=st.none() | st.sampled_from(PATTERNS),
        any=several,
        all=several,
        not_=st.none() | inner,
    )


rules = st.recursive(leaves, text_rules, max_leaves=6)


def holds(rule: TextRule, text: str | None) -> bool:
    """What a test of a text means, as plainly as can be."""
    if isinstance(rule, str):
        return text == rule
    said: list[bool] = []
    if rule.equals is not None:
        said.append(text == rule.equals)
    if rule.contains is not None:
        said.append(text is not None and rule.contains in text)
    if rule.matches is not None:
        said.append(text is not None and re.search(rule.matches, text) is not None)
    if rule.starts_with is not None:
        said.append(text is not None and text.startswith(rule.starts_with))
    if rule.ends_with is not None:
        said.append(text is not None and text.endswith(rule.ends_with))
    if rule.like is not None:
        said.append(text is not None and text.casefold().split() == rule.like.casefold().split())
    if rule.any is not None:
        said.append(any(holds(each, text) for each in rule.any))
    if rule.all is not None:
        said.append(all(holds(each, text) for each in rule.all))
    if rule.not_ is not None:
        said.append(not holds(rule.not_, text))
    return all(said) if said else text is not None


class TextTestTests(SynchronousTestCase):
    def assert_test(
        self,
        rule: TextRule,
        *,
        passes: tuple[str | None, ...],
        fails: tuple[str | None, ...],
        words: str,
    ) -> None:
        check = compile_text(rule)
        self.assertEqual([text for text in passes if not check.test(text)], [])
        self.assertEqual([text for text in fails if check.test(text)], [])
        self.assertEqual(check.words, words)

    def test_a_bare_text_is_equality(self) -> None:
        self.assert_test(
            "hello", passes=("hello",), fails=("Hello", "hello ", "", None), words="is 'hello'"
        )

    def test_equals(self) -> None:
        rule = TextTest(equals="hello")
        self.assert_test(rule, passes=("hello",), fails=("hello!", None), words="is 'hello'")

    def test_contains(self) -> None:
        rule = TextTest(contains="ell")
        self.assert_test(
            rule, passes=("hello", "ell"), fails=("HELLO", "el", None), words="contains 'ell'"
        )

    def test_starts_with(self) -> None:
        rule = TextTest(starts_with="he")
        self.assert_test(
            rule, passes=("hello", "he"), fails=("the", "", None), words="starts with 'he'"
        )

    def test_ends_with(self) -> None:
        rule = TextTest(ends_with="lo")
        self.assert_test(
            rule, passes=("hello", "lo"), fails=("love", "", None), words="ends with 'lo'"
        )

    def test_like_folds_case_and_white_space(self) -> None:
        rule = TextTest(like=" Große\nStadt")
        self.assert_test(
            rule,
            passes=("GROSSE   stadt", "\tgroße stadt "),
            fails=("großestadt", "", None),
            words=r"is like ' Große\nStadt'",
        )

    def test_matches_finds_a_regular_expression_anywhere(self) -> None:
        rule = TextTest(matches=r"\d+ ?°C")
        self.assert_test(
            rule,
            passes=("it is 21 °C now", "0°C"),
            fails=("it is warm", "", None),
            words=r"matches '\\d+ ?°C'",
        )

    def test_any_asks_for_one_of_several(self) -> None:
        rule = TextTest(any=("hi", TextTest(contains="hello")))
        self.assert_test(
            rule,
            passes=("hi", "oh hello"),
            fails=("oh hi", None),
            words="any of (is 'hi', contains 'hello')",
        )

    def test_all_asks_for_all_of_several(self) -> None:
        rule = TextTest(all=(TextTest(contains="a"), TextTest(contains="b")))
        self.assert_test(
            rule, passes=("ab",), fails=("a", "b", None), words="contains 'a' and contains 'b'"
        )

    def test_not_turns_a_test_round(self) -> None:
        rule = TextTest(not_=TextTest(contains="a"))
        self.assert_test(rule, passes=("b", ""), fails=("a",), words="not (contains 'a')")

    def test_no_text_at_all_passes_only_a_not(self) -> None:
        """An absent header, say."""
        self.assertTrue(compile_text(TextTest(not_="a")).test(None))
        self.assertFalse(compile_text(TextTest(not_="a", contains="")).test(None))

    def test_a_test_of_nothing_asks_that_there_be_a_text(self) -> None:
        self.assert_test(TextTest(), passes=("a", ""), fails=(None,), words="is there")

    def test_all_that_is_given_must_hold(self) -> None:
        rule = TextTest(starts_with="a", ends_with="z", not_=TextTest(contains="m"))
        self.assert_test(
            rule,
            passes=("az", "abyz"),
            fails=("a", "z", "amz", None),
            words="starts with 'a' and ends with 'z' and not (contains 'm')",
        )

    def test_long_texts_are_shortened_in_words(self) -> None:
        words = compile_text("x" * 100).words
        self.assertEqual(words, f"is '{'x' * 59}…'")

    def test_nothing_is_quoted_as_nothing(self) -> None:
        self.assertEqual([quoted(None), quoted("a\nb")], ["nothing", r"'a\nb'"])

    @few
    @given(rules, st.none() | letters)
    def test_any_test_means_what_it_says(self, rule: TextRule, text: str | None) -> None:
        self.assertEqual(compile_text(rule).test(text), holds(rule, text))


class GroupsTests(SynchronousTestCase):
    """What regular expressions found, for templates."""

    def test_groups_are_the_named_ones_and_0_for_the_whole(self) -> None:
        check = compile_text(TextTest(matches=r"weather in (?P<city>\w+)"))
        self.assertEqual(
            check.match("The weather in Lyon?"), {0: "weather in Lyon", "city": "Lyon"}
        )

    def test_a_text_that_fails_has_no_groups(self) -> None:
        self.assertIsNone(compile_text(TextTest(matches="a")).match("b"))

    def test_a_test_without_regular_expressions_has_empty_groups(self) -> None:
        self.assertEqual(compile_text("a").match("a"), {})

    def test_a_group_that_took_no_part_is_empty(self) -> None:
        check = compile_text(TextTest(matches="a(?P<b>b)?"))
        self.assertEqual(check.match("a"), {0: "a", "b": ""})

    def test_the_groups_of_all_come_together_and_the_first_wins(self) -> None:
        check = compile_text(
            TextTest(
                all=(TextTest(matches="(?P<x>a)(?P<y>b)"), TextTest(matches="(?P<x>c)(?P<z>d)"))
            )
        )
        self.assertEqual(check.match("abcd"), {0: "ab", "x": "a", "y": "b", "z": "d"})

    def test_the_groups_of_any_are_those_of_the_first_that_holds(self) -> None:
        check = compile_text(TextTest(any=(TextTest(matches="(?P<x>a)"), TextTest(matches="."))))
        self.assertEqual(check.match("ba"), {0: "a", "x": "a"})
        self.assertEqual(check.match("b"), {0: "b"})

    def test_a_not_gives_no_groups(self) -> None:
        check = compile_text(TextTest(not_=TextTest(matches="(?P<x>a)")))
        self.assertEqual(check.match("b"), {})

    def test_a_check_with_a_regular_expression_anywhere_says_that_it_is_slow(self) -> None:
        slow = TextTest(matches="a")
        for rule in (slow, TextTest(any=("a", slow)), TextTest(not_=slow, contains="b")):
            self.assertTrue(compile_text(rule).slow)
        self.assertFalse(compile_text(TextTest(any=("a",), contains="a")).slow)


class BadRuleTests(SynchronousTestCase):
    def assert_bad(self, make: Callable[[], object], path: tuple[Any, ...], reason: str) -> None:
        error = self.assertRaises(BadRule, make)
        self.assertEqual((error.path, error.reason), (path, reason))

    def test_what_is_no_regular_expression_is_refused_with_the_place_it_is_at(self) -> None:
        rule = TextTest(not_=TextTest(any=("a", TextTest(matches="(a"))))
        self.assert_bad(
            lambda: compile_text(rule, ("when", "user")),
            ("when", "user", "not", "any", 1, "matches"),
            "this is not a regular expression: missing ) at position 2",
        )

    def test_the_error_is_a_line_for_people(self) -> None:
        error = BadRule(("when", "user", "any", 0), "no good")
        self.assertEqual(str(error), "when.user.any.0: no good")

    def test_a_regular_expression_of_huge_size_is_refused_before_it_takes_the_memory(self) -> None:
        reason = "this regular expression is too large: lower its repeat counts"
        for pattern in (
            "(?:(?:a{1000}){1000}){1000}",
            "(?:(?:a{900,}){900,}){900,9999}",
            r"((a|b){500}[{1}]\w{500}){500}",
            "a{99999999999}",
        ):
            make = partial(compile_text, TextTest(matches=pattern))
            self.assert_bad(make, ("matches",), reason)

    def test_repeats_of_ordinary_size_are_none_of_that(self) -> None:
        for pattern in ("a{5000}", r"(\d{4})-(\d{2})", "(?:a{9}){9,}", "(?:a{1,9999}){1,9999}"):
            self.assertFalse(compile_text(TextTest(matches=pattern)).test(""), pattern)

    def test_a_regular_expression_nested_too_deeply_is_refused(self) -> None:
        rule = TextTest(matches="(" * 3000 + ")" * 3000)
        reason = "this regular expression is nested too deeply"
        self.assert_bad(lambda: compile_text(rule), ("matches",), reason)

    def test_an_empty_any_or_all_is_refused(self) -> None:
        reason = "give at least one test"
        self.assert_bad(lambda: compile_text(TextTest(any=())), ("any",), reason)
        self.assert_bad(lambda: compile_text(TextTest(all=())), ("all",), reason)

    def test_an_empty_any_of_numbers_is_refused(self) -> None:
        reason = "give at least one number"
        self.assert_bad(lambda: compile_number(NumberTest(any=()), ("n",)), ("n", "any"), reason)

    def test_a_test_of_a_number_that_asks_for_nothing_is_refused(self) -> None:
        reason = "give at least one test, such as at_least: 2"
        rule = NumberTest(not_=NumberTest())
        self.assert_bad(lambda: compile_number(rule, ("n",)), ("n", "not"), reason)


CATASTROPHE = TextTest(matches="(a+)+$")
ENDLESS = "a" * 10_000 + "b"


class CatastropheTests(SynchronousTestCase):
    """A regular expression that takes forever does not."""

    def setUp(self) -> None:
        self.patch(text_tests, "TIMEOUT", 0.001)

    def said(self, events: Sequence[LogEvent]) -> list[tuple[Any, str]]:
        return [
            (event["log_level"], event["log_format"].format(**event))
            for event in events
            if event["log_namespace"] == "fakellm.scenarios.text_tests"
        ]

    def test_a_search_that_takes_too_long_counts_as_not_found_with_one_warning(self) -> None:
        check = compile_text(CATASTROPHE)
        with capturedLogs() as events:
            self.assertFalse(check.test(ENDLESS))
            self.assertFalse(check.test(ENDLESS))
            self.assertTrue(check.test("aaa"))
        self.assertEqual(
            self.said(events),
            [
                (
                    LogLevel.warn,
                    "The regular expression '(a+)+$' takes too long: it counts as not found",
                )
            ],
        )

    def test_a_pattern_that_takes_too_long_again_and_again_is_cut_off(self) -> None:
        check = compile_text(CATASTROPHE)
        for _ in range(STRIKES - 1):
            check.test(ENDLESS)
        with capturedLogs() as events:
            check.test(ENDLESS)
            self.assertFalse(check.test("aaa"))
        self.assertEqual(
            self.said(events),
            [
                (
                    LogLevel.error,
                    (
                        f"The regular expression '(a+)+$' took too long {STRIKES} times: it is "
                        "not searched for any more"
                    ),
                )
            ],
        )

    def test_cheap_tests_of_the_same_text_are_tried_first(self) -> None:
        """Else this search would take too long and be told of."""
        check = compile_text(TextTest(matches="(a+)+$", not_=TextTest(contains="b")))
        with capturedLogs() as events:
            self.assertFalse(check.test(ENDLESS))
        self.assertEqual(events, [])

    def test_one_that_runs_out_of_memory_counts_the_same(self) -> None:
        compiled = mock.Mock()
        compiled.search.side_effect = MemoryError
        with mock.patch.object(regex, "compile", return_value=compiled):
            check = compile_text(TextTest(matches="a"))
        with capturedLogs() as events:
            self.assertFalse(check.test("a"))
        self.assertEqual(len(self.said(events)), 1)


PIECES = (
    *"abc .^$*+?()|{}[]#é-",
    *("{2}", "{1,}", "{,2}", "{e<=1}", "(?:", "(?P<x>", "(?=", "(?!", "(?<=", "(?<!", "(?i)"),
    *("(?x)", "(?i:", "(?|", "(?#", "[ab]", "[^a]", "[]a]", "[[:alpha:]b]", "[[a]", r"\w", r"\b"),
    *(r"\.", r"\x61", r"\1", r"\K", r"\N{DASH}", r"\p{L}", "*?", "a b", "ab", "c#", r"\ "),
)


class ShortcutTests(SynchronousTestCase):
    """Texts without the plain parts of a pattern are not searched; nobody should notice."""

    @settings(few, max_examples=1500)
    @given(
        st.lists(st.sampled_from(PIECES), max_size=6).map("".join),
        st.lists(st.text("abc .#é-{}[]1", max_size=6), min_size=1, max_size=6),
    )
    @example("ab|c", ["c"])
    @example("ab{e<=1}", ["a"])
    @example(r"\x61b", ["ab"])
    @example("[[:alpha:]b]c", ["ac"])
    @example("AB(?i)", ["ab"])
    def test_a_pattern_is_found_where_it_is_found_without_shortcuts(
        self, pattern: str, texts: list[str]
    ) -> None:
        try:
            found = regex.compile(pattern).search
        except regex.error:
            self.assertRaises(BadRule, compile_text, TextTest(matches=pattern))
            return
        check = compile_text(TextTest(matches=pattern))
        self.assertEqual(
            [check.test(text) for text in texts],
            [found(text, timeout=1) is not None for text in texts],
        )

    def test_a_text_without_the_plain_parts_is_not_searched(self) -> None:
        """Else this search would take too long and be told of."""
        check = compile_text(TextTest(matches=r"(a+)+\.com, please\?$"))
        with capturedLogs() as events:
            self.assertFalse(check.test("a" * 10_000 + "b"))
        self.assertEqual(events, [])


class QuickTests(SynchronousTestCase):
    """Whose searches need not be watched, as they cannot take long in a short text."""

    def test_what_repeats_single_pieces_a_fixed_number_of_times(self) -> None:
        for pattern in (
            r"order \d{5} of (?P<year>\d{4})",
            "(?i)hello|(?:good) (?:bye)",
            r"\A\[(?P<status>[45][0-9]{2})\]\Z",
            r"a\{2\}\*[*+?]{3}.",
        ):
            self.assertTrue(_is_quick(pattern), pattern)

    def test_but_nothing_else(self) -> None:
        for pattern in (
            *("a*", "a+", "ab?", "a{2,}", "a{1,3}", "(?:ab){9}", "(a|a){30}b", "a{9}{9}", "a{999}"),
            *("(?R)", "(?1)", "(?=a)b", "(?>a)", "(?P=n)", "(?:ab){e<=1}", r"\p{L}"),
        ):
            self.assertFalse(_is_quick(pattern), pattern)

    def test_long_texts_are_watched_all_the_same(self) -> None:
        check = compile_text(TextTest(matches="a b"))
        self.assertTrue(check.test("x" * 20_000 + "a b"))


numbers = st.integers(-2, 5)
number_rules: st.SearchStrategy[NumberRule] = st.recursive(
    numbers,
    lambda inner: st.builds(
        NumberTest,
        at_least=st.none() | numbers,
        at_most=st.none() | numbers,
        any=st.none() | st.lists(numbers, min_size=1, max_size=3).map(tuple),
        not_=inner,
    ),
    max_leaves=3,
)


def number_holds(rule: NumberRule, number: int) -> bool:
    """What a test of a number means, as plainly as can be."""
    if isinstance(rule, int):
        return number == rule
    return (
        (rule.at_least is None or number >= rule.at_least)
        and (rule.at_most is None or number <= rule.at_most)
        and (rule.any is None or number in rule.any)
        and (rule.not_ is None or not number_holds(rule.not_, number))
    )


class NumberTestTests(SynchronousTestCase):
    def assert_test(self, rule: NumberRule, *, passes: set[int], words: str) -> None:
        check = compile_number(rule)
        self.assertEqual({number for number in range(6) if check.test(number)}, passes)
        self.assertEqual(check.words, words)

    def test_a_bare_number_is_equality(self) -> None:
        self.assert_test(2, passes={2}, words="is 2")

    def test_at_least(self) -> None:
        self.assert_test(NumberTest(at_least=4), passes={4, 5}, words="at least 4")

    def test_at_most(self) -> None:
        self.assert_test(NumberTest(at_most=1), passes={0, 1}, words="at most 1")

    def test_any(self) -> None:
        self.assert_test(NumberTest(any=(1, 3)), passes={1, 3}, words="any of 1, 3")

    def test_not(self) -> None:
        rule = NumberTest(not_=NumberTest(at_least=1))
        self.assert_test(rule, passes={0}, words="not (at least 1)")

    def test_all_that_is_given_must_hold(self) -> None:
        rule = NumberTest(at_least=1, at_most=3, not_=2)
        self.assert_test(rule, passes={1, 3}, words="at least 1 and at most 3 and not (is 2)")

    @few
    @given(number_rules, numbers)
    def test_any_test_means_what_it_says(self, rule: NumberRule, number: int) -> None:
        self.assertEqual(compile_number(rule).test(number), number_holds(rule, number))

    def test_a_file_says_it_in_these_words(self) -> None:
        rule = msgspec.convert({"at_least": 2, "not": 3}, NumberTest)
        self.assertEqual(rule, NumberTest(at_least=2, not_=3))
