"""When the events of an answer are due."""

from collections.abc import Iterable, Iterator
from itertools import count, islice, pairwise
from math import inf, nan
from random import Random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.model.content import Text
from fakellm.model.events import (
    Begin,
    ChoiceBegin,
    ChoiceEnd,
    End,
    Event,
    Failed,
    PartBegin,
    PartEnd,
    Token,
)
from fakellm.model.reply import Failure, Usage
from fakellm.timing.durations import BadDuration
from fakellm.timing.pace import Paced, TimingSpec, compile_timing, merged, pace

few = settings(deadline=None, derandomize=True, max_examples=150, database=None)

TEXT = Text(text="...")
BEGIN = Begin(model="fake-model", prompt_tokens=10)
END = End(usage=Usage())
FAILED = Failed(failure=Failure(status=500))


def choice(sizes: Iterable[int], number: int = 0, *, ends: bool = True) -> Iterator[Event]:
    """A choice of one part, said in events of so many tokens."""
    yield ChoiceBegin(choice=number, parts=(TEXT,))
    yield PartBegin(choice=number, part=0, content=TEXT)
    for size in sizes:
        yield Token(number, 0, "x", size)
    yield PartEnd(choice=number, part=0)
    if ends:
        yield ChoiceEnd(choice=number, finish_reason="stop")


def answer(*choices: Iterable[int], last: Event = END, ends: bool = True) -> Iterator[Event]:
    """An answer of choices in turn, an event each, as `unfold` gives it."""
    yield BEGIN
    running = [choice(sizes, number, ends=ends) for number, sizes in enumerate(choices)]
    while running:
        still = []
        for events in running:
            for event in events:
                yield event
                still.append(events)
                break
        running = still
    yield last


def paced(
    events: Iterator[Event],
    *,
    seed: int = 1,
    prompt_tokens: int = 10,
    asked: dict[str, Any] | None = None,
    **timing: Any,
) -> Iterator[Paced]:
    """Events with their times; ``timing`` is as a scenario has it, ``asked`` goes to `pace`."""
    return pace(
        events,
        compile_timing(msgspec.convert(timing, TimingSpec)),
        chance=Random(seed),
        prompt_tokens=prompt_tokens,
        **(asked or {}),
    )


def times(events: Iterable[Paced]) -> list[float]:
    return [at for at, _ in events]


def token_times(events: Iterable[Paced], number: int = 0) -> list[float]:
    return [at for at, event in events if isinstance(event, Token) and event.choice == number]


TIMINGS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "ttft": st.sampled_from([0, 0.2, "20ms", {"uniform": [0.1, 0.4]}]),
        "itl": st.sampled_from(
            [0, 0.0004, 0.05, {"exponential": 0.02}, {"samples": [0, "40ms"]}, {"normal": [0, 1]}]
        ),
        "prefill": st.sampled_from([100.0, 5000.0]),
    },
)
SIZES = st.lists(st.integers(0, 5), max_size=12)
ANSWERS = st.lists(SIZES, min_size=1, max_size=4)


class Paces(SynchronousTestCase):
    def assert_close(
        self, found: Iterable[float], expected: Iterable[float], within: float = 1e-9
    ) -> None:
        found, expected = list(found), list(expected)
        self.assertEqual(len(found), len(expected), (found, expected))
        for one, other in zip(found, expected, strict=True):
            self.assertTrue(abs(one - other) <= within * max(1, other), (found, expected))


class OneChoiceTests(Paces):
    def test_an_answer_is_due_from_the_first_token_on_and_its_head_at_once(self) -> None:
        found = paced(answer([1, 1, 1]), ttft="200ms", itl="50ms")
        self.assert_close(
            times(found),
            #   begins, choice, part, tokens,        part, choice and all end
            [0, 0.2, 0.2, 0.2, 0.25, 0.3, 0.3, 0.3, 0.3],
        )

    def test_tokens_per_second_is_the_other_way_to_say_it(self) -> None:
        found = paced(answer([1, 1, 1]), tokens_per_second=50)
        self.assert_close(token_times(found), [0, 0.02, 0.04])

    def test_reading_the_prompt_adds_to_the_ttft(self) -> None:
        found = paced(answer([1]), ttft=0.1, prefill=1000, prompt_tokens=500)
        self.assert_close(token_times(found), [0.6])

    def test_a_chunk_comes_with_its_last_token(self) -> None:
        found = paced(answer([3, 3, 1]), ttft=1, itl=0.1)
        self.assert_close(token_times(found), [1.2, 1.5, 1.6])

    def test_text_that_ends_no_token_comes_with_what_was_before(self) -> None:
        for itl in (0.1, {"uniform": [0.1, 0.1000001]}):
            found = paced(answer([0, 0, 1, 0, 1, 0]), ttft=1, itl=itl)
            self.assert_close(token_times(found), [1, 1, 1, 1, 1.1, 1.1], 1e-5)

    def test_hidden_tokens_take_their_time(self) -> None:
        events: list[Event] = [BEGIN, Token(0, 0, "", 500), Token(0, 1, "x"), END]
        self.assert_close(times(paced(iter(events), ttft=1, itl=0.01)), [0, 5.99, 6, 6])

    def test_an_empty_answer_ends_at_the_ttft(self) -> None:
        nothing: list[Event] = [BEGIN, END]
        for events in (answer([]), iter(nothing)):
            at, event = list(paced(events, ttft=0.3, itl=1))[-1]
            self.assertEqual((at, event), (0.3, END))

    def test_a_failure_comes_with_the_event_before(self) -> None:
        alone: list[Event] = [FAILED]
        begun: list[Event] = [BEGIN, FAILED]
        for events, at in (
            (iter(alone), 0),
            (iter(begun), 0),
            (answer([], last=FAILED), 0.3),
            (answer([1, 1], last=FAILED, ends=False), 0.4),
        ):
            found = list(paced(events, ttft=0.3, itl=0.1))[-1]
            self.assertEqual(found, (at, FAILED))

    def test_nothing_drifts_however_long_an_answer_is(self) -> None:
        *_, last = token_times(paced(answer([1] * 100_001), ttft=0.2, itl=0.0004))
        self.assertTrue(abs(last - 40.2) < 1e-9, last)

    def test_each_token_has_an_itl_of_its_own(self) -> None:
        found = token_times(paced(answer([1] * 2000), ttft=1, itl={"uniform": [0.01, 0.03]}))
        gaps = [later - at for at, later in pairwise(found)]
        self.assertEqual(found[0], 1)
        self.assertTrue(0.01 <= min(gaps) < 0.011)
        self.assertTrue(0.029 < max(gaps) <= 0.030001)
        self.assert_close([found[-1]], [1 + 1999 * 0.02], 0.02)

    def test_slowdown_is_of_ttft_and_itl(self) -> None:
        found = paced(answer([1, 1]), ttft=0.2, itl=0.1, prefill=100, asked={"slowdown": 3})
        self.assert_close(token_times(found), [0.9, 1.2])

    def test_without_waiting_all_is_due_at_once(self) -> None:
        random = {"exponential": 1}
        for found in (
            paced(answer([1, 1])),
            paced(answer([1, 1], [5]), ttft=1, itl=random, total=9, asked={"speed": 0}),
            paced(answer([1, 1]), ttft=1, itl=1, asked={"slowdown": 0}),
            paced(answer([1, 1]), ttft=1, itl=random, total=0, asked={"tokens": 2}),
        ):
            self.assertEqual(set(times(found)), {0.0})

    def test_a_speed_or_slowdown_that_cannot_be_is_refused(self) -> None:
        for asked in ({"speed": -1}, {"speed": nan}, {"speed": inf}, {"speed": 1e-12}):
            error = self.assertRaises(ValueError, paced, answer([1]), asked=asked)
            self.assertIn("speed must be 0 or from", str(error))
        for asked in ({"slowdown": -1}, {"slowdown": nan}, {"slowdown": inf}):
            error = self.assertRaises(ValueError, paced, answer([1]), asked=asked)
            self.assertIn("slowdown must be from 0", str(error))

    def test_an_endless_answer_is_paced_as_it_is_drawn(self) -> None:
        for timing in ({}, {"itl": 0.1}, {"itl": {"exponential": 1}}, {"ttft": 1, "total": 5}):
            drawn = 0

            def endless() -> Iterator[int]:
                nonlocal drawn
                for drawn in count(1):  # noqa: B007 -- read below
                    yield 1

            found = paced(answer(endless()), **timing)
            self.assertEqual(drawn, 0)
            self.assertEqual(len(list(islice(found, 103))), 103)
            self.assertEqual(drawn, 100)

    @few
    @given(SIZES.filter(any), st.sampled_from([0, 0.0004, 0.05]), st.sampled_from([0.0, 0.25]))
    def test_so_many_tokens_end_so_many_itls_after_the_first(
        self, sizes: list[int], itl: float, ttft: float
    ) -> None:
        found = times(paced(answer(sizes), ttft=ttft, itl=itl))
        self.assert_close([found[-1]], [ttft + (sum(sizes) - 1) * itl])


class AnyAnswerTests(Paces):
    @few
    @given(ANSWERS, TIMINGS, st.sampled_from([None, 0.1, 2]), st.booleans())
    def test_no_event_is_lost_none_is_due_before_the_last_and_seeds_decide(
        self, sizes: list[list[int]], timing: dict[str, Any], total: float | None, known: bool
    ) -> None:
        timing = timing if total is None else timing | {"total": total}
        asked = {"tokens": max(map(sum, sizes))} if known else {}
        found = list(paced(answer(*sizes), asked=asked, **timing))
        due = times(found)
        self.assertEqual(due, sorted(due))
        self.assertEqual(due[0], 0)
        if total is not None:
            self.assertEqual(due[-1], total)
        events = [event for _, event in found]
        self.assertEqual((events[0], events[-1]), (BEGIN, END))
        for number, of_choice in enumerate(sizes):
            mine = [event for event in events if getattr(event, "choice", None) == number]
            self.assertEqual(mine, list(choice(of_choice, number)))
        again = paced(answer(*sizes), asked=asked, **timing)
        self.assertEqual(list(again), found)

    @few
    @given(ANSWERS, TIMINGS, st.sampled_from([0.01, 0.5, 3, 1000]), st.booleans())
    def test_speed_scales_all_of_it(
        self, sizes: list[list[int]], timing: dict[str, Any], speed: float, stretched: bool
    ) -> None:
        asked: dict[str, Any] = {"tokens": max(map(sum, sizes))}
        if stretched:
            timing = timing | {"total": 1.5}
        plain = paced(answer(*sizes), asked=asked, **timing)
        quick = paced(answer(*sizes), asked=asked | {"speed": speed}, **timing)
        self.assert_close([at * speed for at in times(quick)], times(plain))


class SideBySideTests(Paces):
    def test_choices_in_turn_run_side_by_side(self) -> None:
        found = list(paced(answer([1] * 3, [1] * 3, [1] * 3), ttft=1, itl=0.1))
        for number in range(3):
            self.assert_close(token_times(found, number), [1, 1.1, 1.2])
        self.assertEqual([event for _, event in found], list(answer([1] * 3, [1] * 3, [1] * 3)))

    def test_a_choice_of_large_chunks_waits_for_those_of_small_ones(self) -> None:
        found = list(paced(answer([4, 4], [1] * 6), ttft=1, itl=0.1))
        self.assert_close(token_times(found, 0), [1.3, 1.7])
        self.assert_close(token_times(found, 1), [1, 1.1, 1.2, 1.3, 1.4, 1.5])
        said = [event.choice for _, event in found if isinstance(event, Token)]
        self.assertEqual(said, [1, 1, 1, 0, 1, 1, 1, 0])

    def test_hidden_tokens_of_one_hold_up_no_other(self) -> None:
        found = list(paced(answer([500, 1], [1, 1]), ttft=1, itl=0.01))
        self.assert_close(token_times(found, 0), [5.99, 6])
        self.assert_close(token_times(found, 1), [1, 1.01])

    def test_a_choice_that_never_ends_holds_back_the_rest_until_all_ends(self) -> None:
        found = list(paced(answer([1], [1] * 4, last=FAILED, ends=False), ttft=1, itl=0.1))
        self.assert_close(token_times(found, 1), [1, 1.1, 1.2, 1.3])
        self.assertEqual(found[-1], (found[-2][0], FAILED))

    def test_answers_without_an_end_are_given_whole(self) -> None:
        events = [event for event in answer([1], [1] * 4, ends=False) if event != END]
        found = list(paced(iter(events), ttft=1, itl=0.1))
        self.assertEqual(len(found), len(events))
        self.assert_close([found[-1][0]], [1.3])

    def test_endless_choices_are_paced_as_they_are_drawn(self) -> None:
        """What is drawn ahead is a turn, and what one choice is ahead of the other."""
        for timing in ({"itl": 0.1}, {"itl": {"exponential": 1}}):
            drawn = 0

            def endless() -> Iterator[int]:
                nonlocal drawn
                while True:
                    drawn += 1
                    yield 1

            found = paced(answer(endless(), endless()), **timing)
            due = times(islice(found, 1000))
            self.assertEqual(due, sorted(due))
            self.assertTrue(drawn < (1002 if "exponential" not in str(timing) else 1300), drawn)

    def test_events_that_faults_have_doubled_keep_their_order(self) -> None:
        """Each event twice, after its choice's end too, and a choice that begins too late."""
        events = [event for event in answer([3, 1], [1] * 5) for _ in range(2)]
        events[-2:-2] = choice([1, 1], 2)
        found = list(paced(iter(events), ttft=1, itl=0.1))
        due = times(found)
        self.assertEqual(due, sorted(due))
        for number in range(3):
            self.assertEqual(
                [event for _, event in found if getattr(event, "choice", None) == number],
                [event for event in events if getattr(event, "choice", None) == number],
            )


class TotalTests(Paces):
    def test_tokens_are_spread_over_what_the_ttft_leaves(self) -> None:
        found = paced(answer([1] * 5), ttft=1, itl=7, total=3, asked={"tokens": 5})
        self.assertEqual(times(found)[3:], [1, 1.5, 2, 2.5, 3, 3, 3, 3])

    def test_so_are_those_that_would_take_no_time(self) -> None:
        for itl in (0, {"normal": [0, 1e-300]}):
            found = paced(answer([1, 1, 1]), ttft=1, itl=itl, total=3, asked={"tokens": 3})
            due = token_times(found)
            self.assertEqual((due[0], due[-1]), (1, 3))

    def test_a_ttft_that_does_not_fit_shrinks_as_the_rest_does(self) -> None:
        found = paced(answer([1, 1, 1]), ttft=4, itl=2, total=2, asked={"tokens": 3})
        self.assertEqual(token_times(found), [1, 1.5, 2])

    def test_itls_that_vary_keep_their_proportions(self) -> None:
        itl = {"samples": [1, 2]}
        plain = token_times(paced(answer([1] * 20), itl=itl))
        found = token_times(paced(answer([1] * 20), itl=itl, total=3, asked={"tokens": 20}))
        self.assert_close([at / 3 for at in found], [at / plain[-1] for at in plain])

    def test_the_longest_choice_ends_at_the_total(self) -> None:
        for itl in (0.1, {"uniform": [0.1, 0.2]}):
            asked = {"tokens": 5}
            found = list(paced(answer([1] * 5, [1] * 3), ttft=1, itl=itl, total=9, asked=asked))
            self.assertEqual(token_times(found)[-1], 9)
            self.assertTrue(token_times(found, 1)[-1] < 7)

    def test_a_single_token_comes_at_the_ttft_and_the_end_at_the_total(self) -> None:
        for tokens in (0, 1):
            found = paced(answer([1] * tokens), ttft=1, itl=1, total=3, asked={"tokens": tokens})
            self.assertEqual(set(times(found)[1:]), {1, 3})
        found = paced(answer([1]), ttft=4, itl=1, total=3, asked={"tokens": 1})
        self.assertEqual(token_times(found), [3])

    def test_an_answer_ends_at_the_total_though_its_tokens_are_not_as_many(self) -> None:
        for itl in (0.1, {"uniform": [0.1, 0.2]}):
            for said in (2, 8):
                asked = {"tokens": 5}
                found = list(paced(answer([0] + [1] * said), itl=itl, total=4, asked=asked))
                self.assertEqual(found[-1], (4, END))
                self.assertEqual(token_times(found)[0], 0)

    def test_where_their_number_is_not_known_tokens_are_not_stretched(self) -> None:
        found = paced(answer([1] * 4), ttft=1, itl=0.5, total=2)
        self.assertEqual(times(found)[3:], [1, 1.5, 2, 2, 2, 2, 2])
        found = paced(answer([1]), ttft=1, itl={"exponential": 1}, total=2)
        self.assertEqual(times(found)[-2:], [1, 2])

    def test_slowdown_leaves_the_total(self) -> None:
        asked = {"tokens": 3, "slowdown": 2}
        found = paced(answer([1, 1, 1]), ttft=1, itl=1, total=4, asked=asked)
        self.assertEqual(token_times(found), [2, 3, 4])


class SpecTests(SynchronousTestCase):
    def test_what_is_given_over_a_timing_replaces_it(self) -> None:
        base = TimingSpec(ttft="1s", itl="20ms", total=5)
        self.assertEqual(
            merged(base, TimingSpec(ttft=0, prefill=9)),
            TimingSpec(ttft=0, itl="20ms", total=5, prefill=9),
        )
        self.assertEqual(merged(base, TimingSpec()), base)

    def test_an_itl_and_a_rate_replace_each_other(self) -> None:
        itl, rate = TimingSpec(itl="20ms", ttft=1), TimingSpec(tokens_per_second=9)
        self.assertEqual(merged(itl, rate), TimingSpec(tokens_per_second=9, ttft=1))
        self.assertEqual(merged(rate, itl), itl)

    def test_the_chunks_are_for_who_cuts(self) -> None:
        self.assertEqual(compile_timing(TimingSpec(chunk_tokens=4)).chunk_tokens, 4)
        self.assertIsNone(compile_timing(TimingSpec()).chunk_tokens)

    def test_samples_are_read_by_who_may(self) -> None:
        timing = compile_timing(
            msgspec.convert({"itl": {"samples": "a.csv"}}, TimingSpec), lambda path: f"{path}\n2\n4"
        )
        self.assertEqual(timing.itl.mean, 3)

    def test_a_mistake_is_told_with_its_key(self) -> None:
        for spec, reason in (
            (TimingSpec(ttft="x"), "ttft: 'x' is no duration"),
            (TimingSpec(itl=-1), "itl: -1 is no duration"),
            (TimingSpec(total="x"), "total: 'x' is no duration"),
            (TimingSpec(tokens_per_second=0), "tokens_per_second: 0 is no rate"),
            (TimingSpec(prefill=inf), "prefill: inf is no rate"),
            (TimingSpec(chunk_tokens=0), "chunk_tokens: must be at least 1, not 0"),
            (TimingSpec(itl=1, tokens_per_second=1), "itl and tokens_per_second are two ways"),
        ):
            error = self.assertRaises(BadDuration, compile_timing, spec)
            self.assertIn(reason, str(error))
