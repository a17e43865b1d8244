"""The player: what it writes, when, and what it leaves behind."""

from collections.abc import Iterator
from math import inf
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from fakellm.engine.player import WRITE_AT_MOST, Manner, Player
from fakellm.engine.punctuality import Punctuality
from fakellm.interfaces import IWire
from fakellm.model.prompt import Received
from fakellm.model.timeline import (
    Abort,
    Act,
    Ask,
    Await,
    Close,
    Cue,
    Finish,
    Head,
    Hold,
    Keep,
    Nothing,
    Raw,
    Shut,
    Write,
)
from tests.engine.stages import stage
from tests.engine.wires import HastyWire, HeadlessWire, NotedWire, UnbreakableWire

HEAD = Head(200, ())


def after(*cues: tuple[float, Act]) -> Iterator[Cue]:
    yield from cues


class PlayerCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.wire = NotedWire()
        self.noted: list[Keep | Ask] = []
        self.stage = stage(self.clock, self.noted)

    def play(self, cues: Iterator[Cue], *, head_at_once: bool = False, **manner: Any) -> Player:
        how = Manner(head_at_once=head_at_once, **manner)
        player = Player(self.stage, self.wire, cues, how)
        player.start()
        return player


class PlayerTests(PlayerCase):
    def test_stands_where_a_producer_is_expected(self) -> None:
        verifyObject(IPushProducer, Player(self.stage, self.wire, after()))
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
            self.assertEqual([self.wire.done[0], self.wire.done[-1]], [(200,), noted])

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


class ActTests(PlayerCase):
    """What is neither a plain write nor an end."""

    def test_the_head_goes_at_once_if_it_would_have_to_wait_for_the_body(self) -> None:
        self.play(after((0, HEAD), (1, Write(b"a")), (2, Finish())), head_at_once=True)
        self.assertEqual(self.wire.done, [(200,), "flushed"])
        self.clock.advance(2)
        self.assertEqual(self.wire.done[2:], [b"a", "finished"])

    def test_a_head_with_its_body_is_not_sent_twice(self) -> None:
        self.play(
            after((0, HEAD), (0, Write(b"a")), (1, Write(b"b")), (1, Finish())), head_at_once=True
        )
        self.assertEqual(self.wire.done, [(200,), b"a"])

    def test_headers_of_the_manner_go_behind_those_of_the_answer(self) -> None:
        head = Head(200, (("a", "1"),))
        self.play(after((0, head), (0, Finish())), headers=(("b", "2"),))
        self.assertEqual(self.wire.done[0], (200, ("a", "1"), ("b", "2")))

    def test_a_head_may_trickle(self) -> None:
        self.play(after((0, Head(200, (), over=1.0)), (1, Write(b"a")), (1, Finish())))
        raw = [done[1] for done in self.wire.done if isinstance(done, tuple)]
        self.assertEqual(raw, [b"2"])
        self.clock.advance(0.5)
        self.assertNotIn(b"a", self.wire.done)
        for _ in range(20):
            self.clock.advance(0.025)
        raw = [done[1] for done in self.wire.done if isinstance(done, tuple)]
        self.assertEqual(b"".join(raw), b"200 []")
        self.assertEqual(self.wire.done[-2:], [b"a", "finished"])

    def test_a_head_that_is_sent_otherwise_does_not_trickle(self) -> None:
        self.wire = HeadlessWire()
        self.play(after((0, Head(200, (), over=1.0)), (1, Write(b"a")), (1, Finish())))
        self.clock.advance(1)
        self.assertEqual(self.wire.done, [b"a", "finished"])

    def test_what_is_apart_is_a_write_of_its_own_and_a_turn_of_its_own(self) -> None:
        self.play(
            after(
                (0, HEAD),
                (0, Write(b"a")),
                (0, Write(b"b", apart=True)),
                (0, Write(b"c", apart=True)),
                (0, Raw(b"d", apart=True)),
                (0, Write(b"e")),
                (0, Finish()),
            )
        )
        self.assertEqual(self.wire.done[1:], [b"a", b"b"])
        self.clock.advance(0)
        self.assertEqual(self.wire.done[3:], [b"c", ("raw", b"d"), b"e", "finished"])

    def test_raw_bytes_go_in_their_order(self) -> None:
        self.play(after((0, HEAD), (0, Write(b"a")), (0, Raw(b"zz")), (0, Close())))
        self.assertEqual(self.wire.done, [(200,), b"a", ("raw", b"zz"), "closed"])

    def test_a_close_ends_it(self) -> None:
        player = self.play(after((0, HEAD), (0, Close()), (0, Write(b"b"))))
        self.assertEqual(self.wire.done, [(200,), "flushed", "closed"])
        self.assertIsNone(self.wire.producer)
        self.successResultOf(player.done)

    def test_nothing_sends_nothing_and_forever_takes_no_call(self) -> None:
        player = self.play(after((0, HEAD), (1, Nothing()), (inf, Nothing())))
        self.clock.advance(1)
        self.assertEqual(self.wire.done, [(200,)])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertNoResult(player.done)
        player.stopProducing()
        self.successResultOf(player.done)

    def test_what_concerns_others_is_handed_on(self) -> None:
        keep = Keep("kind", "key", 1)
        ask = Ask(Received(method="POST", path="/"), lambda _status, _body: ())
        shut = Shut(5.0, refused=True)
        self.play(after((0, keep), (0, ask), (0, shut), (0, HEAD), (0, Finish())))
        self.assertEqual(self.noted, [keep, ask])
        self.assertEqual(self.wire.done, [("shut", 5.0, True, None), (200,), "finished"])


class GateTests(PlayerCase):
    """Standing still at a gate."""

    def setUp(self) -> None:
        super().setUp()
        self.gate = self.stage.gates.gate("g")

    def held(self, **manner: Any) -> Player:
        return self.play(
            after(
                (0, HEAD),
                (1, Write(b"a")),
                (1, Hold("g")),
                (2, Write(b"b")),
                (3, Write(b"c")),
                (4, Finish()),
            ),
            **manner,
        )

    def test_it_stands_still_and_what_follows_is_later(self) -> None:
        player = self.held()
        self.clock.advance(1)
        self.assertEqual((self.gate.waiting, self.wire.done), (1, [(200,), b"a"]))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(100)
        self.assertEqual(self.gate.release(), 1)
        self.assertEqual(self.wire.done[2:], [b"b"])
        self.clock.advance(1)
        self.assertEqual(self.wire.done[3:], [b"c"])
        self.clock.advance(1)
        self.assertEqual(self.wire.done[4:], ["finished"])
        self.successResultOf(player.done)
        self.assertEqual((self.gate.waiting, self.gate.released, self.gate.left), (0, 1, 0))

    def test_steps_let_chunks_through_at_once(self) -> None:
        self.held()
        self.clock.advance(1)
        self.assertEqual(self.gate.step(), 1)
        self.assertEqual((self.gate.waiting, self.wire.done[2:]), (1, [b"b"]))
        self.assertEqual(self.gate.step(5), 1)
        self.assertEqual((self.gate.waiting, self.wire.done[3:]), (0, [b"c", "finished"]))

    def test_a_step_of_several_chunks(self) -> None:
        self.held()
        self.clock.advance(1)
        self.gate.step(2)
        self.assertEqual((self.gate.waiting, self.wire.done[2:]), (0, [b"b", b"c"]))
        self.clock.advance(1)  # nothing is left to hold back
        self.assertEqual(self.wire.done[4:], ["finished"])

    def test_a_step_through_what_is_apart(self) -> None:
        cues = ((0.0, Write(data, apart=True)) for data in (b"a", b"b", b"c"))
        self.play(after((0, HEAD), (0, Hold("g")), *cues, (0, Finish())))
        self.gate.step(2)
        self.clock.advance(0)
        self.assertEqual((self.gate.waiting, self.wire.done[1:]), (1, [b"a", b"b"]))

    def test_a_stall_for_ever_cannot_be_stepped_over(self) -> None:
        self.play(after((0, HEAD), (0, Hold("g")), (0, Write(b"a")), (inf, Nothing())))
        self.gate.step(3)
        self.assertEqual(self.wire.done[1:], [b"a"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_stall_for_ever_right_behind_a_gate_stays_one(self) -> None:
        self.play(after((0, HEAD), (0, Hold("g")), (inf, Nothing())))
        self.gate.release()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_abort_breaks_it_off(self) -> None:
        player = self.held()
        self.clock.advance(1)
        self.assertEqual(self.gate.abort(), 1)
        self.assertEqual(self.wire.done[2:], ["aborted"])
        self.successResultOf(player.done)
        self.assertEqual((self.gate.waiting, self.gate.aborted, self.gate.left), (0, 1, 0))

    def test_a_client_that_leaves_is_noticed_at_the_gate(self) -> None:
        player = self.held()
        self.clock.advance(1)
        player.stopProducing()
        self.assertEqual((self.gate.waiting, self.gate.left), (0, 1))
        self.assertEqual(self.gate.release(), 0)

    def test_a_client_that_stops_reading_at_a_gate_is_not_written_to(self) -> None:
        player = self.held()
        self.clock.advance(1)
        player.pauseProducing()
        self.gate.release()
        self.assertEqual(self.wire.done[2:], [])
        player.resumeProducing()
        self.assertEqual(self.wire.done[2:], [b"b"])

    def test_reading_on_opens_no_gate(self) -> None:
        player = self.held()
        self.clock.advance(1)
        player.resumeProducing()
        self.assertEqual((self.gate.waiting, self.wire.done[2:]), (1, []))

    def test_who_waits_for_it_may_open_it_within_the_call(self) -> None:
        self.gate.when_waiting().addCallback(lambda _: self.gate.release())
        self.held()
        self.clock.advance(1)
        self.assertEqual(self.wire.done[1:], [b"a", b"b"])
        self.clock.advance(2)
        self.assertEqual(self.wire.done[-1], "finished")

    def test_the_head_goes_out_before_a_gate_behind_it(self) -> None:
        self.play(after((0, HEAD), (0, Hold("g")), (0, Finish())), head_at_once=True)
        self.assertEqual(self.wire.done, [(200,), "flushed"])

    def test_being_let_go_on_without_a_gate_changes_nothing(self) -> None:
        player = self.play(after((0, HEAD), (1, Finish())))
        player.go_on()
        self.assertEqual(self.wire.done, [(200,)])

    def test_two_gates_in_a_row(self) -> None:
        self.play(after((0, HEAD), (0, Hold("g")), (0, Hold("h")), (0, Finish())))
        self.gate.release()
        self.assertEqual(self.stage.gates.gate("h").waiting, 1)
        self.stage.gates.gate("h").release()
        self.assertEqual(self.wire.done, [(200,), "finished"])
        self.assertEqual(self.stage.gates.names(), ["g", "h"])


class LateTests(PlayerCase):
    """An answer that is behind its times by the server's own fault."""

    def setUp(self) -> None:
        super().setUp()
        self.punctuality = Punctuality(self.clock.seconds)
        self.stage = stage(self.clock, punctuality=self.punctuality)

    def late(self, late: str) -> list[object]:
        """What is written when the second of four tokens is late by a second."""
        tokens = [(float(at), Write(b"%d" % at, token=True)) for at in (1, 2, 3, 4)]
        self.play(after((0, HEAD), *tokens, (5, Finish())), late=late)
        for seconds in (1, 2, 0.5, 0.5, 1):
            self.clock.advance(seconds)
        return self.wire.done

    def test_it_catches_up(self) -> None:
        self.assertEqual(self.late("catch_up"), [(200,), b"1", b"23", b"4", "finished"])
        self.assertEqual(self.punctuality.events.worst, 1.0)
        self.assertEqual(self.punctuality.events.total, 5)

    def test_or_slips(self) -> None:
        self.assertEqual(self.late("slip"), [(200,), b"1", b"2", b"3", b"4"])
        self.clock.advance(1)
        self.assertEqual(self.wire.done[-1], "finished")
        self.assertEqual(self.punctuality.events.worst, 1.0)

    def test_or_drops_what_is_late(self) -> None:
        self.assertEqual(self.late("drop"), [(200,), b"1", b"3", b"4", "finished"])

    def test_what_is_no_token_is_never_dropped(self) -> None:
        self.play(after((0, HEAD), (1, Write(b"a")), (2, Finish())), late="drop")
        self.clock.advance(10)
        self.assertEqual(self.wire.done, [(200,), b"a", "finished"])

    def test_a_late_answer_says_so_in_its_trailer(self) -> None:
        self.late("catch_up")
        self.assertEqual(self.wire.trailers, (("X-FakeLLM-Late", "1.000"),))

    def test_and_in_its_head_where_that_is_late_too(self) -> None:
        self.play(after((1, HEAD), (1, Write(b"a")), (1, Finish())))
        self.clock.advance(1.5)
        self.assertEqual(self.wire.done[0], (200, ("X-FakeLLM-Late", "0.500")))

    def test_one_in_time_says_nothing(self) -> None:
        self.play(after((1, HEAD), (2, Write(b"a")), (2, Finish())))
        self.clock.advance(1)
        self.clock.advance(1)
        self.assertEqual((self.wire.done[0], self.wire.trailers), ((200,), ()))

    def test_a_client_that_did_not_read_is_to_blame_itself(self) -> None:
        player = self.play(after((0, HEAD), (1, Write(b"a")), (9, Finish())), late="slip")
        player.pauseProducing()
        self.clock.advance(5)
        player.resumeProducing()
        self.clock.advance(4)
        self.assertEqual(self.wire.done, [(200,), b"a", "finished"])
        self.assertEqual(self.punctuality.events.worst, 0.0)

    def test_nor_does_it_lose_tokens_by_that(self) -> None:
        player = self.play(
            after((0, HEAD), (1, Write(b"a", token=True)), (1, Finish())), late="drop"
        )
        player.pauseProducing()
        self.clock.advance(5)
        player.resumeProducing()
        self.assertEqual(self.wire.done, [(200,), b"a", "finished"])


class LastingTests(PlayerCase):
    """An answer that goes on when its client has gone, or has been told all it waits for."""

    def setUp(self) -> None:
        super().setUp()
        self.drawn: list[str] = []

    def last(self, *cues: tuple[float, Act]) -> Player:
        def noted() -> Iterator[Cue]:
            for at, act in cues:
                yield at, act
                self.drawn.append(type(act).__name__)

        return self.play(noted(), lasting=True)

    def test_it_goes_on_after_it_is_finished(self) -> None:
        player = self.last((0, HEAD), (0, Finish()), (1.0, Nothing()), (2.0, Nothing()))
        self.assertEqual(self.wire.done, [(200,), "finished"])
        self.assertNoResult(player.done)
        self.assertEqual(self.drawn, ["Head", "Finish"])
        self.clock.advance(1.0)
        self.assertEqual(self.drawn, ["Head", "Finish", "Nothing"])
        self.clock.advance(1.0)
        self.successResultOf(player.done)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_goes_on_without_its_client(self) -> None:
        player = self.last((0, HEAD), (1.0, Write(b"a")), (2.0, Finish()))
        player.pauseProducing()
        player.stopProducing()
        player.stopProducing()
        self.clock.advance(2.0)
        self.successResultOf(player.done)
        self.assertEqual(self.wire.done, [(200,)])
        self.assertEqual(self.drawn, ["Head", "Write", "Finish"])

    def test_it_can_be_broken_off(self) -> None:
        for cues in ((0, Write(b"a")), (0, Finish())):
            player = self.last((0, HEAD), cues, (9.0, Nothing()))
            player.abort()
            self.successResultOf(player.done)
            self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.wire.done, [(200,), b"a", "aborted", (200,), "finished"])

    def test_it_may_wait_for_something(self) -> None:
        ready: list[bool] = []
        waiting = Await(lambda: bool(ready), 0.5)
        player = self.last((0, HEAD), (0, waiting), (0, Write(b"a")), (0, Finish()))
        self.clock.advance(0.5)
        self.assertEqual(self.wire.done, [(200,)])
        ready.append(True)
        self.clock.advance(0.5)
        self.assertEqual(self.wire.done, [(200,), b"a", "finished"])
        self.successResultOf(player.done)
