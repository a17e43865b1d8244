"""Regular expressions of schemas: read like ``re``, matched without it, and written."""

import random
import re

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.scenarios.json_schema.limits import Work, WorkSpentError
from fakellm.scenarios.json_schema.regex import Regex
from fakellm.scenarios.json_schema.regex_syntax import UnsupportedPattern

SEEDS = range(40)

ATOMS = st.sampled_from(
    [
        "a", "b", "1", "_", " ", ".", r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", r"\.", r"\n",
        r"\x61",
        "[ab]", "[^a]", "[a-c1]", r"[\d_]", r"[^\w]", r"[\]\-]", "[]a]", "[a-]", r"\u0062",
    ]
)  # fmt: skip
EDGES = st.sampled_from(["^", "$", r"\b", r"\B", r"\A", r"\Z"])
QUANTIFIERS = st.sampled_from(
    ["*", "+", "?", "{2}", "{1,}", "{1,3}", "{,2}", "{0}", "*?", "{2,3}?"]
)
ENCLOSURES = st.sampled_from(["(%s)", "(?:%s)", "(?=%s)", "(?!%s)"])


def _composed(patterns: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.lists(patterns, min_size=1, max_size=3).map("".join),
        st.lists(patterns, min_size=2, max_size=3).map("|".join).map("(?:{})".format),
        st.builds(lambda enclosure, inside: enclosure % inside, ENCLOSURES, patterns),
        st.builds(lambda body, counts: f"(?:{body}){counts}", patterns, QUANTIFIERS),
    )


def _is_plain(pattern: str) -> bool:
    return "(?=" not in pattern and "(?!" not in pattern


PATTERNS = st.recursive(ATOMS | EDGES, _composed, max_leaves=8)
PLAIN_PATTERNS = st.recursive(ATOMS, lambda inner: _composed(inner).filter(_is_plain), max_leaves=8)
TEXTS = st.text(alphabet="ab1_ .\né\u0661", max_size=8)


def is_in(pattern: str, text: str) -> bool:
    return Regex(pattern).is_in(text, Work().spend)


class MatchingTests(SynchronousTestCase):
    @settings(deadline=None, derandomize=True, max_examples=400)
    @given(pattern=PATTERNS, text=TEXTS)
    def test_it_agrees_with_re_on_what_is_found_in_a_text(self, pattern: str, text: str) -> None:
        assume(text or r"\B" not in pattern)  # before Python 3.14 `re` sees no \B in empty texts
        self.assertEqual(is_in(pattern, text), re.search(pattern, text) is not None)

    def test_it_looks_behind_as_re_does(self) -> None:
        for pattern in ("(?<=a)b", "(?<!a)b", "^(?<!a)b", "(?<=^a)b$"):
            for text in ("ab", "b", "cb", "aab", ""):
                self.assertEqual(is_in(pattern, text), re.search(pattern, text) is not None)

    def test_literal_braces_are_no_quantifiers(self) -> None:
        for pattern, text in (("a{}", "a{}"), ("a{x}", "a{x}"), ("{a", "{a"), ("x{1", "x{1")):
            self.assertTrue(is_in(f"^{pattern}$", text), pattern)

    def test_nested_quantifiers_take_no_exponential_time(self) -> None:
        """`re` would take years for each of these."""
        text = "a" * 200 + "!"
        for pattern in ("^(a+)+$", "^(a|aa)+$", "^((a*)*)*$", r"^(\w+\s?)*$"):
            self.assertFalse(is_in(pattern, text), pattern)
        self.assertTrue(is_in("^(?!((a+)+)+$)", text))

    def test_what_matching_takes_is_spent_and_may_run_out(self) -> None:
        with self.assertRaises(WorkSpentError):
            Regex("^(?:[a-z]|1)+$").is_in("a" * 5_000, Work(1_000).spend)


class WritingTests(SynchronousTestCase):
    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(pattern=PLAIN_PATTERNS, seed=st.integers(0, 9))
    def test_what_is_written_matches(self, pattern: str, seed: int) -> None:
        text = Regex(pattern).write(random.Random(seed), 0, 100)
        self.assertIsNotNone(re.search(pattern, text), text)

    def test_the_length_asked_for_is_met_wherever_the_pattern_has_one(self) -> None:
        for pattern, low, high in (
            ("^[a-z]+$", 20, 20),
            ("^[A-Z]{2}[0-9]*-[a-z]?$", 9, 9),
            ("^(cat|horse)$", 5, 5),
            ("^(a|bb){4}$", 6, 6),
            ("^(?:a{2,4}b?){2}c*$", 10, 10),
            ("^(?:x?){30}$", 7, 7),
            ("^(?:){5}a*$", 3, 3),
            ("^.{8,}$", 8, 10),
            ("x$", 12, 30),
            ("^x", 12, 12),
        ):
            texts = [Regex(pattern).write(random.Random(seed), low, high) for seed in SEEDS]
            found = [
                text for text in texts if re.search(pattern, text) and low <= len(text) <= high
            ]
            self.assertTrue(found, pattern)

    def test_classes_are_written_from_what_a_keyboard_has_if_they_can_be(self) -> None:
        self.assertTrue(Regex("^.{40}$").write(random.Random(1), 0, 99).isalnum())
        self.assertEqual(Regex("^[^ -~]$").write(random.Random(1), 0, 9).isascii(), False)
        self.assertIn(
            Regex("[\u4e00-\u9fff]").write(random.Random(1), 0, 1),
            "一丁丂七丄丅丆万丈三上下丌不与丏日本語",
        )
        self.assertEqual(Regex(r"\n").write(random.Random(1), 0, 1), "\n")

    def test_an_empty_pattern_is_met_by_anything(self) -> None:
        self.assertTrue(is_in("", Regex("").write(random.Random(1), 0, 9)))


class RefusalTests(SynchronousTestCase):
    def test_what_is_malformed_or_unsupported_is_refused_with_its_place(self) -> None:
        for pattern, reason in {
            "a)": "closes nothing, at character 1",
            "(a": "nothing closes",
            "[a": "a class that nothing closes",
            "[a-": "a class that nothing closes",
            "[b-a]": "a bad range",
            r"[\w-z]": "a bad range",
            "*a": "a quantifier after nothing",
            "a|{2}": "a quantifier after nothing",
            "^*": "a quantifier after an anchor",
            "a**": "a quantifier after a quantifier",
            "a{3,2}": "the wrong way round",
            "a{9999999}": "a quantifier above",
            "a{1,9999999}": "a quantifier above",
            r"(a)\1": "a backreference",
            r"\p{L}": "an escape \\p",
            r"\x6": "an escape \\x without 2",
            r"\u00g0": "an escape \\u without 4",
            "\\": "an escape",
            r"\01": "not supported",
            "(?i)a": "a group of an unsupported kind",
            "(?>a)": "a group of an unsupported kind",
            r"\ud800": "half a surrogate pair",
            r"[\ud800-\udfff]": "without a character that can be written",
            r"[^\d\D]": "without a character that can be written",
            "(" * 99: "groups inside one another",
            "a" * 9_999: "more than 2000 characters",
        }.items():
            with self.assertRaises(UnsupportedPattern) as caught:
                Regex(pattern)
            self.assertIn(reason, str(caught.exception), pattern)

    def test_named_groups_of_python_and_of_ecma_are_read(self) -> None:
        self.assertTrue(is_in("^(?P<year>[0-9]{4})$", "2024"))
        self.assertTrue(is_in("^(?<year>[0-9]{4})$", "2024"))

    def test_in_a_class_b_is_a_backspace(self) -> None:
        self.assertTrue(is_in(r"^[\b]$", "\b"))

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(pattern=st.text(alphabet="ab1()[]{}?*+|^$\\.,-<>:=!dwsbxu", max_size=12))
    def test_any_text_is_read_or_refused_and_nothing_else(self, pattern: str) -> None:
        try:
            regex = Regex(pattern)
        except UnsupportedPattern:
            return
        text = regex.write(random.Random(0), 0, 20) if regex.shortest < 100 else ""
        self.assertIsInstance(regex.is_in(text, Work().spend), bool)
