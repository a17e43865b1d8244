"""How many answers run at once: slots, and a queue in order of arrival for the rest.

What an answer's pace has to know of it is settled when it gets its slot.
"""

from collections import OrderedDict
from collections.abc import Callable

from twisted.internet.defer import Deferred

from fakellm.timing.conduct import LoadSpec

DEFAULT_FULL_STATUS = 503


class Place:
    """An answer's place: in the queue, then in a slot.

    Attributes:
        position: in the queue when it came, from 1 on; 0 if it had not to wait.
        waited: seconds in the queue.
        slowdown: what its TTFT and ITL are multiplied by.
        granted: fires when it has its slot; cancelling it is `leave`.
    """

    def __init__(self, admission: "Admission", came: float) -> None:
        self._admission = admission
        self._came = came
        self._has_slot = False
        self.position = 0
        self.waited = 0.0
        self.slowdown = 1.0
        self.granted: Deferred[None] = Deferred(lambda _: self.leave())

    @property
    def has_slot(self) -> bool:
        """Whether it need not wait any more."""
        return self._has_slot

    def waiting_since(self, now: float) -> float:
        """For how many seconds it has been here."""
        return now - self._came

    def grant(self, now: float, slowdown: float) -> None:
        """Give it a slot."""
        self._has_slot = True
        self.waited = now - self._came
        self.slowdown = slowdown
        self.granted.callback(None)

    def leave(self) -> None:
        """Give the slot back, or the place in the queue; once is enough."""
        self._admission.leave(self)


class Admission:
    """The slots of a server.

    Args:
        seconds: gives the time.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._load = LoadSpec()
        self._running: set[Place] = set()
        self._queue: OrderedDict[Place, None] = OrderedDict()
        self._filling = False

    @property
    def running(self) -> int:
        """How many have a slot."""
        return len(self._running)

    @property
    def queued(self) -> int:
        """How many wait for one."""
        return len(self._queue)

    @property
    def longest_wait(self) -> float:
        """For how many seconds the first in the queue has waited."""
        return next((place.waiting_since(self._seconds()) for place in self._queue), 0.0)

    def follow(self, load: LoadSpec) -> None:
        """Have other slots from now on; those in force stay in theirs."""
        if load is not self._load:
            self._load = load
            self._fill()

    def refusal(self) -> int | None:
        """The status to refuse another answer with, if there is no room for it."""
        load = self._load
        if load.slots is None or load.queue is None:
            return None
        if len(self._running) < load.slots or len(self._queue) < load.queue:
            return None
        return load.full or DEFAULT_FULL_STATUS

    def enter(self) -> Place:
        """A place for another answer."""
        place = Place(self, self._seconds())
        self._queue[place] = None
        self._fill()
        if not place.has_slot:
            place.position = len(self._queue)
        return place

    def leave(self, place: Place) -> None:
        """See `Place.leave`."""
        if place in self._queue:
            del self._queue[place]
        elif place in self._running:
            self._running.remove(place)
            self._fill()

    def _fill(self) -> None:
        if self._filling:
            return  # an answer that has ended within `grant`: the loop below goes on
        self._filling = True
        try:
            while self._queue and self._has_room():
                place, _ = self._queue.popitem(last=False)
                self._running.add(place)
                place.grant(self._seconds(), self._slowdown())
        finally:
            self._filling = False

    def _has_room(self) -> bool:
        slots = self._load.slots
        return slots is None or len(self._running) < slots

    def _slowdown(self) -> float:
        """In proportion to how many of the other slots are busy."""
        slots, most = self._load.slots, self._load.slowdown
        if slots is None or most is None:
            return 1.0
        busy = (len(self._running) - 1) / (slots - 1) if slots > 1 else 1.0
        return 1.0 + (most - 1.0) * busy
