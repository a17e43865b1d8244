"""Waiting, but not for ever."""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime


async def wait(
    ended: Deferred[None], clock: IReactorTime, seconds: float, give_up: Callable[[], None]
) -> None:
    """Wait for something to end; after a while, make it.

    Args:
        ended: fires when it has ended.
        clock: whose seconds.
        seconds: to wait before giving up.
        give_up: ends it, so that ``ended`` fires.
    """
    call = clock.callLater(seconds, give_up)
    try:
        await ended
    finally:
        if call.active():
            call.cancel()
