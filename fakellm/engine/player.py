"""Playing a timeline to a client.

It holds at most one call of the timer, plays every cue that is due in one write, stands still while
the client does not read or a gate is shut, and leaves nothing behind when the client goes.
"""

from collections.abc import Callable, Iterator
from itertools import chain
from math import inf, isinf

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from fakellm.engine.gates import Gate, Gates
from fakellm.engine.punctuality import LATE_SECONDS, Punctuality
from fakellm.engine.timer import EXACT_TO_SECONDS, Call, Timer
from fakellm.interfaces import IWire
from fakellm.journal.delivery import Delivery
from fakellm.journal.noted import Noted
from fakellm.journal.records import Ended
from fakellm.model.timeline import (
    Abort,
    Act,
    Amend,
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
from fakellm.scenarios.sessions import DEFAULT_SESSION
from fakellm.timing.conduct import Late

WRITE_AT_MOST = 64 * 1024
"""Bytes gathered into one write; after as many the reactor gets a turn."""

DROPPED_AFTER_SECONDS = 0.1
"""What a stream that drops what is late leaves out: tokens that are so much behind their time."""

LATE_HEADER = "X-FakeLLM-Late"
"""How late, in seconds, an answer was by the server's own fault: in its head, or its trailer."""

_PIECES_OF_A_HEAD = 50
_LASTING = (Keep, Amend, Ask, Await)
_NOTHING = Nothing()

Headers = tuple[tuple[str, str], ...]


class Stage(Struct, frozen=True, kw_only=True):
    """What all answers of a server are played with.

    ``punctuality`` is ``None`` where time is virtual. ``keep`` and ``ask`` do what those acts say.
    """

    timer: Timer
    gates: Gates
    punctuality: Punctuality | None = None
    keep: Callable[[Keep | Amend], None]
    ask: Callable[[Ask], None]


class Manner(Struct, frozen=True, kw_only=True):
    """How one answer is played.

    ``headers`` go out with its head, which is sent ``head_at_once`` or with what follows it.
    ``late`` is what it does when it is behind its times. A ``lasting`` one goes on, for what it
    keeps, when its client has gone or been told all it waits for. Gates are those of its
    ``session``. What becomes of it is noted in its ``delivery``; it is the answer to the request
    that is ``noted``.
    """

    headers: Headers = ()
    head_at_once: bool = True
    late: Late = "catch_up"
    lasting: bool = False
    session: str = DEFAULT_SESSION
    delivery: Delivery | None = None
    noted: Noted | None = None


PLAIN = Manner()


@implementer(IPushProducer)
class Player:
    """Plays one answer.

    Args:
        stage: what is shared.
        wire: where to.
        cues: when and what, in order of time; drawn no earlier than needed.
        manner: how.
        begins: when its time began to run, in seconds of the timer's clock; now, if left out.

    Attributes:
        done: fires with ``None`` when the answer has been sent, broken off, or given up with
            `stop`. Cancelling it is `stop`.
    """

    __slots__ = (
        "_ahead", "_behind_client", "_call", "_cues", "_delivery", "_due_at", "_ended", "_gate",
        "_gone", "_is_head_due", "_is_token_due", "_late",
        "_left", "_manner", "_next", "_paused", "_playing", "_stage", "_started", "_step_from",
        "_wire", "done",
    )  # fmt: skip
    _log = Logger()

    def __init__(
        self,
        stage: Stage,
        wire: IWire,
        cues: Iterator[Cue],
        manner: Manner = PLAIN,
        begins: float | None = None,
    ) -> None:
        self._stage = stage
        self._wire = wire
        self._cues = cues
        self._manner = manner
        self._delivery = manner.delivery
        # of the chunks that are to be written together: when the first is due, if a token is there
        self._due_at = 0.0
        self._is_token_due = False
        self._started = stage.timer.seconds() if begins is None else begins
        self._next: Cue | None = None
        self._ahead: Cue | None = None  # the one after it, if it was looked at
        self._call: Call | None = None
        self._gate: Gate | None = None  # where it waits
        self._step_from: Gate | None = None  # where it waits again once nothing is left to let out
        self._left = 0
        self._late = 0.0
        self._is_head_due = False
        self._behind_client = False
        self._paused = False
        self._playing = False
        self._ended = False
        self._gone = False
        self.done: Deferred[None] = Deferred(lambda _: self.stop())

    @property
    def lasts(self) -> bool:
        """Whether it goes on without its client."""
        return self._manner.lasting

    @property
    def noted(self) -> Noted | None:
        """The request that it answers, if it is one that is noted."""
        return self._manner.noted

    def start(self) -> None:
        """Play what is due now, and the rest when it is."""
        self._wire.register(self)
        self._play()

    def stop(self) -> None:
        """Play no more: the client has gone, or need not be told; one that lasts goes on alone."""
        if self._ended or self._gone:
            return
        self._note_end("client_left")  # unless it was told another end before
        if not self._manner.lasting:
            self._end()
            return
        self._gone = True
        self._paused = False
        drawn = [cue for cue in (self._next, self._ahead) if cue is not None]
        left = chain(drawn, self._cues)
        self._next = self._ahead = None
        self._cues = ((at, act if isinstance(act, _LASTING) else _NOTHING) for at, act in left)
        self._play()

    def abort(self) -> None:
        """Break the connection off in the middle of the answer, and end it, lasting or not."""
        self._note_end("aborted")
        self._cut(self._wire.abort)
        if not self._ended:
            self._end()

    def go_on(self, chunks: int | None = None) -> None:
        """Leave the gate it stands at, for good or for so many chunks, which go at once."""
        gate, self._gate = self._gate, None
        if gate is None or self._ended:
            return
        self._step_from = None if chunks is None else gate
        self._left = chunks or 0
        # It is now the time of what comes next, and all that follows is later by that.
        if self._next is not None and not isinf(self._next[0]):
            self._started = self._stage.timer.seconds() - self._next[0]
        self._play()

    def pauseProducing(self) -> None:  # noqa: N802 -- IPushProducer's name
        """The client does not read: play nothing."""
        self._paused = True
        self._unschedule()

    def resumeProducing(self) -> None:  # noqa: N802 -- IPushProducer's name
        """The client reads again: play what has become due."""
        self._paused = False
        self._behind_client = True
        self._play()

    def stopProducing(self) -> None:  # noqa: N802 -- IPushProducer's name
        """The client has gone."""
        self.stop()

    def _play(self) -> None:
        if self._playing or self._gate is not None:
            return
        call, self._call = self._call, None
        if call is not None and call.function is not None:  # and it is not that which calls
            self._stage.timer.cancel(call)
        self._playing = True
        try:
            if not self._played_chunk():
                self._play_due()
        except Exception:  # noqa: BLE001 -- whatever broke, the client must not hang
            self._log.failure("An answer broke off.")
            self.abort()
        finally:
            self._playing = False

    def _played_chunk(self) -> bool:
        """Write a chunk that is due alone, as nearly all of a stream are; whether it was so."""
        if self._next is None or self._is_head_due or self._paused or self._behind_client:
            return False
        at, act = self._next
        if not isinstance(act, Write) or act.apart:
            return False
        if self._step_from is not None or self._manner.late != "catch_up":
            return False
        stage = self._stage
        now = stage.timer.seconds()
        late = now - self._started - at
        if late < -EXACT_TO_SECONDS:
            return False
        ahead = self._ahead = next(self._cues, None)
        if ahead is None or ahead[0] <= at + late + EXACT_TO_SECONDS or ahead[0] == inf:
            return False
        self._next, self._ahead = ahead, None
        self._wire.write(act.data)
        if stage.punctuality is not None:
            stage.punctuality.note(late)
            if late > self._late:  # noqa: PLR1730 -- a call that would be made for each event
                self._late = late
        delivery = self._delivery
        if delivery is not None:
            delivery.write(self._started + at, now, len(act.data))
            if delivery.first_token is None and act.token:
                delivery.token_sent(now)
        if not self._halted():
            self._call = stage.timer.at(self._started + ahead[0], self._play)
        return True

    def _play_due(self) -> None:
        due: list[bytes] = []
        size = 0
        seconds = self._stage.timer.seconds
        now = seconds() - self._started + EXACT_TO_SECONDS
        while not (self._ended or self._paused):
            cue = self._next or self._drawn()
            if cue is None:
                self._run_out()
                return
            at, act = cue
            if at > now:
                self._next = cue
                self._flush(due)
                now = seconds() - self._started + EXACT_TO_SECONDS
                if at > now and (self._step_from is None or not self._hurried(at)):
                    self._wait(at)
                    return
                now = max(now, at)
                continue
            if at > 0.0:
                now = self._timed(at, act, now)
            if type(act) is Write and not act.apart:
                self._next = None
                if not act.token or self._manner.late != "drop" or self._is_in_time(at, now):
                    self._due_at = self._due_at if due else at
                    due.append(act.data)
                    self._is_token_due = self._is_token_due or act.token
                    size += len(act.data)
                if self._step_from is not None and self._has_stepped(due):
                    return
                if size >= WRITE_AT_MOST:
                    self._flush(due)
                    self._turn()
                    return
                continue
            self._next = cue
            self._flush(due)
            if self._halted():
                return  # the write was one too many for the client; the act keeps its turn
            self._next = None
            if self._act(at, act):
                return
            now = max(now, seconds() - self._started + EXACT_TO_SECONDS)

    def _drawn(self) -> Cue | None:
        """The next cue, which may have been looked at before."""
        ahead, self._ahead = self._ahead, None
        return ahead or next(self._cues, None)

    def _run_out(self) -> None:
        """There is nothing left to play."""
        if not self._gone:
            raise RuntimeError("a timeline ended without an end")
        self._end()

    def _halted(self) -> bool:
        return self._ended or self._paused

    def _timed(self, at: float, act: Act, now: float) -> float:
        """Note how late an act is; what time it is for the answer, once it is dealt with."""
        late = now - EXACT_TO_SECONDS - at
        punctuality = self._stage.punctuality
        if self._behind_client or punctuality is None or self._step_from is not None:
            return now
        if type(act) is not Nothing:
            punctuality.note(late)
            if late > self._late:  # noqa: PLR1730 -- a call that would be made for each event
                self._late = late
        if self._manner.late == "slip" and late > EXACT_TO_SECONDS:
            self._started += late
            return at + EXACT_TO_SECONDS
        return now

    def _is_in_time(self, at: float, now: float) -> bool:
        return self._behind_client or now - at <= DROPPED_AFTER_SECONDS

    def _act(self, at: float, act: Act) -> bool:
        """Do what is no plain write; whether to play no more for now."""
        match act:
            case Nothing():
                pass
            case Write(data):
                self._is_head_due = False
                self._wire.write(data)
                self._note_write(at, len(data), 1, token=act.token)
                if self._step_from is not None and self._has_stepped([]):
                    return True
                self._turn()
                return True
            case Head():
                self._head(at, act)
            case Finish():
                self._note_end("finished")
                self._wire.unregister()
                self._wire.finish(self._told_late())
                self.stop()  # a connection may be gone, and say so, as soon as it is ended
            case Hold(name):
                return self._holds(self._stage.gates.gate(name, self._manner.session))
            case Raw(data, apart):
                self._send_head()
                self._wire.raw(data)
                self._note_write(at, len(data), 0, token=False)
                if apart:
                    self._turn()
                    return True
            case Close() | Abort():
                self._send_head()
                self._note_end("closed" if isinstance(act, Close) else "reset")
                self._cut(self._wire.close if isinstance(act, Close) else self._wire.abort)
            case Await(ready, wait):
                return self._awaits(at, act, ready, wait)
            case _:
                self._beside(act)
        return False

    def _beside(self, act: Act) -> None:
        """Do what is not about the answer itself."""
        match act:
            case Shut(shut_for, refused, connections):
                self._wire.shut(shut_for, refused=refused, connections=connections)
            case Keep() | Amend():
                self._stage.keep(act)
            case Ask():
                self._stage.ask(act)

    def _head(self, at: float, head: Head) -> None:
        headers = (*head.headers, *self._manner.headers, *self._told_late())
        if self._delivery is not None:
            self._delivery.head(head.status)
        if head.over <= 0.0:
            self._wire.head(head.status, headers)
            self._is_head_due = True
            return
        data = self._wire.head_bytes(head.status, headers)
        size = -(-len(data) // _PIECES_OF_A_HEAD) or 1
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        step = head.over / max(1, len(pieces) - 1)
        trickle = [(at + step * i, Raw(piece, apart=True)) for i, piece in enumerate(pieces)]
        self._cues = chain(trickle, self._cues)

    def _told_late(self) -> Headers:
        return ((LATE_HEADER, f"{self._late:.3f}"),) if self._late > LATE_SECONDS else ()

    def _holds(self, gate: Gate) -> bool:
        """Stand at a gate; whether it still does, and was not let through at once."""
        self._next = next(self._cues, None)  # whose time it is when it goes on
        return self._stands(gate)

    def _stands(self, gate: Gate) -> bool:
        if self._manner.head_at_once:
            self._send_head()
        if not self._ended:
            self._gate = gate
            gate.arrive(self)
        return self._gate is not None

    def _has_stepped(self, due: list[bytes]) -> bool:
        """Count a chunk that was let through; whether it was the last, and it waits again."""
        self._left -= 1
        gate = self._step_from
        if self._left > 0 or gate is None:
            return False
        self._step_from = None
        self._next = next(self._cues, None)
        if self._next is not None and type(self._next[1]) is Finish:
            return False  # there is nothing left to hold back
        self._flush(due)
        return self._stands(gate)

    def _hurried(self, at: float) -> bool:
        """Whether what comes next goes at once, as a gate lets it; all else comes earlier too."""
        if self._step_from is None or isinf(at):
            return False
        self._started = self._stage.timer.seconds() - at
        return True

    def _wait(self, at: float) -> None:
        self._behind_client = False
        if self._is_head_due and self._manner.head_at_once:
            self._send_head()
        if at != inf and not (self._ended or self._paused):
            self._call = self._stage.timer.at(self._started + at, self._play)

    def _turn(self) -> None:
        """Go on in the reactor's next turn."""
        if not (self._ended or self._paused):
            self._call = self._stage.timer.at(self._stage.timer.seconds(), self._play)

    def _send_head(self) -> None:
        """Send a head that would wait for the body, now."""
        if self._is_head_due:
            self._is_head_due = False
            if not self._ended:
                self._wire.flush()
                if self._delivery is not None:
                    self._delivery.head_sent(self._stage.timer.seconds())

    def _flush(self, due: list[bytes]) -> None:
        if due:
            self._is_head_due = False
            chunks = len(due)
            data = b"".join(due) if chunks > 1 else due[0]
            due.clear()
            self._wire.write(data)
            self._note_write(self._due_at, len(data), chunks, token=self._is_token_due)
            self._is_token_due = False

    def _note_write(self, due_at: float, size: int, chunks: int, *, token: bool) -> None:
        if self._delivery is not None:
            now = self._stage.timer.seconds()
            self._delivery.write(self._started + due_at, now, size, chunks)
            if token:
                self._delivery.token_sent(now)

    def _note_end(self, how: Ended) -> None:
        if self._delivery is not None:
            self._delivery.ended(how, self._stage.timer.seconds())

    def _unschedule(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            self._stage.timer.cancel(call)

    def _awaits(self, at: float, act: Act, ready: Callable[[], bool], wait: float) -> bool:
        """Stand still until something is so; whether it is not yet."""
        if ready():
            return False
        self._next = at, act
        if self._manner.head_at_once:
            self._send_head()
        if not self._halted():
            self._call = self._stage.timer.at(self._stage.timer.seconds() + wait, self._play)
        return True

    def _cut(self, cut: Callable[[], None]) -> None:
        if not (self._ended or self._gone):
            try:
                self._wire.unregister()
                cut()
            except Exception:  # noqa: BLE001 -- whatever broke, nobody may wait for this answer
                self._log.failure("A connection could not be broken off.")
            self.stop()  # a connection may be gone, and say so, as soon as it is broken off

    def _end(self) -> None:
        self._ended = True
        self._unschedule()
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.leave(self)
        close = getattr(self._cues, "close", None)
        if close is not None:
            try:
                close()
            except Exception:  # noqa: BLE001 -- whatever broke, nobody may wait for this answer
                self._log.failure("A timeline could not be closed.")
        self._cues = iter(())
        self._next = self._ahead = None
        self.done.callback(None)
