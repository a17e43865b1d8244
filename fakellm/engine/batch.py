"""Answering together, and then sending together, what comes or is due in one turn of the reactor.

System calls and Python throw each other out of the processor's caches. Where much is to be done at
once, all requests are read first, then all are answered, and then all that there is to send is
sent: that takes a quarter less time than one after the other.
"""

from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

TOGETHER = 64
"""So many at most send together, so that what they were to send is not held back for long."""


class Holding(Protocol):
    """Something that holds back what it has to send."""

    def release(self) -> None:
        """Send it."""


class Dealing(Protocol):
    """Something that something has come for."""

    def deal(self) -> None:
        """Deal with it."""


class Batch:
    """Knows whether to hold back what is to be sent, and who does.

    Attributes:
        is_open: whether to.
    """

    def __init__(self) -> None:
        self._log = Logger()
        self._depth = 0
        self._holding: list[Holding] = []
        self.is_open = False

    def hold(self, thing: Holding) -> None:
        """Release a thing once the batch ends, or there are many."""
        if len(self._holding) >= TOGETHER:
            self._release()
        self._holding.append(thing)

    def __enter__(self) -> None:
        """Begin, or go on with one that has begun."""
        self._depth += 1
        self.is_open = True

    def __exit__(self, *_: object) -> None:
        """End it, if this was its beginning."""
        self._depth -= 1
        if self._depth:
            return
        self.is_open = False
        self._release()

    def _release(self) -> None:
        holding, self._holding = self._holding, []
        for thing in holding:
            try:
                thing.release()
            except Exception:  # noqa: BLE001 -- whatever broke, the others are to send theirs
                self._log.failure("What was to be sent could not be.")


class Turns:
    """Has things deal, once the reactor has looked at all that came.

    Args:
        clock: real time.
        batch: what they then have to send is held back in.
    """

    def __init__(self, clock: IReactorTime, batch: Batch) -> None:
        self._log = Logger()
        self._clock = clock
        self._batch = batch
        self._waiting: list[Dealing] = []

    def add(self, thing: Dealing) -> None:
        """Have a thing deal soon."""
        if not self._waiting:
            self._clock.callLater(0, self._turn)
        self._waiting.append(thing)

    def _turn(self) -> None:
        waiting, self._waiting = self._waiting, []
        with self._batch:
            for thing in waiting:
                try:
                    thing.deal()
                except Exception:  # noqa: BLE001 -- whatever broke, the others are dealt with
                    self._log.failure("What came could not be dealt with.")
