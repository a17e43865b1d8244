"""Waiting for what was written to reach its client, before a connection is broken off."""

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

LOOK_EVERY_SECONDS = 0.001
GIVE_UP_AFTER_SECONDS = 5.0
"""A client that does not read holds a connection no longer than this."""


class Lingering:
    """Does things once something else is so, in real time.

    Args:
        clock: real time.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: dict[int, tuple[IDelayedCall, Callable[[], None]]] = {}
        self._number = 0

    def until(self, is_so: Callable[[], bool], then: Callable[[], None]) -> None:
        """Do it at once if it is so already, and after a while even if it is not."""
        self._number += 1
        self._look(self._number, self._clock.seconds() + GIVE_UP_AFTER_SECONDS, is_so, then)

    def hurry(self) -> None:
        """Do at once all that has been waited for; no call is left behind."""
        waiting, self._waiting = self._waiting, {}
        for call, then in waiting.values():
            call.cancel()
            then()

    def _look(
        self, number: int, until: float, is_so: Callable[[], bool], then: Callable[[], None]
    ) -> None:
        self._waiting.pop(number, None)
        if is_so() or self._clock.seconds() >= until:
            then()
            return
        call = self._clock.callLater(LOOK_EVERY_SECONDS, self._look, number, until, is_so, then)
        self._waiting[number] = call, then
