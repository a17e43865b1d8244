"""How OpenAI tells of limits."""

import re
from math import ceil

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.openai.chat import OpenAIChat
from fakellm.dialects.openai.limits import limit_headers, named, spelled, waiting_headers
from fakellm.model.standing import Exceeded, Standing, Unit
from tests.dialects.openai.answering import stamp

few = settings(deadline=None, derandomize=True, max_examples=300, database=None)

_GO = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s|(\d+)ms)")


class SpelledTests(SynchronousTestCase):
    def test_times_are_written_as_go_prints_them(self) -> None:
        for seconds, text in {
            0: "0s",
            0.0004: "0s",
            0.001: "1ms",
            0.02: "20ms",
            0.9994: "999ms",
            0.9996: "1s",
            1: "1s",
            1.5: "1.5s",
            1.234: "1.234s",
            8.64: "8.64s",
            10.05: "10.05s",
            59.9999: "1m0s",
            60: "1m0s",
            61.5: "1m1.5s",
            360: "6m0s",
            3600: "1h0m0s",
            3723: "1h2m3s",
            86400: "24h0m0s",
            1e9: "277777h46m40s",
        }.items():
            self.assertEqual(spelled(seconds), text, seconds)

    @few
    @given(st.floats(0, 1e9))
    def test_they_are_read_back_to_the_millisecond(self, seconds: float) -> None:
        match = _GO.fullmatch(spelled(seconds))
        assert match is not None, spelled(seconds)
        hours, minutes, whole, millis = (float(each or 0) for each in match.groups())
        read = hours * 3600 + minutes * 60 + whole + millis / 1000
        self.assertLessEqual(abs(read - seconds), 0.000501)
        self.assertEqual(spelled(read), spelled(seconds))


class NamedTests(SynchronousTestCase):
    def named(self, unit: Unit, window: float) -> str:
        return named(
            Exceeded(unit=unit, limit=1, window=window, used=1, requested=1, retry_after=1.0)
        )

    def test_usual_windows_have_names(self) -> None:
        self.assertEqual(
            [self.named("requests", window) for window in (1, 60, 3600, 86400)],
            [
                "requests per second (RPS)",
                "requests per min (RPM)",
                "requests per hour (RPH)",
                "requests per day (RPD)",
            ],
        )
        self.assertEqual(self.named("tokens", 60.0), "tokens per min (TPM)")
        self.assertEqual(self.named("tokens", 86400.0), "tokens per day (TPD)")

    def test_other_windows_are_times(self) -> None:
        self.assertEqual(self.named("requests", 10.0), "requests per 10s")
        self.assertEqual(self.named("tokens", 0.25), "tokens per 250ms")


class HeadersTests(SynchronousTestCase):
    STANDINGS = (
        Standing(unit="requests", limit=60, window=60.0, remaining=59, reset=1.0),
        Standing(unit="tokens", limit=150_000, window=60.0, remaining=149_984, reset=0.006),
    )

    def test_word_for_word(self) -> None:
        expected = (
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-limit-tokens", "150000"),
            ("x-ratelimit-remaining-tokens", "149984"),
            ("x-ratelimit-reset-tokens", "6ms"),
        )
        self.assertEqual(limit_headers(self.STANDINGS), expected)
        self.assertEqual(OpenAIChat().limit_headers(self.STANDINGS, stamp()), expected)

    def test_without_limits_there_are_none(self) -> None:
        self.assertEqual(limit_headers(()), ())

    def test_when_to_come_again(self) -> None:
        for seconds, whole, millis in [
            (0.003, "1", "3"),
            (0.0031, "1", "4"),
            (1.0, "1", "1000"),
            (1.001, "2", "1001"),
            (20.0, "20", "20000"),
        ]:
            self.assertEqual(
                waiting_headers(seconds), (("Retry-After", whole), ("retry-after-ms", millis))
            )

    @few
    @given(st.integers(1, 10**9))
    def test_whole_milliseconds_are_told_as_they_are(self, millis: int) -> None:
        (_, whole), (_, told) = waiting_headers(millis / 1000)
        self.assertEqual((int(told), int(whole)), (millis, ceil(millis / 1000)))
