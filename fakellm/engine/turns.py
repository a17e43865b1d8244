"""Dealing together with what came in one turn of the reactor.

A system call and a page of Python throw each other out of the processor's caches. Where many
requests come at once, all are read first, then all are answered, and then all answers are sent:
that takes a quarter less time than one after the other.
"""

from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger


class Dealing(Protocol):
    """Something that deals with what came for it."""

    def deal(self) -> None:
        """Deal with it, and hold back what is to be sent."""

    def release(self) -> None:
        """Send that."""


class Turns:
    """Has things deal, once the reactor has looked at all that came.

    Args:
        clock: real time.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._log = Logger()
        self._clock = clock
        self._waiting: list[Dealing] = []

    def add(self, thing: Dealing) -> None:
        """Have a thing deal soon."""
        if not self._waiting:
            self._clock.callLater(0, self._turn)
        self._waiting.append(thing)

    def _turn(self) -> None:
        waiting, self._waiting = self._waiting, []
        for thing in waiting:
            try:
                thing.deal()
            except Exception:  # noqa: BLE001 -- whatever broke, the others are dealt with
                self._log.failure("What came could not be dealt with.")
        for thing in waiting:
            try:
                thing.release()
            except Exception:  # noqa: BLE001 -- as above
                self._log.failure("What was to be sent could not be.")
