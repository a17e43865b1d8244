"""What is counted, and that clients cannot make it grow without bounds."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fakellm.journal.noted import Noted
from fakellm.metrics.tally import OTHER, SERIES_AT_MOST, VALUES_AT_MOST, Names, Spread, Tally
from fakellm.model.reply import Usage
from tests.journal.entries import ended, noted


class NamesTests(SynchronousTestCase):
    def test_so_many_are_told_apart(self) -> None:
        names = Names(2)
        self.assertEqual([names.bounded(name) for name in "abcab"], ["a", "b", OTHER, "a", "b"])

    def test_long_ones_are_cut(self) -> None:
        self.assertEqual(len(Names().bounded("x" * 10_000)), 200)


class SpreadTests(SynchronousTestCase):
    def test_a_bound_belongs_to_its_bucket(self) -> None:
        spread = Spread()
        for seconds in (0.0, 0.001, 0.0011, 1000.0):
            spread.note(seconds)
        self.assertEqual((spread.counts[0], spread.counts[1], spread.counts[-1]), (2, 1, 1))
        self.assertAlmostEqual(spread.sum, 1000.0021)


class TallyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.tally = Tally()

    def note(self, status: int = 200, **fields: Any) -> Noted:
        request = ended(noted(1, "x", **fields), status)
        self.tally.note(request)
        return request

    def test_answers_by_their_labels(self) -> None:
        self.tally.begin("openai")
        self.note()
        self.note()
        self.note(404)
        key = ("openai", "chat.completions", "m")
        self.assertEqual(self.tally.answers, {(*key, "200", ""): 2, (*key, "404", ""): 1})
        self.assertEqual(
            (self.tally.requests, dict(self.tally.ended)), ({"openai": 1}, {"finished": 3})
        )

    def test_what_was_not_understood_and_never_answered(self) -> None:
        request = noted()
        request.prompt = None
        request.delivery.ended("client_left", 1.0)
        self.tally.note(request)
        self.assertEqual(self.tally.answers, {("openai", "", "", "0", ""): 1})

    def test_tokens_by_their_kinds(self) -> None:
        request = noted(1, "x")
        request.usage = Usage(prompt=5, completion=3, reasoning=2)
        self.tally.note(request)
        self.tally.note(request)
        self.assertEqual(
            self.tally.tokens,
            {
                ("openai", "m", "prompt"): 10,
                ("openai", "m", "completion"): 6,
                ("openai", "m", "reasoning"): 4,
            },
        )

    def test_times_of_streams_and_of_all(self) -> None:
        request = noted(1, "x", stream=True)
        request.delivery.token_sent(0.3)
        request.delivery.token_sent(0.9)
        self.tally.note(ended(request))
        whose = ("openai", "m")
        self.assertEqual((self.tally.ttft[whose].sum, self.tally.duration[whose].sum), (0.3, 1.0))

    def test_the_latest_write_of_each_stream(self) -> None:
        """One value a stream, and none of what is no stream."""
        for late in (0.5, 0.0):
            request = noted(1, "x", stream=True)
            request.delivery.token_sent(0.3)
            for planned, at in ((0.3, 0.3), (0.4, 0.4 + late), (0.5, 0.5 + late / 2)):
                request.delivery.write(planned, at, 10)
            self.tally.note(ended(request))
        whole = noted(1, "x")
        whole.delivery.write(0.0, 7.0, 10)
        self.tally.note(ended(whole))
        spread = self.tally.lateness["openai", "m"]
        self.assertEqual((sum(spread.counts), spread.counts[0]), (2, 1))
        self.assertAlmostEqual(spread.sum, 0.5)

    def test_an_answer_that_goes_on_without_its_end_has_no_duration(self) -> None:
        self.tally.note(noted())
        self.assertEqual((self.tally.duration, dict(self.tally.ended)), ({}, {"": 1}))

    def test_faults(self) -> None:
        request = noted()
        request.struck_by("reset")
        self.tally.note(request)
        self.assertEqual(dict(self.tally.faults), {"reset": 1})

    def test_names_that_clients_make_up_are_bounded(self) -> None:
        for number in range(VALUES_AT_MOST + 50):
            self.note(model=f"m{number}")
        self.assertEqual(len(self.tally.answers), VALUES_AT_MOST + 1)
        self.assertEqual(self.tally.answers["openai", "chat.completions", OTHER, "200", ""], 50)
        self.assertEqual(len(self.tally.duration), VALUES_AT_MOST + 1)

    def test_and_so_are_their_combinations(self) -> None:
        for status in range(200, 240):
            for number in range(VALUES_AT_MOST):
                self.note(status, model=f"m{number}")
        self.assertEqual(len(self.tally.answers), SERIES_AT_MOST + 20)
        self.assertEqual(sum(self.tally.answers.values()), 40 * VALUES_AT_MOST)
