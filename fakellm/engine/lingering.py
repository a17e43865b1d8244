"""Waiting for what was written to reach its client, before a connection is broken off.

It is looked for soon and then ever more seldom, so that thousands that wait at once cost little.
"""

from collections.abc import Callable

from msgspec import Struct
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

LOOK_AFTER_SECONDS = 0.001
"""The first time; after twice as long the next, and so on."""
LOOK_EVERY_SECONDS = 0.05
"""No more seldom than that."""
GIVE_UP_AFTER_SECONDS = 5.0
"""A client that reads nothing holds a connection no longer than this."""
GIVE_UP_AT_LAST_SECONDS = 60.0
"""A client that reads slowly holds a connection no longer than this."""


class _Wait(Struct, eq=False):
    """Something that is waited for; times are the clock's seconds."""

    left: Callable[[], int]
    then: Callable[[], None]
    least: int
    give_up_at: float
    give_up_at_last: float
    pause: float
    call: IDelayedCall | None = None


class Lingering:
    """Does things once nothing is left of something else, in real time.

    Args:
        clock: real time.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._log = Logger()
        self._clock = clock
        self._waiting: dict[int, _Wait] = {}

    @property
    def waiting(self) -> int:
        """How many are waited for."""
        return len(self._waiting)

    def until(
        self, left: Callable[[], int], then: Callable[[], None], *, at_once: bool = True
    ) -> None:
        """Do something when nothing is left; after a while without progress, even if there is.

        Args:
            left: how much is left, such as bytes that a client has not got.
            then: is called once, now if nothing is left now.
            at_once: false, if what is left can be known no earlier than in the next turns of the
                reactor.
        """
        now = self._clock.seconds()
        much = left()
        if at_once and much <= 0:
            then()
            return
        wait = _Wait(
            left=left,
            then=then,
            least=much,
            give_up_at=now + GIVE_UP_AFTER_SECONDS,
            give_up_at_last=now + GIVE_UP_AT_LAST_SECONDS,
            pause=LOOK_AFTER_SECONDS,
        )
        self._waiting[id(wait)] = wait
        self._pause(wait)

    def hurry(self) -> None:
        """Do at once all that has been waited for; no call is left behind."""
        waiting, self._waiting = self._waiting, {}
        for wait in waiting.values():
            if wait.call is not None and wait.call.active():
                wait.call.cancel()
            self._do(wait)

    def _pause(self, wait: _Wait) -> None:
        wait.call = self._clock.callLater(wait.pause, self._look, wait)
        wait.pause = min(2 * wait.pause, LOOK_EVERY_SECONDS)

    def _look(self, wait: _Wait) -> None:
        now = self._clock.seconds()
        much = wait.left()
        if much < wait.least:
            wait.least = much
            wait.give_up_at = now + GIVE_UP_AFTER_SECONDS
        if much > 0 and now < min(wait.give_up_at, wait.give_up_at_last):
            self._pause(wait)
            return
        self._waiting.pop(id(wait), None)
        self._do(wait)

    def _do(self, wait: _Wait) -> None:
        try:
            wait.then()
        except Exception:  # noqa: BLE001 -- whatever broke, the others are to be done
            self._log.failure("A connection could not be broken off.")
