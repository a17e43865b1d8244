"""The virtual clock: each call at its very time."""

from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from fakellm.engine import clock as clock_module
from fakellm.engine.clock import NeverIdle, VirtualClock


class VirtualClockTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = VirtualClock()
        self.seen: list[float] = []

    def see(self) -> None:
        self.seen.append(self.clock.seconds())

    def see_for_ever(self) -> None:
        self.see()
        self.clock.callLater(1, self.see_for_ever)

    def test_each_call_sees_the_time_it_is_due_at(self) -> None:
        self.clock.callLater(2, self.see)
        self.clock.callLater(1, lambda: (self.see(), self.clock.callLater(2, self.see)))
        self.clock.advance(10)
        self.assertEqual((self.seen, self.clock.seconds()), ([1.0, 2.0, 3.0], 10.0))

    def test_what_is_not_due_yet_waits(self) -> None:
        self.clock.callLater(2, self.see)
        self.clock.advance(1.5)
        self.assertEqual((self.seen, self.clock.pending), ([], 1))
        self.clock.advance(0.5)
        self.assertEqual((self.seen, self.clock.pending), ([2.0], 0))

    def test_to_the_next_call(self) -> None:
        self.clock.callLater(2, self.see)
        self.clock.callLater(2, self.see)
        self.clock.callLater(3, self.see)
        self.assertTrue(self.clock.next())
        self.assertEqual((self.seen, self.clock.seconds()), ([2.0, 2.0], 2.0))
        self.assertTrue(self.clock.next())
        self.assertFalse(self.clock.next())
        self.assertEqual(self.clock.seconds(), 3.0)

    def test_until_nothing_is_left(self) -> None:
        self.clock.callLater(2, lambda: self.clock.callLater(30, self.see))
        self.clock.idle()
        self.assertEqual((self.seen, self.clock.seconds(), self.clock.pending), ([32.0], 32.0, 0))

    def test_it_is_advanced_by_a_finite_time_forwards(self) -> None:
        for wrong in (-1.0, float("nan"), float("inf")):
            with self.assertRaisesRegex(ValueError, "a finite number from 0 on"):
                self.clock.advance(wrong)

    @mock.patch.object(clock_module, "CALLS_AT_MOST", 100)
    def test_what_never_ends_is_given_up(self) -> None:
        self.see_for_ever()
        with self.assertRaises(NeverIdle):
            self.clock.idle()
        self.assertEqual(len(self.seen), 101)
        with self.assertRaises(NeverIdle):
            self.clock.advance(1000)
        self.assertEqual(self.clock.seconds(), 1100.0)
