"""One timer for all answers of a server: a heap of times, and one delayed call of the clock's.

Thousands of streams cost the reactor one call, and an answer that ends leaves none behind.
"""

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from fakellm.engine.alarm import make_alarm
from fakellm.engine.batch import Batch

EXACT_TO_SECONDS = 1e-6
"""What is due within this is due now: times since 1970, as floats, are not exact to less."""

_DEAD_AT_MOST = 1000
"""Cancelled calls that are kept before the heap is made anew."""


class Call:
    """Something to be called at a time."""

    __slots__ = ("function", "in_heap", "when")

    def __init__(self, when: float, function: Callable[[], None]) -> None:
        self.when = when
        self.function: Callable[[], None] | None = function  # none: cancelled, or called
        self.in_heap = True


class Timer:
    """Calls back at times of a clock.

    Args:
        clock: whose time.
        lagged: is told, in seconds, how late each delayed call of the clock's was.
        batch: what is called at one time sends together.

    Attributes:
        seconds: gives the clock's time.
    """

    def __init__(
        self,
        clock: IReactorTime,
        lagged: Callable[[float], None] | None = None,
        batch: Batch | None = None,
    ) -> None:
        self._log = Logger()
        self._batch = Batch() if batch is None else batch
        self.seconds: Callable[[], float] = clock.seconds
        self._lagged = lagged
        self._heap: list[tuple[float, int, Call]] = []
        self._numbers = count()
        self._dead = 0
        self._alarm = make_alarm(clock, self._tick)
        self._is_set = False
        self._is_ticking = False  # what is asked for meanwhile is looked at in the end
        self._at = 0.0  # when it rings

    @property
    def pending(self) -> int:
        """How many calls are to come."""
        return len(self._heap) - self._dead

    def at(self, when: float, function: Callable[[], None]) -> Call:
        """Call a function at a time; one that has passed is the reactor's next turn."""
        call = Call(when, function)
        heappush(self._heap, (when, next(self._numbers), call))
        if not self._is_ticking and (not self._is_set or when < self._at):
            self._schedule(when)
        return call

    def cancel(self, call: Call) -> None:
        """Do not call; nothing happens if it has been, or was cancelled."""
        if call.function is None:
            return
        call.function = None
        if not call.in_heap:
            return  # it is among those that are being called
        self._dead += 1
        if self._dead == len(self._heap):
            self._heap.clear()
            self._dead = 0
            self._is_set = False
            self._alarm.clear()
        elif self._heap[0][2] is call:
            self._drop_dead()
            if self._is_set:
                self._schedule(self._heap[0][0])
        elif self._dead > _DEAD_AT_MOST and self._dead * 2 > len(self._heap):
            self._heap = [each for each in self._heap if each[2].function is not None]
            heapify(self._heap)
            self._dead = 0

    def _drop_dead(self) -> None:
        while self._heap and self._heap[0][2].function is None:
            heappop(self._heap)
            self._dead -= 1

    def _schedule(self, when: float) -> None:
        self._at = when
        self._is_set = True
        self._alarm.set(max(0.0, when - self.seconds()))

    def _tick(self) -> None:
        self._is_set = False
        now = self.seconds()
        if self._lagged is not None:
            self._lagged(now - self._at)
        self._is_ticking = True
        with self._batch:
            for call in self._due(now + EXACT_TO_SECONDS):
                function, call.function = call.function, None
                if function is None:
                    continue  # cancelled by one that was called before it
                try:
                    function()
                except Exception:  # noqa: BLE001 -- whatever broke, the others are to be called
                    self._log.failure("A delayed call failed.")
        self._is_ticking = False
        self._drop_dead()
        if self._heap:
            self._schedule(self._heap[0][0])

    def _due(self, now: float) -> list[Call]:
        """What is due, taken out of the heap; what is asked for meanwhile has to wait its turn."""
        heap = self._heap
        due: list[Call] = []
        while heap and heap[0][0] <= now:
            call = heappop(heap)[2]
            call.in_heap = False
            if call.function is None:
                self._dead -= 1
            else:
                due.append(call)
        return due
