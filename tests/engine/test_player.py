"""The player: what it writes, when, and what it leaves behind."""

from collections.abc import Iterator

from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from fakellm.engine.player import WRITE_AT_MOST, Player
from fakellm.interfaces import IWire
from fakellm.model.timeline import Abort, Act, Await, Cue, Finish, Head, Nothing, Write
from tests.engine.wires import HastyWire, NotedWire, UnbreakableWire

HEAD = Head(200, ())


def after(*cues: tuple[float, Act]) -> Iterator[Cue]:
    yield from cues


class PlayerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.wire = NotedWire()

    def play(self, cues: Iterator[Cue]) -> Player:
        player = Player(self.clock, self.wire, cues)
        player.start()
        return player

    def test_stands_where_a_producer_is_expected(self) -> None:
        verifyObject(IPushProducer, Player(self.clock, self.wire, after()))
        verifyObject(IWire, self.wire)

    def test_what_is_due_at_once_is_one_write(self) -> None:
        player = self.play(after((0, HEAD), (0, Write(b"a")), (0, Write(b"b")), (0, Finish())))
        self.assertEqual(self.wire.done, [(200,), b"ab", "finished"])
        self.successResultOf(player.done)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cues_wait_for_their_time(self) -> None:
        player = self.play(
            after((0, HEAD), (1.0, Write(b"a")), (2.5, Write(b"b")), (2.5, Finish()))
        )
        self.assertEqual(self.wire.done, [(200,)])
        self.clock.advance(1.0)
        self.assertEqual(self.wire.done, [(200,), b"a"])
        self.assertNoResult(player.done)
        self.clock.advance(1.5)
        self.assertEqual(self.wire.done, [(200,), b"a", b"b", "finished"])
        self.successResultOf(player.done)

    def test_one_advance_plays_all_that_fell_due_in_it(self) -> None:
        self.play(after((0, HEAD), (1.0, Write(b"a")), (2.0, Write(b"b")), (9.0, Finish())))
        self.clock.advance(5)
        self.assertEqual(self.wire.done, [(200,), b"ab"])

    def test_at_most_one_call_is_pending(self) -> None:
        cues = [(float(second), Write(b"x")) for second in range(1, 100)]
        self.play(after((0, HEAD), *cues, (100, Finish())))
        for _ in range(100):
            self.assertLessEqual(len(self.clock.getDelayedCalls()), 1)
            self.clock.advance(1)
        self.assertEqual(self.wire.done[-1], "finished")

    def test_times_are_absolute_so_lateness_does_not_add_up(self) -> None:
        self.play(after((0, HEAD), (1.0, Write(b"a")), (2.0, Write(b"b")), (3.0, Finish())))
        self.clock.advance(1.9)
        self.clock.advance(0.1)
        self.assertEqual(self.wire.done, [(200,), b"a", b"b"])

    def test_a_large_answer_gives_the_reactor_its_turns(self) -> None:
        writes = [(0.0, Write(b"x" * 1024))] * (2 * WRITE_AT_MOST // 1024)
        self.play(after((0, HEAD), *writes, (0, Finish())))
        self.assertEqual(self.wire.done, [(200,), b"x" * WRITE_AT_MOST])
        self.clock.advance(0)
        self.assertEqual(self.wire.done, [(200,), *[b"x" * WRITE_AT_MOST] * 2, "finished"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_client_that_does_not_read_is_not_written_to(self) -> None:
        self.wire.pause_after_writes = 1
        player = self.play(
            after((0, HEAD), (0, Write(b"a")), (1, Write(b"b")), (2, Write(b"c")), (2, Finish()))
        )
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(10)
        self.assertEqual(self.wire.done, [(200,), b"a"])
        player.resumeProducing()
        self.assertEqual(self.wire.done, [(200,), b"a", b"bc", "finished"])

    def test_the_last_write_may_be_one_too_many(self) -> None:
        """The end waits until the client reads again."""
        self.wire.pause_after_writes = 1
        player = self.play(after((0, HEAD), (0, Write(b"a")), (0, Finish())))
        self.assertEqual(self.wire.done, [(200,), b"a"])
        player.resumeProducing()
        self.assertEqual(self.wire.done, [(200,), b"a", "finished"])

    def test_a_client_that_reads_on_within_the_write_is_not_played_to_twice(self) -> None:
        """A transport may empty its buffer, and say so, before its write returns."""
        self.wire.pause_after_writes, self.wire.resumes = 1, True
        self.play(after((0, HEAD), (0, Write(b"a")), (1, Write(b"b")), (1, Finish())))
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(1)
        self.assertEqual(self.wire.done, [(200,), b"a", b"b", "finished"])

    def test_a_client_that_reads_on_after_the_end_changes_nothing(self) -> None:
        player = self.play(after((0, HEAD), (0, Finish())))
        player.resumeProducing()
        player.pauseProducing()
        self.assertEqual(self.wire.done, [(200,), "finished"])

    def test_a_pause_while_waiting_leaves_no_call(self) -> None:
        player = self.play(after((0, HEAD), (1, Write(b"a")), (1, Finish())))
        player.pauseProducing()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        player.resumeProducing()
        self.clock.advance(1)
        self.assertEqual(self.wire.done, [(200,), b"a", "finished"])

    def test_a_client_that_leaves_ends_it_and_closes_the_timeline(self) -> None:
        closed: list[bool] = []

        def cues() -> Iterator[Cue]:
            try:
                yield 0.0, HEAD
                yield 1.0, Write(b"a")
            finally:
                closed.append(True)

        player = self.play(cues())
        player.stopProducing()
        self.assertEqual(closed, [True])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.successResultOf(player.done)
        player.stop()
        player.abort()
        self.assertEqual(self.wire.done, [(200,)])

    def test_cancelling_done_stops_it(self) -> None:
        player = self.play(after((0, HEAD), (1, Write(b"a"))))
        player.done.cancel()
        self.successResultOf(player.done)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_abort_comes_after_what_was_due_before_it(self) -> None:
        player = self.play(after((0, HEAD), (0, Write(b"a")), (0, Abort()), (0, Write(b"b"))))
        self.assertEqual(self.wire.done, [(200,), b"a", "aborted"])
        self.assertIsNone(self.wire.producer)
        self.successResultOf(player.done)

    def test_a_timeline_that_raises_breaks_the_answer_off_and_is_logged(self) -> None:
        def cues() -> Iterator[Cue]:
            yield 0.0, HEAD
            raise ZeroDivisionError

        player = self.play(cues())
        self.assertEqual(self.wire.done, [(200,), "aborted"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.successResultOf(player.done)

    def test_a_timeline_without_an_end_is_broken_off(self) -> None:
        """A client must not wait for ever."""
        player = self.play(after((0, HEAD)))
        self.assertEqual(self.wire.done, [(200,), "aborted"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.successResultOf(player.done)

    def test_a_client_that_is_gone_before_the_end_returns_ends_it_once(self) -> None:
        for last, noted in ((Finish(), "finished"), (Abort(), "aborted")):
            self.wire = HastyWire()
            player = self.play(after((0, HEAD), (0, last)))
            self.successResultOf(player.done)
            self.assertEqual(self.wire.done, [(200,), noted])

    def test_a_connection_that_cannot_be_broken_off_is_given_up_all_the_same(self) -> None:
        """Whoever waits for the end, such as a server that is to stop, must not hang."""
        self.wire = UnbreakableWire()
        player = self.play(after((0, HEAD), (1, Finish())))
        player.abort()
        self.assertEqual(len(self.flushLoggedErrors(ConnectionError)), 1)
        self.successResultOf(player.done)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_timeline_that_cannot_be_closed_is_given_up_all_the_same(self) -> None:
        def cues() -> Iterator[Cue]:
            try:
                yield 0.0, HEAD
                yield 1.0, Finish()
            finally:
                raise ZeroDivisionError

        player = self.play(cues())
        player.stop()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.successResultOf(player.done)

    def test_a_timeline_may_be_any_iterator(self) -> None:
        cues: list[Cue] = [(0.0, HEAD), (0.0, Finish())]
        self.play(iter(cues))
        self.assertEqual(self.wire.done, [(200,), "finished"])


class LastingTests(SynchronousTestCase):
    """An answer that goes on when its client has gone, or has been told all it waits for."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.wire = NotedWire()
        self.drawn: list[str] = []

    def play(self, *cues: tuple[float, Act]) -> Player:
        def noted() -> Iterator[Cue]:
            for at, act in cues:
                yield at, act
                self.drawn.append(type(act).__name__)

        player = Player(self.clock, self.wire, noted(), lasting=True)
        player.start()
        return player

    def test_it_goes_on_after_it_is_finished(self) -> None:
        player = self.play((0, HEAD), (0, Finish()), (1.0, Nothing()), (2.0, Nothing()))
        self.assertEqual(self.wire.done, [(200,), "finished"])
        self.assertNoResult(player.done)
        self.assertEqual(self.drawn, ["Head", "Finish"])
        self.clock.advance(1.0)
        self.assertEqual(self.drawn, ["Head", "Finish", "Nothing"])
        self.clock.advance(1.0)
        self.successResultOf(player.done)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_goes_on_without_its_client(self) -> None:
        player = self.play((0, HEAD), (1.0, Write(b"a")), (2.0, Finish()))
        player.pauseProducing()
        player.stopProducing()
        player.stopProducing()
        self.clock.advance(2.0)
        self.successResultOf(player.done)
        self.assertEqual(self.wire.done, [(200,)])
        self.assertEqual(self.drawn, ["Head", "Write", "Finish"])

    def test_it_can_be_broken_off(self) -> None:
        for cues in ((0, Write(b"a")), (0, Finish())):
            player = self.play((0, HEAD), cues, (9.0, Nothing()))
            player.abort()
            self.successResultOf(player.done)
            self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.wire.done, [(200,), b"a", "aborted", (200,), "finished"])

    def test_it_may_wait_for_something(self) -> None:
        ready: list[bool] = []
        waiting = Await(lambda: bool(ready), 0.5)
        player = self.play((0, HEAD), (0, waiting), (0, Write(b"a")), (0, Finish()))
        self.clock.advance(0.5)
        self.assertEqual(self.wire.done, [(200,)])
        ready.append(True)
        self.clock.advance(0.5)
        self.assertEqual(self.wire.done, [(200,), b"a", "finished"])
        self.successResultOf(player.done)
