"""Durations and rates as people write them."""

from math import inf, nan

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.timing.durations import LONGEST, BadDuration, parse_duration, parse_rate

few = settings(deadline=None, derandomize=True, max_examples=100, database=None)


class DurationTests(SynchronousTestCase):
    def test_a_number_and_a_unit(self) -> None:
        for text, seconds in {
            "250ms": 0.25,
            "1.5s": 1.5,
            "2m": 120.0,
            "1h": 3600.0,
            "800us": 0.0008,
            "800\u00b5s": 0.0008,
            "800\u03bcs": 0.0008,
            " 20 MS ": 0.02,
            ".5s": 0.5,
            "1.s": 1.0,
            "0": 0.0,
            "0.4": 0.4,
            "2.5e-05": 0.000025,
            "1e3ms": 1.0,
            "-0s": 0.0,
        }.items():
            self.assertEqual(parse_duration(text), seconds, text)

    def test_a_plain_number_is_seconds(self) -> None:
        self.assertEqual([parse_duration(3), parse_duration(0.25)], [3.0, 0.25])
        self.assertIs(type(parse_duration(3)), float)

    def test_what_is_no_duration_is_told_in_a_line(self) -> None:
        for text, reason in {
            "": "'' is no duration such as 250ms",
            "soon": "'soon' is no duration such as",
            "1 2s": "'1 2s' is no duration such as",
            "1m30s": "'1m30s' is no duration such as",
            "inf": "'inf' is no duration such as",
            "5 days": "'5 days' has no unit of time: use us, ms, s, m or h",
            "-1s": "'-1s' is no duration: that is finite and not negative",
            "1e999": "'1e999' is too long for a duration: 1000000000s at most",
            "x" * 100: "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx... is no duration",
        }.items():
            self.assert_bad(text, reason)

    def test_neither_is_such_a_number(self) -> None:
        for number in (-1, -0.001, nan):
            self.assert_bad(number, "is no duration: that is finite and not negative")
        for number in (inf, LONGEST * 1.001, 10**400):
            self.assert_bad(number, "is too long")
        self.assert_bad(10**5000, "a number so large is too long")

    def test_nor_a_value_of_another_kind(self) -> None:
        for value in (True, None, [1]):
            self.assert_bad(value, "is no duration such as")

    @few
    @given(st.floats(0, LONGEST))
    def test_what_python_writes_is_read_back(self, seconds: float) -> None:
        self.assertEqual(parse_duration(repr(seconds)), seconds)
        self.assertEqual(parse_duration(f"{seconds!r}s"), seconds)

    @few
    @given(st.text(max_size=12) | st.from_regex(r"-?[0-9.e]+ ?[a-z]{0,2}", fullmatch=True))
    def test_any_text_is_a_duration_within_bounds_or_bad(self, text: str) -> None:
        try:
            seconds = parse_duration(text)
        except BadDuration as error:
            self.assertNotIn("\n", str(error))
        else:
            self.assertTrue(0 <= seconds <= LONGEST)

    def assert_bad(self, value: object, reason: str) -> None:
        error = self.assertRaises(BadDuration, parse_duration, value)
        self.assertIn(reason, str(error))
        self.assertIsInstance(error, ValueError)


class RateTests(SynchronousTestCase):
    def test_a_rate_is_a_number_above_zero(self) -> None:
        self.assertEqual([parse_rate(50), parse_rate(0.5)], [50.0, 0.5])

    def test_what_is_no_rate_is_told(self) -> None:
        for rate in (0, -1, nan, inf, 1e-10, 10**400):
            error = self.assertRaises(BadDuration, parse_rate, rate)
            self.assertIn("is no rate: it must be above 0 and finite", str(error))
        others: tuple[object, ...] = (True, "50")
        for value in others:
            error = self.assertRaises(BadDuration, parse_rate, value)
            self.assertIn("is no number of tokens per second", str(error))
