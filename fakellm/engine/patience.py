"""Waiting, but not for ever."""

from collections.abc import Callable

from twisted.internet.defer import Deferred, TimeoutError  # noqa: A004 -- Twisted's name
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater


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


async def in_time(ended: Deferred[None], clock: IReactorTime, seconds: float) -> bool:
    """Wait for something to end, but no longer than so many seconds; whether it did."""
    try:
        await ended.addTimeout(seconds, clock)
    except TimeoutError:
        return False
    return True


async def turns(reactor: IReactorTime, count: int) -> None:
    """Let a running reactor turn so many times; in each it writes what can be written."""
    for _ in range(count):
        await deferLater(reactor, 0)
