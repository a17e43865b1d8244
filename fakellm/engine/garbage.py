"""Keeping Python's garbage collector out of the way of streams, in a process that is the server's.

Thousands of open streams are a million objects. A full collection looks at all of them and takes
a good part of a second, in which nobody is served; it is made when nobody is being served instead.
It is for who owns the process: what embeds a server keeps its own settings.
"""

import gc
from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

LOOK_EVERY_SECONDS = 10.0
THRESHOLDS = (1_000, 10, 10_000)
"""So that the young and the middle-aged are looked at in a millisecond, the old hardly ever."""


class _Collector:
    """The process's collector, which all servers in it share."""

    def __init__(self) -> None:
        self._running: list[Callable[[], int]] = []
        self._before = gc.get_threshold()
        self._seen = 0

    def begin(self, running: Callable[[], int]) -> None:
        """Leave alone what there is by now, and full collections to `look`."""
        if not self._running:
            self._before = gc.get_threshold()
        self._running.append(running)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*THRESHOLDS)

    def end(self, running: Callable[[], int]) -> None:
        """Leave all as it was, if that was the last."""
        self._running.remove(running)
        if not self._running:
            gc.set_threshold(*self._before)
            gc.unfreeze()

    def look(self) -> None:
        """Collect in full, if nobody is being served and there may be something to collect."""
        if _collections() != self._seen and not any(running() for running in self._running):
            gc.collect()
            self._seen = _collections()


def _collections() -> int:
    """How often the middle-aged have been looked at, which garbage is not made without."""
    made: int = gc.get_stats()[1]["collections"]
    return made


_COLLECTOR = _Collector()


class Tidying(Service):
    """Sees to garbage while it runs; several may run in one process.

    Args:
        clock: real time.
        running: says how many answers are under way.
    """

    def __init__(self, clock: IReactorTime, running: Callable[[], int]) -> None:
        self._running = running
        self._looking = LoopingCall(_COLLECTOR.look)
        self._looking.clock = clock

    def startService(self) -> None:  # noqa: N802 -- IService's name
        """See `IService`; nothing happens to what is started already."""
        if self._looking.running:
            return
        Service.startService(self)
        _COLLECTOR.begin(self._running)
        self._looking.start(LOOK_EVERY_SECONDS, now=False)

    def stopService(self) -> None:  # noqa: N802 -- IService's name
        """See `IService`; nothing happens to what is stopped already."""
        if not self._looking.running:
            return
        Service.stopService(self)
        self._looking.stop()
        _COLLECTOR.end(self._running)
