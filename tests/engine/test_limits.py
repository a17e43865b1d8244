"""Limits, on times of the test's own."""

from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.engine.limits import BUCKETS_AT_MOST, Admitted, Limits, Refusal
from fakellm.model.stamp import Stamp
from fakellm.model.standing import Exceeded, Standing
from fakellm.timing.conduct import LimitSpec
from fakellm.timing.durations import BadDuration
from tests.engine.plain import PlainDialect

few = settings(deadline=None, derandomize=True, max_examples=300, database=None)

MINUTE = 60.0
STAMP = Stamp(seed=0, number=1, created=0, fingerprint="fp_0")


def limits_of(*specs: dict[str, Any]) -> Limits:
    limits = Limits()
    limits.replace(tuple(LimitSpec(**spec) for spec in specs))
    return limits


def ask(
    limits: Limits,
    now: float = 0.0,
    *,
    key: str | None = None,
    model: str = "m",
    session: str = "",
    tokens: int = 1,
    bound: int = 0,
) -> Admitted | Refusal:
    return limits.admit(
        key=key, model=model, session=session, prompt_tokens=tokens, bound=bound, now=now
    )


class LimitsTestCase(SynchronousTestCase):
    def passes(self, limits: Limits, now: float = 0.0, **asked: Any) -> Admitted:
        admitted = ask(limits, now, **asked)
        assert isinstance(admitted, Admitted), admitted
        return admitted

    def refused(self, limits: Limits, now: float = 0.0, **asked: Any) -> Refusal:
        refusal = ask(limits, now, **asked)
        assert isinstance(refusal, Refusal), refusal
        return refusal

    def over(self, limits: Limits, now: float = 0.0, **asked: Any) -> Exceeded:
        over = self.refused(limits, now, **asked).over
        assert over is not None
        return over

    def standing(self, limits: Limits, now: float = 0.0, **asked: Any) -> Standing:
        (standing,) = self.passes(limits, now, **asked).standings
        return standing


class RequestTests(LimitsTestCase):
    def test_without_limits_all_pass_and_nothing_is_told(self) -> None:
        admitted = self.passes(Limits(), tokens=10**12)
        self.assertEqual(admitted.standings, ())
        admitted.end(5, 1.0)

    def test_they_are_counted_down_and_come_back_one_by_one(self) -> None:
        limits = limits_of({"requests": 3})
        told = [self.standing(limits, now) for now in (0, 0, 20, 20, 100)]
        self.assertEqual([each.remaining for each in told], [2, 1, 1, 0, 2])
        self.assertEqual([each.reset for each in told], [20.0, 40.0, 40.0, 60.0, 20.0])
        self.assertEqual({(each.limit, each.window) for each in told}, {(3, MINUTE)})

    def test_over_the_limit_it_is_told_when_to_come_again(self) -> None:
        limits = limits_of({"requests": 3})
        for _ in range(3):
            self.passes(limits)
        self.assertEqual(
            self.over(limits, 5.0),
            Exceeded(
                unit="requests", limit=3, window=MINUTE, used=3, requested=1, retry_after=15.0
            ),
        )

    def test_a_refused_request_costs_nothing(self) -> None:
        limits = limits_of({"requests": 1})
        self.passes(limits)
        for now in range(60):
            self.refused(limits, now)
        self.passes(limits, 60.0)

    def test_what_a_request_used_is_not_given_back_at_its_end(self) -> None:
        limits = limits_of({"requests": 1})
        self.passes(limits).end(0, 0.0)
        self.refused(limits)

    def test_a_clock_that_goes_backwards_says_that_no_time_passed(self) -> None:
        limits = limits_of({"requests": 1})
        self.passes(limits, 1000.0)
        self.assertEqual(self.over(limits, 10.0).retry_after, MINUTE)
        self.refused(limits, 69.0)
        self.passes(limits, 70.0)


class TokenTests(LimitsTestCase):
    def test_prompt_and_bound_are_charged_and_corrected_at_the_end(self) -> None:
        limits = limits_of({"tokens": 1000})
        first = self.passes(limits, tokens=100, bound=800)
        self.assertEqual([each.remaining for each in first.standings], [100])
        self.assertEqual(self.over(limits, tokens=101).used, 900)
        first.end(150, 0.0)
        self.assertEqual(self.standing(limits, tokens=0).remaining, 850)

    def test_an_answer_that_is_not_told_of_keeps_its_charge(self) -> None:
        limits = limits_of({"tokens": 1000})
        self.passes(limits, tokens=600).end(None, 0.0)
        self.assertEqual(self.standing(limits, tokens=0).remaining, 400)

    def test_only_the_first_end_counts(self) -> None:
        limits = limits_of({"tokens": 1000})
        admitted = self.passes(limits, tokens=600)
        for used in (500, 0, 900):
            admitted.end(used, 0.0)
        self.assertEqual(self.standing(limits, tokens=0).remaining, 500)

    def test_what_comes_back_never_overflows(self) -> None:
        limits = limits_of({"tokens": 1000})
        admitted = self.passes(limits, tokens=600)
        admitted.end(0, 50.0)
        self.assertEqual(self.standing(limits, 50.0, tokens=1).remaining, 999)

    def test_an_answer_without_a_bound_may_use_more_than_there_is(self) -> None:
        limits = limits_of({"tokens": 60})
        self.passes(limits, tokens=10).end(90, 0.0)
        over = self.over(limits, tokens=1)
        self.assertEqual((over.used, over.retry_after), (90, 31.0))
        self.assertEqual(self.refused(limits, tokens=1).standings[0].remaining, 0)

    def test_less_than_nothing_is_nothing(self) -> None:
        limits = limits_of({"tokens": 60})
        self.passes(limits, tokens=10).end(-50, 0.0)
        self.assertEqual(self.standing(limits, tokens=1).remaining, 59)

    def test_more_than_the_limit_never_passes(self) -> None:
        limits = limits_of({"tokens": 100, "per": "10s"})
        self.assertEqual(
            self.over(limits, tokens=60, bound=41),
            Exceeded(unit="tokens", limit=100, window=10.0, used=0, requested=101,
                     retry_after=None),
        )  # fmt: skip
        self.passes(limits, tokens=60, bound=40)


class QuotaTests(LimitsTestCase):
    def test_it_runs_out_for_good(self) -> None:
        limits = limits_of({"tokens": 100, "per": "ever"})
        self.passes(limits, tokens=60).end(60, 0.0)
        for now in (0.0, 1e9):
            refusal = self.refused(limits, now, tokens=41)
            self.assertIsNone(refusal.over)
            self.assertEqual(refusal.failure(PlainDialect(), "m", STAMP).message, "m: quota")
        self.assertEqual(self.passes(limits, tokens=40).standings, ())

    def test_of_requests_too(self) -> None:
        limits = limits_of({"requests": 1, "per": "ever"})
        self.passes(limits).end(0, 0.0)
        self.refused(limits, 1e9)


class ConcurrencyTests(LimitsTestCase):
    def test_a_place_is_given_back_once(self) -> None:
        limits = limits_of({"concurrent": 2})
        first, _ = self.passes(limits), self.passes(limits)
        refusal = self.refused(limits)
        self.assertEqual((refusal.over, refusal.standings), (None, ()))
        self.assertEqual(refusal.failure(PlainDialect(), "m", STAMP).message, "m: 2 running")
        first.end(None, 0.0)
        first.end(None, 0.0)
        self.assertEqual(self.passes(limits).standings, ())
        self.refused(limits, 1e9)


class SharingTests(LimitsTestCase):
    ASKED: tuple[dict[str, Any], ...] = tuple(
        {"session": session, "key": key, "model": model}
        for session in ("", "s")
        for key in (None, "k", "l")
        for model in ("m", "n")
    )

    def test_who_shares_a_limit(self) -> None:
        """Sessions never do."""
        for by, buckets in [("all", 2), ("key", 6), ("model", 4), (("key", "model"), 12)]:
            limits = limits_of({"requests": 1, "by": by})
            answers = [ask(limits, **asked) for asked in self.ASKED]
            self.assertEqual(sum(isinstance(each, Admitted) for each in answers), buckets, by)

    def test_whom_it_is_not_for_passes(self) -> None:
        cases: list[tuple[dict[str, Any], int]] = [
            ({"key": "k"}, 4),
            ({"model": "m"}, 6),
            ({"key": "l", "model": "n"}, 2),
        ]
        for of, counted in cases:
            limits = limits_of({"requests": 1, **of})
            answers = [ask(limits, **asked) for asked in self.ASKED]
            self.assertEqual(sum(bool(each.standings) for each in answers), counted, of)

    def test_long_names_are_told_apart(self) -> None:
        limits = limits_of({"requests": 1, "by": ("key", "model")})
        for key in ("k" * 10_000, "k" * 9_999, "\ud800" * 200):
            self.passes(limits, key=key)
            self.refused(limits, key=key)
            self.passes(limits, key=key, model="m" * 10_000)


class SeveralTests(LimitsTestCase):
    def test_all_must_let_it_pass_or_none_is_charged(self) -> None:
        limits = limits_of({"requests": 2}, {"tokens": 100}, {"concurrent": 5})
        self.refused(limits, tokens=101)
        self.passes(limits, tokens=60)
        self.refused(limits, tokens=41)
        requests, tokens = self.passes(limits, tokens=40).standings
        self.assertEqual((requests.remaining, tokens.remaining), (0, 0))

    def test_of_each_unit_the_one_with_the_least_share_is_told(self) -> None:
        limits = limits_of(
            {"tokens": 1000},
            {"requests": 10, "per": "1s"},
            {"requests": 100, "per": "1h"},
            {"requests": 5, "per": "1m", "model": "other"},
        )
        for _ in range(3):
            told = self.passes(limits).standings
        self.assertEqual([(each.unit, each.limit) for each in told],
                         [("requests", 10), ("tokens", 1000)])  # fmt: skip
        told = self.passes(limits, 3600.0 / 100).standings
        self.assertEqual(told[0].limit, 10)
        for second in range(37, 60):
            told = self.passes(limits, second).standings
        self.assertEqual(told[0].limit, 100)

    def test_what_is_told_with_a_refusal_is_of_the_limit_it_is_about(self) -> None:
        limits = limits_of(
            {"requests": 100}, {"tokens": 100, "per": "10s"}, {"tokens": 1000, "per": "1h"}
        )
        self.passes(limits, tokens=95)
        refusal = self.refused(limits, 9.0, tokens=96)
        assert refusal.over is not None
        self.assertEqual(refusal.over.limit, 100)
        self.assertEqual([each.limit for each in refusal.standings], [100, 100])

    def test_the_failure_bears_the_headers_of_the_dialect(self) -> None:
        limits = limits_of({"requests": 1}, {"tokens": 9})
        self.passes(limits, tokens=5)
        failure = self.refused(limits, tokens=4).failure(PlainDialect(), "m", STAMP)
        self.assertEqual(failure.message, "m: requests: 1 of 1 used")
        self.assertEqual(failure.headers, (("requests", "0 of 1"), ("tokens", "4 of 9")))

    def test_which_of_several_reasons_is_told(self) -> None:
        """The one that lasts longest."""
        specs: list[dict[str, Any]] = [
            {"requests": 1, "per": "10s"},
            {"requests": 1, "per": "20s"},
            {"concurrent": 1},
            {"tokens": 5},
            {"requests": 1, "per": "ever"},
        ]
        dialect = PlainDialect()
        for count, told in [
            (5, "m: quota"), (4, "m: tokens: 1 of 5 used"), (3, "m: 1 running"),
            (2, "m: requests: 1 of 1 used"),
        ]:  # fmt: skip
            for written in (specs[:count], specs[:count][::-1]):
                limits = limits_of(*written)
                self.passes(limits)
                refusal = self.refused(limits, tokens=6)
                self.assertEqual(refusal.failure(dialect, "m", STAMP).message, told)
        self.assertEqual(refusal.over and refusal.over.retry_after, 20.0)


class ReplaceTests(LimitsTestCase):
    def test_limits_that_stay_keep_what_was_counted(self) -> None:
        limits = limits_of({"requests": 1, "per": "1m"}, {"tokens": 9})
        self.passes(limits)
        limits.replace((LimitSpec(requests=1, per=60), LimitSpec(requests=8)))
        self.assertEqual(self.over(limits).limit, 1)
        limits.replace((LimitSpec(requests=8),))
        self.assertEqual(self.standing(limits).remaining, 7)

    def test_equal_ones_count_once(self) -> None:
        limits = limits_of({"requests": 2, "per": "1m"}, {"requests": 2, "per": 60})
        self.assertEqual(self.standing(limits).remaining, 1)

    def test_the_same_ones_cost_nothing(self) -> None:
        """They are handed in at each request."""
        limits = Limits()
        specs = (LimitSpec(requests=2),)
        limits.replace(specs)
        buckets = limits._buckets
        limits.replace(specs)
        self.assertIs(limits._buckets, buckets)

    def test_one_that_cannot_be_leaves_all_as_it_was(self) -> None:
        limits = limits_of({"requests": 1})
        self.passes(limits)
        bad = (LimitSpec(requests=1), LimitSpec())
        for _ in range(2):
            self.assertRaises(BadDuration, limits.replace, bad)
        self.refused(limits)

    def test_an_answer_may_end_after_its_limit_is_gone(self) -> None:
        limits = limits_of({"concurrent": 1})
        admitted = self.passes(limits)
        limits.replace(())
        admitted.end(3, 0.0)
        self.passes(limits)


class MemoryTests(LimitsTestCase):
    def fill(self, limits: Limits, now: float, *, keys: int, tokens: int = 1) -> None:
        for number in range(keys):
            self.passes(limits, now, key=f"filler {now} {number}", tokens=tokens).end(tokens, now)

    def buckets(self, limits: Limits) -> int:
        (buckets,) = limits._buckets.values()
        return len(buckets)

    def test_there_is_a_most(self) -> None:
        limits = limits_of({"requests": 1, "by": "key"})
        self.fill(limits, 0.0, keys=BUCKETS_AT_MOST)
        self.assertEqual(self.buckets(limits), BUCKETS_AT_MOST)
        self.fill(limits, 1.0, keys=1)
        self.assertEqual(self.buckets(limits), BUCKETS_AT_MOST * 9 // 10)

    def test_those_used_least_lately_go_first(self) -> None:
        limits = limits_of({"requests": 2, "by": "key"})
        for key in ("dear", "other"):
            self.passes(limits, key=key).end(None, 0.0)
        self.fill(limits, 0.0, keys=BUCKETS_AT_MOST - 2)
        self.passes(limits, key="dear").end(None, 0.0)
        self.fill(limits, 1.0, keys=1)
        self.refused(limits, 1.0, key="dear")
        self.assertEqual(self.standing(limits, 1.0, key="other").remaining, 1)

    def test_those_that_are_full_go_before_them(self) -> None:
        limits = limits_of({"tokens": 600, "by": "key"})
        self.passes(limits, key="in debt", tokens=600).end(600, 0.0)
        self.fill(limits, 0.0, keys=BUCKETS_AT_MOST - 1)
        self.fill(limits, 1.0, keys=1)  # all others are full again
        self.refused(limits, 1.0, key="in debt", tokens=600)

    def test_used_quotas_and_running_answers_go_last(self) -> None:
        specs: tuple[dict[str, Any], ...] = ({"tokens": 2, "per": "ever"}, {"concurrent": 1})
        for spec in specs:
            limits = limits_of({**spec, "by": "key"})
            self.passes(limits, key="first", tokens=2)
            for number in range(BUCKETS_AT_MOST):
                self.passes(limits, key=f"{number}", tokens=0).end(0, 0.0)
            self.refused(limits, key="first")
            self.assertLess(self.buckets(limits), BUCKETS_AT_MOST)

    def test_a_refused_request_leaves_nothing_behind(self) -> None:
        limits = limits_of({"tokens": 1, "by": "key"})
        for number in range(10):
            self.refused(limits, key=f"{number}", tokens=2)
        self.assertEqual(self.buckets(limits), 0)


SPECS = st.lists(
    st.one_of(
        st.builds(
            lambda limit, per: {"requests": limit, "per": per},
            st.integers(1, 50),
            st.sampled_from(["1us", "7ms", 0.3, "1s", "60s", "1m", "1h"]),
        ),
        st.builds(
            lambda limit, per: {"tokens": limit, "per": per},
            st.integers(50, 10_000_000),
            st.sampled_from(["3us", "1ms", "333ms", "1m", "24h"]),
        ),
    ),
    min_size=1,
    max_size=4,
)
STARTS = st.one_of(
    st.just(0.0),
    st.floats(0, 1e6),
    st.floats(1.7e9, 1.8e9),  # a clock of the Unix epoch
)


class PropertyTests(LimitsTestCase):
    @few
    @given(
        SPECS,
        STARTS,
        st.lists(st.tuples(st.floats(0, 1), st.integers(0, 50), st.integers(0, 80)), max_size=60),
    )
    def test_who_waits_exactly_as_long_as_told_passes(
        self, specs: list[dict[str, Any]], now: float, asked: list[tuple[float, int, int]]
    ) -> None:
        limits = limits_of(*specs)
        for pause, tokens, used in asked:
            now += pause
            found = ask(limits, now, tokens=tokens)
            if isinstance(found, Refusal):
                assert found.over is not None
                wait = found.over.retry_after
                assert wait is not None
                assert wait > 0
                self.assertEqual(round(wait * 1000) / 1000, wait)
                now += round(wait * 1000) / 1000
                found = ask(limits, now, tokens=tokens)
            assert isinstance(found, Admitted), (found, now)
            found.end(used, now)

    @few
    @given(
        st.integers(1, 20),
        st.lists(st.tuples(st.floats(0, 5), st.integers(0, 12)), max_size=80),
    )
    def test_no_more_passes_than_the_limit_and_what_came_back(
        self, limit: int, asked: list[tuple[float, int]]
    ) -> None:
        limits = limits_of({"tokens": limit, "per": "10s"})
        now, passed = 0.0, 0
        for number, (pause, tokens) in enumerate(asked, 1):
            now += pause
            if isinstance(ask(limits, now, tokens=tokens), Admitted):
                passed += tokens
            grace = Fraction(number, 1_000_000) * limit / 10
            self.assertLessEqual(passed, limit + Fraction(now) * limit / 10 + grace)

    @few
    @given(SPECS, st.lists(st.tuples(st.floats(-3, 3), st.integers(0, 60)), max_size=60))
    def test_what_is_told_adds_up(
        self, specs: list[dict[str, Any]], asked: list[tuple[float, int]]
    ) -> None:
        limits = limits_of(*specs)
        now = 100.0
        for pause, tokens in asked:
            now += pause
            found = ask(limits, now, tokens=tokens)
            for each in found.standings:
                self.assertTrue(0 <= each.remaining <= each.limit, each)
                self.assertTrue(each.reset >= 0, each)
            units = [each.unit for each in found.standings]
            self.assertEqual(units, sorted(set(units)))
            if isinstance(found, Refusal):
                over = found.over
                assert over is not None
                self.assertGreater(over.used + over.requested, over.limit)
                (told,) = [each for each in found.standings if each.unit == over.unit]
                self.assertEqual((told.limit, told.window), (over.limit, over.window))
