"""Playing a timeline to a client.

The only code that schedules. It holds at most one delayed call, plays every cue that is due in one
write, stands still while the client does not read, and leaves nothing behind when the client goes.
"""

from collections.abc import Iterator

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from fakellm.interfaces import IWire
from fakellm.model.timeline import Await, Cue, Finish, Head, Nothing, Write

WRITE_AT_MOST = 64 * 1024
"""Bytes gathered into one write; after as many the reactor gets a turn."""


@implementer(IPushProducer)
class Player:
    """Plays one answer.

    Args:
        clock: whose seconds the cues' times are on.
        wire: where to.
        cues: when and what, in order of time; drawn no earlier than needed.
        lasting: draw the cues to their end, though the client has gone or the answer is sent.

    Attributes:
        done: fires with ``None`` when the answer has been sent, broken off, or given up with
            `stop`. Cancelling it is `stop`.
    """

    def __init__(
        self, clock: IReactorTime, wire: IWire, cues: Iterator[Cue], *, lasting: bool = False
    ) -> None:
        self._log = Logger()
        self._clock = clock
        self._wire = wire
        self._cues = cues
        self._started = clock.seconds()
        self._next: Cue | None = None
        self._call: IDelayedCall | None = None
        self._paused = False
        self._playing = False
        self._ended = False
        self._lasting = lasting
        self._gone = False
        self.done: Deferred[None] = Deferred(lambda _: self.stop())

    def start(self) -> None:
        """Play what is due now, and the rest when it is."""
        self._wire.register(self)
        self._play()

    def stop(self) -> None:
        """Play no more: the client has gone, or need not be told."""
        if self._ended:
            return
        if not self._lasting:
            self._end()
        elif not self._gone:
            self._gone = True
            self._paused = False
            if not self._playing:
                self._play()

    def abort(self) -> None:
        """Break the connection off in the middle of the answer."""
        self._lasting = False
        if not self._ended:
            try:
                if not self._gone:
                    self._wire.unregister()
                    self._wire.abort()
            except Exception:  # noqa: BLE001 -- whatever broke, nobody may wait for this answer
                self._log.failure("A connection could not be broken off.")
            self.stop()  # a connection may be gone, and say so, as soon as it is broken off

    def pauseProducing(self) -> None:  # noqa: N802 -- IPushProducer's name
        """The client does not read: play nothing."""
        self._paused = True
        self._unschedule()

    def resumeProducing(self) -> None:  # noqa: N802 -- IPushProducer's name
        """The client reads again: play what has become due."""
        self._paused = False
        if not self._playing:
            self._play()

    def stopProducing(self) -> None:  # noqa: N802 -- IPushProducer's name
        """The client has gone."""
        self.stop()

    def _play(self) -> None:
        self._unschedule()
        self._playing = True
        try:
            self._play_due()
        except Exception:  # noqa: BLE001 -- whatever broke, the client must not hang
            self._log.failure("An answer broke off.")
            self.abort()
        finally:
            self._playing = False

    def _play_due(self) -> None:
        due: list[bytes] = []
        size = 0
        while not self._halted():
            cue = self._next or next(self._cues, None)
            if cue is None:
                if self._gone:
                    self._end()
                    return
                raise RuntimeError("a timeline ended without an end")
            self._next = cue
            at, act = cue
            wait = at - (self._clock.seconds() - self._started) if at else 0.0
            if wait > 0:
                self._flush(due)
                self._schedule(wait)
                return
            if isinstance(act, Await) and not act.ready():
                self._flush(due)
                self._schedule(act.seconds)
                return
            if self._gone or isinstance(act, Await | Nothing):
                self._next = None
                continue
            if isinstance(act, Write):
                due.append(act.data)
                size += len(act.data)
                self._next = None
                if size >= WRITE_AT_MOST:
                    self._flush(due)
                    self._schedule(0)
                    return
                continue
            self._flush(due)
            if self._halted():
                return  # the write was one too many for the client; the act keeps its turn
            self._next = None
            match act:
                case Head(status, headers):
                    self._wire.head(status, headers)
                case Finish():
                    self._wire.unregister()
                    self._wire.finish()
                    self.stop()  # as in `abort`
                case _:
                    self.abort()

    def _halted(self) -> bool:
        return self._ended or self._paused

    def _flush(self, due: list[bytes]) -> None:
        if due:
            data = b"".join(due) if len(due) > 1 else due[0]
            due.clear()
            self._wire.write(data)

    def _schedule(self, wait: float) -> None:
        if not self._halted():
            self._call = self._clock.callLater(wait, self._wake)

    def _wake(self) -> None:
        self._call = None
        self._play()

    def _unschedule(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _end(self) -> None:
        self._ended = True
        self._unschedule()
        close = getattr(self._cues, "close", None)
        if close is not None:
            try:
                close()
            except Exception:  # noqa: BLE001 -- whatever broke, nobody may wait for this answer
                self._log.failure("A timeline could not be closed.")
        self._cues = iter(())
        self._next = None
        self.done.callback(None)
