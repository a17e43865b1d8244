"""The garbage collector: kept from running streams, and left as it was found."""

import gc
from unittest import mock

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fakellm.engine.garbage import LOOK_EVERY_SECONDS, THRESHOLDS, Tidying

OWN = (123, 4, 5)
"""What the process had before."""


class TidyingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        self.addCleanup(gc.unfreeze)
        gc.unfreeze()
        gc.set_threshold(*OWN)
        self.clock = Clock()
        self.running = 0

    def tidying(self) -> Tidying:
        made = Tidying(self.clock, lambda: self.running)
        self.addCleanup(made.stopService)
        return made

    def test_it_has_thresholds_of_its_own_while_it_runs(self) -> None:
        tidying = self.tidying()
        tidying.startService()
        self.assertEqual(gc.get_threshold(), THRESHOLDS)
        self.assertGreater(gc.get_freeze_count(), 0)
        tidying.stopService()
        self.assertEqual(gc.get_threshold(), OWN)
        self.assertEqual(gc.get_freeze_count(), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_two_in_one_process_leave_all_as_the_first_found_it(self) -> None:
        for first_to_stop in (0, 1):
            both = [self.tidying(), self.tidying()]
            for each in both:
                each.startService()
            both[first_to_stop].stopService()
            self.assertEqual(gc.get_threshold(), THRESHOLDS)
            self.assertGreater(gc.get_freeze_count(), 0)
            both[1 - first_to_stop].stopService()
            self.assertEqual(gc.get_threshold(), OWN)
            self.assertEqual(gc.get_freeze_count(), 0)

    def test_starting_and_stopping_twice_is_as_good_as_once(self) -> None:
        tidying = self.tidying()
        tidying.startService()
        tidying.startService()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        tidying.stopService()
        tidying.stopService()
        self.assertEqual(gc.get_threshold(), OWN)

    def collections(self, seconds: float = LOOK_EVERY_SECONDS) -> int:
        """How many full collections are made in so much time."""
        with mock.patch.object(gc, "collect", wraps=gc.collect) as collect:
            self.clock.advance(seconds)
        return collect.call_count

    def test_it_collects_only_while_nobody_is_served(self) -> None:
        self.tidying().startService()
        self.running = 1
        gc.collect(1)
        self.assertEqual(self.collections(), 0)
        self.running = 0
        self.assertEqual(self.collections(LOOK_EVERY_SECONDS / 2), 0)
        self.assertEqual(self.collections(LOOK_EVERY_SECONDS / 2), 1)

    def test_it_does_not_collect_while_another_server_of_the_process_serves(self) -> None:
        serving = Tidying(Clock(), lambda: 1)
        self.addCleanup(serving.stopService)
        serving.startService()
        self.tidying().startService()
        gc.collect(1)
        self.assertEqual(self.collections(), 0)
        serving.stopService()
        gc.collect(1)
        self.assertEqual(self.collections(), 1)

    def test_it_does_not_collect_where_nothing_can_have_gathered(self) -> None:
        self.tidying().startService()
        gc.disable()
        self.addCleanup(gc.enable)
        gc.collect(1)
        self.assertEqual(self.collections(), 1)
        self.assertEqual(self.collections(), 0)
        gc.collect(1)
        self.assertEqual(self.collections(), 1)
