"""One timer for all: calls at their times, one delayed call of the clock's, nothing left behind."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fakellm.engine.timer import Timer


class TimerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.lags: list[float] = []
        self.timer = Timer(self.clock, self.lags.append)
        self.called: list[object] = []

    def test_calls_come_at_their_times_whatever_their_order(self) -> None:
        for when in (3.0, 1.0, 2.0):
            self.timer.at(when, lambda when=when: self.called.append(when))  # type: ignore[misc]
        self.assertEqual(self.timer.pending, 3)
        for _ in range(3):
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
            self.clock.advance(1)
        self.assertEqual(self.called, [1.0, 2.0, 3.0])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.lags, [0.0, 0.0, 0.0])

    def test_a_late_clock_is_told(self) -> None:
        self.timer.at(1.0, lambda: None)
        self.clock.advance(1.25)
        self.assertEqual(self.lags, [0.25])

    def test_what_is_cancelled_is_not_called_and_leaves_nothing(self) -> None:
        call = self.timer.at(1.0, lambda: self.called.append(1))
        self.timer.cancel(call)
        self.timer.cancel(call)
        self.assertEqual((self.clock.getDelayedCalls(), self.timer.pending), ([], 0))
        self.clock.advance(2)
        self.assertEqual(self.called, [])

    def test_cancelling_the_next_call_waits_for_the_one_after(self) -> None:
        first = self.timer.at(1.0, lambda: self.called.append(1))
        self.timer.at(2.0, lambda: self.called.append(2))
        self.timer.cancel(first)
        self.assertEqual(self.clock.getDelayedCalls()[0].getTime(), 2.0)
        self.clock.advance(2)
        self.assertEqual(self.called, [2])

    def test_cancelling_what_was_called_does_nothing(self) -> None:
        call = self.timer.at(0.0, lambda: self.called.append(1))
        self.clock.advance(0)
        self.timer.cancel(call)
        self.assertEqual((self.called, self.timer.pending), ([1], 0))

    def test_one_call_may_cancel_another_that_is_due_with_it(self) -> None:
        self.timer.at(1.0, lambda: self.timer.cancel(second))
        second = self.timer.at(1.0, lambda: self.called.append(2))
        self.timer.at(1.0, lambda: self.called.append(3))
        self.clock.advance(1)
        self.assertEqual((self.called, self.timer.pending), ([3], 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_call_may_cancel_the_next_that_is_to_come(self) -> None:
        self.timer.at(1.0, lambda: self.timer.cancel(second))
        second = self.timer.at(2.0, lambda: self.called.append(2))
        self.timer.at(3.0, lambda: self.called.append(3))
        self.clock.advance(1)
        self.assertEqual(self.clock.getDelayedCalls()[0].getTime(), 3.0)
        self.clock.advance(2)
        self.assertEqual(self.called, [3])

    def test_what_is_asked_for_meanwhile_waits_for_the_next_turn(self) -> None:
        def again() -> None:
            self.called.append(len(self.called))
            if len(self.called) < 3:
                self.timer.at(self.clock.seconds(), again)

        self.timer.at(0.0, again)
        self.assertEqual(self.called, [])
        self.clock.advance(0)
        self.assertEqual(self.called, [0, 1, 2])

    def test_one_that_fails_does_not_keep_the_others_from_theirs(self) -> None:
        self.timer.at(1.0, lambda: 1 / 0)  # type: ignore[arg-type, return-value]
        self.timer.at(1.0, lambda: self.called.append(1))
        self.clock.advance(1)
        self.assertEqual(self.called, [1])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_cancelled_calls_do_not_pile_up(self) -> None:
        self.timer.at(1.0, lambda: self.called.append(1))
        for _ in range(10_000):
            self.timer.cancel(self.timer.at(2.0, lambda: None))
        self.assertEqual(self.timer.pending, 1)
        self.assertLess(len(self.timer._heap), 2500)
        self.clock.advance(1)
        self.assertEqual((self.called, self.timer.pending), ([1], 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_dead_call_between_others_is_passed_over(self) -> None:
        self.timer.at(1.0, lambda: self.called.append(1))
        dead = self.timer.at(2.0, lambda: self.called.append(2))
        self.timer.at(3.0, lambda: self.called.append(3))
        self.timer.cancel(dead)
        self.clock.advance(5)
        self.assertEqual((self.called, self.timer.pending), ([1, 3], 0))

    def test_it_does_not_matter_that_floats_are_not_exact(self) -> None:
        self.clock.rightNow = 1.7e9
        timer = Timer(self.clock)
        timer.at(1.7e9 + 0.1, lambda: self.called.append(1))
        self.clock.advance(0.1 - 1e-9)
        self.clock.advance(1e-9)
        self.clock.advance(1e-6)
        self.assertEqual(self.called, [1])

    @given(st.lists(st.tuples(st.integers(0, 20), st.booleans(), st.integers(0, 20)), max_size=40))
    def test_whatever_is_asked_and_cancelled_the_rest_is_called_in_order(
        self, asked: list[tuple[int, bool, int]]
    ) -> None:
        clock = Clock()
        timer = Timer(clock)
        called: list[int] = []
        expected = []
        for when, cancelled, cancel_at in asked:
            call = timer.at(float(when), lambda when=when: called.append(when))  # type: ignore[misc]
            if cancelled:
                timer.at(float(cancel_at), lambda call=call: timer.cancel(call))  # type: ignore[misc]
            if not cancelled or cancel_at > when:
                expected.append(when)
            elif cancel_at == when:
                expected.append(when)  # asked for first, called first
        while clock.getDelayedCalls():
            clock.advance(1)
        self.assertEqual(called, sorted(expected))
        self.assertEqual(timer.pending, 0)
