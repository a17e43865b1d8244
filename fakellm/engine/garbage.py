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
YOUNG_AT_MOST = 5_000
"""Objects made, less those dropped, before the young ones are looked at: under a millisecond."""

_SELDOM = 500


class Tidying(Service):
    """Sees to garbage while it runs.

    Args:
        clock: real time.
        running: says how many answers are under way.
    """

    def __init__(self, clock: IReactorTime, running: Callable[[], int]) -> None:
        self._running = running
        self._before = gc.get_threshold()
        self._seen = 0
        self._looking = LoopingCall(self.look)
        self._looking.clock = clock

    def startService(self) -> None:  # noqa: N802 -- IService's name
        """Leave alone what there is by now, and full collections to `look`."""
        Service.startService(self)
        self._before = gc.get_threshold()
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_AT_MOST, 20, _SELDOM)
        self._looking.start(LOOK_EVERY_SECONDS, now=False)

    def stopService(self) -> None:  # noqa: N802 -- IService's name
        """Leave all as it was."""
        Service.stopService(self)
        if self._looking.running:
            self._looking.stop()
        gc.set_threshold(*self._before)
        gc.unfreeze()

    def look(self) -> None:
        """Collect in full, if nobody is being served and there may be something to collect."""
        made = gc.get_stats()[1]["collections"]
        if made != self._seen and not self._running():
            gc.collect()
            self._seen = gc.get_stats()[1]["collections"]
