"""Noticing what was to have happened by now: one delayed call for any number of things.

They are looked at once a second, so that what is in time, as nearly all is, costs nothing but a
number that is set. It is for limits of many seconds, in real time.
"""

from math import inf
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

LOOK_EVERY_SECONDS = 1.0
NEVER = inf


class Watched(Protocol):
    """Something with a time limit.

    Attributes:
        due: when it is over, in seconds of the clock; `NEVER` while there is none.
    """

    due: float

    def overdue(self) -> None:
        """Its time is over; it may set another."""


class Overdue:
    """Tells things that their time is over, up to a second late.

    Args:
        clock: real time.

    Attributes:
        seconds: gives the clock's time.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._log = Logger()
        self._clock = clock
        self._watched: dict[Watched, None] = {}
        self._call: IDelayedCall | None = None
        self.seconds = clock.seconds

    def watch(self, thing: Watched) -> None:
        """Look at its time from now on."""
        self._watched[thing] = None
        if self._call is None:
            self._call = self._clock.callLater(LOOK_EVERY_SECONDS, self._look)

    def forget(self, thing: Watched) -> None:
        """Look at it no more; without any, no call is left in the reactor."""
        self._watched.pop(thing, None)
        if not self._watched and self._call is not None:
            self._call.cancel()
            self._call = None

    def _look(self) -> None:
        self._call = self._clock.callLater(LOOK_EVERY_SECONDS, self._look)
        now = self.seconds()
        for thing in [each for each in self._watched if each.due <= now]:
            try:
                thing.overdue()
            except Exception:  # noqa: BLE001 -- whatever broke, the others have their times
                self._log.failure("A time limit could not be kept.")
