"""Ending well: how long running answers are waited for, and what becomes of those that last."""

from collections.abc import Iterator

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fakellm.engine.drain import drain
from fakellm.engine.service import Engine, Identity
from fakellm.model.timeline import Cue, Finish, Head
from fakellm.timing.tokens import Splitter
from tests.engine.wires import NotedWire, UnbreakableWire
from tests.scenarios import libraries

GRACE = 3.0


def slow(seconds: float) -> Iterator[Cue]:
    """An answer that takes a while."""
    yield 0.0, Head(200, ())
    yield seconds, Finish()


class DrainTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.virtual = Clock()
        book = libraries.book()
        identity = Identity()
        self.engine = Engine(clock=self.virtual, book=book, tokenizer=Splitter(), identity=identity)

    def drain(self, grace: float = GRACE) -> Deferred[int]:
        return Deferred.fromCoroutine(drain(self.engine, self.clock, grace))

    def assert_nothing_is_left(self) -> None:
        self.assertEqual(self.engine.running, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.virtual.getDelayedCalls(), [])

    def test_a_server_with_nothing_to_do_ends_at_once(self) -> None:
        self.assertEqual(self.successResultOf(self.drain()), 0)
        self.assert_nothing_is_left()

    def test_answers_that_end_in_time_are_waited_for(self) -> None:
        wire = NotedWire()
        self.engine.play(slow(2), wire)
        draining = self.drain()
        self.clock.advance(2)
        self.assertNoResult(draining)
        self.virtual.advance(2)
        self.assertEqual(self.successResultOf(draining), 0)
        self.assertEqual(wire.done, [(200,), "flushed", "finished"])
        self.assert_nothing_is_left()

    def test_answers_that_last_are_broken_off_and_counted(self) -> None:
        wires = [NotedWire() for _ in range(3)]
        for seconds, wire in enumerate(wires, 1):
            self.engine.play(slow(seconds), wire)
        draining = self.drain()
        self.virtual.advance(1)
        self.clock.advance(GRACE - 0.1)
        self.assertNoResult(draining)
        self.clock.advance(0.1)
        self.assertEqual(self.successResultOf(draining), 2)
        self.assertEqual([wire.done[-1] for wire in wires], ["finished", "aborted", "aborted"])
        self.assert_nothing_is_left()

    def test_virtual_time_that_stands_still_holds_nothing_up(self) -> None:
        """The grace is real, even where answers are on a clock that nobody advances any more."""
        self.engine.play(slow(1), NotedWire())
        draining = self.drain()
        self.clock.advance(GRACE)
        self.assertEqual(self.successResultOf(draining), 1)
        self.assert_nothing_is_left()

    def test_no_grace_breaks_off_in_the_next_turn(self) -> None:
        self.engine.play(slow(1), NotedWire())
        draining = self.drain(grace=0)
        self.clock.advance(0)
        self.assertEqual(self.successResultOf(draining), 1)
        self.assert_nothing_is_left()

    def test_an_answer_that_cannot_be_broken_off_holds_nothing_up(self) -> None:
        self.engine.play(slow(9), UnbreakableWire())
        draining = self.drain()
        self.clock.advance(GRACE)
        self.assertEqual(self.successResultOf(draining), 1)
        self.assertEqual(len(self.flushLoggedErrors(ConnectionError)), 1)
        self.assert_nothing_is_left()

    def test_who_waits_no_more_leaves_no_call_behind(self) -> None:
        self.engine.play(slow(1), NotedWire())
        draining = self.drain()
        draining.cancel()
        self.failureResultOf(draining, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.virtual.advance(1)
        self.assert_nothing_is_left()
