"""Waiting until nothing is left: soon at first, then more seldom, and not for ever."""

from itertools import pairwise

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fakellm.engine.lingering import (
    GIVE_UP_AFTER_SECONDS,
    GIVE_UP_AT_LAST_SECONDS,
    LOOK_AFTER_SECONDS,
    LOOK_EVERY_SECONDS,
    Lingering,
)


class LingeringTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.lingering = Lingering(self.clock)
        self.left = 3
        self.looks: list[float] = []
        self.done: list[float] = []

    def look(self) -> int:
        self.looks.append(self.clock.seconds())
        return self.left

    def until(self, *, at_once: bool = True) -> None:
        self.lingering.until(
            self.look, lambda: self.done.append(self.clock.seconds()), at_once=at_once
        )

    def assert_nothing_waits(self) -> None:
        self.assertEqual(self.lingering.waiting, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def pass_time(self, seconds: float) -> None:
        """Let it pass in steps that no look is later by."""
        until = self.clock.seconds() + seconds
        while self.clock.seconds() < until:
            self.clock.advance(LOOK_AFTER_SECONDS)

    def test_where_nothing_is_left_it_is_done_at_once(self) -> None:
        self.left = 0
        self.until()
        self.assertEqual(self.done, [0.0])
        self.assert_nothing_waits()

    def test_where_it_cannot_be_known_at_once_it_is_looked_at_a_moment_later(self) -> None:
        self.left = 0
        self.until(at_once=False)
        self.assertEqual((self.done, self.lingering.waiting), ([], 1))
        self.clock.advance(LOOK_AFTER_SECONDS)
        self.assertEqual(self.done, [LOOK_AFTER_SECONDS])
        self.assert_nothing_waits()

    def test_it_is_done_once_when_nothing_is_left(self) -> None:
        self.until()
        self.clock.advance(LOOK_AFTER_SECONDS)
        self.assertEqual(self.done, [])
        self.left = 0
        self.pass_time(1)
        self.assertEqual(len(self.done), 1)
        self.assert_nothing_waits()

    def test_looks_grow_rare(self) -> None:
        """Thousands that wait together must not take the time of those that are served."""
        self.until()
        self.pass_time(GIVE_UP_AFTER_SECONDS)
        pauses = [b - a for a, b in pairwise(self.looks)]
        self.assertAlmostEqual(pauses[0], LOOK_AFTER_SECONDS)
        for shorter, longer in pairwise(pauses):
            self.assertLess(longer, 2 * shorter + 2 * LOOK_AFTER_SECONDS)
        self.assertLess(abs(max(pauses) - LOOK_EVERY_SECONDS), 2 * LOOK_AFTER_SECONDS)
        self.assertLess(len(self.looks), GIVE_UP_AFTER_SECONDS / LOOK_EVERY_SECONDS + 12)

    def test_without_progress_it_is_given_up_and_done_all_the_same(self) -> None:
        self.until()
        self.pass_time(GIVE_UP_AFTER_SECONDS - 2 * LOOK_EVERY_SECONDS)
        self.assertEqual(self.done, [])
        self.pass_time(3 * LOOK_EVERY_SECONDS)
        self.assertEqual(len(self.done), 1)
        self.assert_nothing_waits()

    def test_more_to_wait_for_is_no_progress(self) -> None:
        self.until()
        for _ in range(10):
            self.left += 1
            self.pass_time(GIVE_UP_AFTER_SECONDS / 10)
        self.pass_time(2 * LOOK_EVERY_SECONDS)
        self.assertEqual(len(self.done), 1)

    def test_one_that_is_slow_is_waited_for_longer_but_not_for_ever(self) -> None:
        self.left = 1000
        self.until()
        while self.clock.seconds() < GIVE_UP_AT_LAST_SECONDS - 1:
            self.left -= 1
            self.pass_time(1)
            self.assertEqual(self.done, [])
        self.pass_time(2)
        self.assertEqual(len(self.done), 1)
        self.assert_nothing_waits()

    def test_a_hurry_does_all_and_leaves_no_call(self) -> None:
        self.until()
        self.until()
        self.lingering.hurry()
        self.assertEqual(self.done, [0.0, 0.0])
        self.assert_nothing_waits()
        self.lingering.hurry()
        self.assertEqual(len(self.done), 2)

    def test_one_that_fails_does_not_keep_the_others_from_theirs(self) -> None:
        for _ in range(2):
            self.lingering.until(self.look, lambda: 1 / 0)  # type: ignore[arg-type]
            self.until()
            self.lingering.hurry()
        self.lingering.until(self.look, lambda: 1 / 0)  # type: ignore[arg-type]
        self.until()
        self.left = 0
        self.pass_time(LOOK_EVERY_SECONDS)
        self.assertEqual(len(self.done), 3)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)
        self.assert_nothing_waits()
