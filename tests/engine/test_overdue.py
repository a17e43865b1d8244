"""Time limits of many things, by one call of the clock's."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fakellm.engine.overdue import NEVER, Overdue


class Thing:
    """Something with a time limit."""

    def __init__(self, due: float = NEVER) -> None:
        self.due = due
        self.told = 0

    def overdue(self) -> None:
        self.told += 1
        self.due = NEVER


class Broken(Thing):
    def overdue(self) -> None:
        super().overdue()
        raise ZeroDivisionError


class OverdueTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.overdue = Overdue(self.clock)

    def test_a_thing_is_told_once_within_a_second_of_its_time(self) -> None:
        soon, late, never = Thing(2.5), Thing(4.0), Thing()
        for thing in (soon, late, never):
            self.overdue.watch(thing)
        told = []
        for _ in range(6):
            self.clock.advance(1)
            told.append((soon.told, late.told, never.told))
        self.assertEqual(told, [(0, 0, 0), (0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 1, 0), (1, 1, 0)])

    def test_a_time_may_be_set_again_without_being_told_here(self) -> None:
        thing = Thing(1.0)
        self.overdue.watch(thing)
        thing.due = 3.0
        self.clock.pump([1.0] * 2)
        self.assertEqual(thing.told, 0)
        self.clock.advance(1)
        self.assertEqual(thing.told, 1)

    def test_there_is_one_call_for_all_and_none_for_none(self) -> None:
        things = [Thing() for _ in range(10)]
        for thing in things:
            self.overdue.watch(thing)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        for thing in things:
            self.overdue.forget(thing)
            self.overdue.forget(thing)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_that_breaks_does_no_harm_to_the_others(self) -> None:
        things = [Broken(0.0), Thing(0.0)]
        for thing in things:
            self.overdue.watch(thing)
        self.clock.advance(1)
        self.assertEqual([thing.told for thing in things], [1, 1])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_one_may_be_forgotten_by_another_that_is_told(self) -> None:
        class Last(Thing):
            def overdue(thing) -> None:  # noqa: N805 -- self is the test
                super().overdue()
                self.overdue.forget(thing)

        self.overdue.watch(Last(0.0))
        self.clock.advance(1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
