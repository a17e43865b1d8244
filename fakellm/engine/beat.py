"""Doing something again and again, in real time, until told to stop."""

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall


def beat(reactor: IReactorTime, seconds: float, do: Callable[[], object]) -> Callable[[], None]:
    """Do something every so many seconds, the first time after as many.

    Returns:
        What stops it; once it was stopped, stopping changes nothing.
    """
    loop = LoopingCall(do)
    loop.clock = reactor
    loop.start(seconds, now=False)

    def stop() -> None:
        if loop.running:
            loop.stop()

    return stop
