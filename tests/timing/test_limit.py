"""Limits as people write them."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fakellm.timing.conduct import LimitSpec
from fakellm.timing.durations import BadDuration
from fakellm.timing.limit import Limit, compile_limit


def limit(**spec: Any) -> Limit:
    return compile_limit(LimitSpec(**spec))


class LimitTests(SynchronousTestCase):
    def test_units_in_a_window_of_microseconds(self) -> None:
        self.assertEqual(
            limit(requests=3, per="10s"), Limit(unit="requests", limit=3, window=10_000_000)
        )
        self.assertEqual(limit(tokens=9, per=0.5), Limit(unit="tokens", limit=9, window=500_000))

    def test_a_window_is_a_microsecond_at_least(self) -> None:
        for per in ("1us", "0.4us", "1e-9us"):
            self.assertEqual(limit(tokens=9, per=per).window, 1, per)

    def test_without_a_window_it_is_a_minute(self) -> None:
        self.assertEqual(limit(requests=3), limit(requests=3, per="1m"))

    def test_equal_limits_are_equal_however_they_are_written(self) -> None:
        self.assertEqual(limit(requests=3, per="1m"), limit(requests=3, per=60))
        self.assertEqual(limit(requests=3, by="key"), limit(requests=3, by=("key",)))
        self.assertEqual(
            limit(requests=3, by=("key", "model")), limit(requests=3, by=("model", "key", "key"))
        )
        self.assertEqual(len({limit(requests=3, by="all"), limit(requests=3, by=())}), 1)

    def test_a_quota_is_for_ever(self) -> None:
        for per in ("ever", " EVER "):
            quota = limit(tokens=3, per=per)
            self.assertEqual(quota, Limit(unit="tokens", limit=3, window=None))
            self.assertTrue(quota.is_quota)
        self.assertFalse(limit(tokens=3).is_quota)

    def test_answers_at_once_are_no_quota(self) -> None:
        at_once = limit(concurrent=2, by="model")
        self.assertEqual(at_once, Limit(unit="concurrent", limit=2, window=None, by_model=True))
        self.assertFalse(at_once.is_quota)

    def test_whom_it_is_for(self) -> None:
        cases: list[tuple[dict[str, Any], str | None, str, bool]] = [
            ({}, None, "m", True),
            ({"model": "m"}, None, "m", True),
            ({"model": "m"}, "k", "other", False),
            ({"key": "k"}, "k", "m", True),
            ({"key": "k"}, None, "m", False),
            ({"key": "k", "model": "m"}, "k", "other", False),
        ]
        for of, key, model, counts in cases:
            self.assertIs(limit(requests=1, **of).counts(key, model), counts, of)

    def test_what_cannot_be_is_told_in_a_line(self) -> None:
        units = "a limit is one of requests, tokens, concurrent, and this is "
        cases: list[tuple[dict[str, Any], str]] = [
            ({}, units + "none"),
            ({"requests": 1, "tokens": 2}, units + "requests and tokens"),
            ({"requests": 0}, "requests: must be at least 1, not 0"),
            ({"concurrent": 1, "per": "1m"}, "per: a limit of concurrent answers has no window"),
            ({"concurrent": 1, "per": "ever"}, "per: a limit of concurrent answers has no window"),
            ({"tokens": 1, "per": 0}, "per: expected a time above 0"),
            ({"tokens": 1, "per": "0ms"}, "per: expected a time above 0"),
            (
                {"tokens": 1, "per": "soon"},
                "per: 'soon' is no duration such as 250ms, 1.5s, 2m or 0.25, nor ever",
            ),
        ]
        for spec, reason in cases:
            with self.subTest(reason):
                error = self.assertRaises(BadDuration, limit, **spec)
                self.assertEqual(str(error), reason)
