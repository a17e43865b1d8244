"""Slots and the queue, on a clock of the test's own."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fakellm.engine.admission import Admission, Place
from fakellm.timing.conduct import LoadSpec


class AdmissionCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.admission = Admission(self.clock.seconds)

    def follow(self, **load: Any) -> None:
        self.admission.follow(LoadSpec(**load))

    def enter(self, count: int) -> list[Place]:
        return [self.admission.enter() for _ in range(count)]


class SlotTests(AdmissionCase):
    def test_without_slots_any_number_runs(self) -> None:
        places = self.enter(100)
        self.assertTrue(all(place.has_slot for place in places))
        self.assertEqual((self.admission.running, self.admission.queued), (100, 0))
        self.assertIsNone(self.admission.refusal())

    def test_the_rest_waits_in_order_of_arrival(self) -> None:
        self.follow(slots=1)
        places = self.enter(3)
        self.assertEqual([place.position for place in places], [0, 1, 2])
        self.clock.advance(2)
        self.assertEqual(self.admission.longest_wait, 2.0)
        places[0].leave()
        self.successResultOf(places[1].granted)
        self.assertNoResult(places[2].granted)
        self.assertEqual((places[1].waited, self.admission.queued), (2.0, 1))

    def test_leaving_twice_gives_back_one_slot(self) -> None:
        self.follow(slots=1)
        places = self.enter(3)
        places[0].leave()
        places[0].leave()
        self.assertFalse(places[2].has_slot)

    def test_who_leaves_the_queue_lets_the_others_move_up(self) -> None:
        self.follow(slots=1)
        places = self.enter(3)
        places[1].granted.cancel()
        self.failureResultOf(places[1].granted, CancelledError)
        places[0].leave()
        self.assertTrue(places[2].has_slot)
        self.assertEqual(self.admission.longest_wait, 0.0)

    def test_more_slots_let_in_those_that_wait(self) -> None:
        self.follow(slots=1)
        places = self.enter(3)
        self.follow(slots=2)
        self.assertEqual([place.has_slot for place in places], [True, True, False])
        self.follow()
        self.assertTrue(places[2].has_slot)

    def test_fewer_slots_drive_nobody_out(self) -> None:
        self.follow(slots=3)
        places = self.enter(3)
        self.follow(slots=1)
        late = self.admission.enter()
        places[0].leave()
        places[1].leave()
        self.assertFalse(late.has_slot)
        places[2].leave()
        self.assertTrue(late.has_slot)

    def test_answers_that_end_at_once_do_not_pile_up_on_the_stack(self) -> None:
        self.follow(slots=1)
        first, *others = self.enter(5000)
        for place in others:
            place.granted.addCallback(lambda _, place=place: place.leave())
        first.leave()
        self.assertEqual((self.admission.running, self.admission.queued), (0, 0))


class FullTests(AdmissionCase):
    def test_a_full_queue_refuses_with_503_or_as_told(self) -> None:
        self.follow(slots=1, queue=1)
        self.enter(1)
        self.assertIsNone(self.admission.refusal())
        self.enter(1)
        self.assertEqual(self.admission.refusal(), 503)
        self.follow(slots=1, queue=1, full=429)
        self.assertEqual(self.admission.refusal(), 429)

    def test_without_a_queue_the_slots_are_all_there_is(self) -> None:
        self.follow(slots=2, queue=0)
        self.enter(2)
        self.assertEqual(self.admission.refusal(), 503)

    def test_a_queue_without_a_bound_is_never_full(self) -> None:
        self.follow(slots=1)
        self.enter(1000)
        self.assertIsNone(self.admission.refusal())


class SlowdownTests(AdmissionCase):
    def test_it_grows_with_the_other_slots_that_are_busy(self) -> None:
        self.follow(slots=5, slowdown=3.0)
        self.assertEqual([place.slowdown for place in self.enter(5)], [1.0, 1.5, 2.0, 2.5, 3.0])

    def test_one_slot_is_always_all_of_them(self) -> None:
        self.follow(slots=1, slowdown=2.0)
        self.assertEqual(self.enter(1)[0].slowdown, 2.0)

    def test_without_one_there_is_none(self) -> None:
        self.follow(slots=1)
        self.assertEqual(self.enter(1)[0].slowdown, 1.0)


class AnythingTests(SynchronousTestCase):
    @given(st.integers(1, 4), st.lists(st.integers(0, 30), max_size=60))
    def test_slots_are_never_exceeded_nor_idle_while_somebody_waits(
        self, slots: int, moves: list[int]
    ) -> None:
        admission = Admission(lambda: 0.0)
        admission.follow(LoadSpec(slots=slots))
        places: list[Place] = []
        granted: list[int] = []
        for move in moves:
            if move % 2 and places:
                places[move % len(places)].leave()
            else:
                number = len(places)
                place = admission.enter()
                place.granted.addCallback(lambda _, number=number: granted.append(number))
                places.append(place)
            self.assertLessEqual(admission.running, slots)
            self.assertTrue(admission.running == slots or not admission.queued)
        self.assertEqual(granted, sorted(granted))
