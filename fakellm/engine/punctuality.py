"""Whether a server keeps the pace that is asked of it, so that nobody trusts figures it spoiled.

Only real time can be missed: on a virtual clock there is no lateness.
"""

from bisect import bisect_left
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

EDGES = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0,
    2.0, 5.0, 10.0,
)  # fmt: skip
"""Upper bounds of the histogram's buckets, in seconds; what is over the last has one more."""

LATE_SECONDS = 0.02
"""An event that is so much behind its time is late."""

_WINDOW_SECONDS = 5.0
_LATE_SHARE = 0.01
_LATE_EVENTS = 10


class Histogram:
    """How often which lateness was seen.

    Attributes:
        counts: by bucket.
        sum: of all, in seconds.
        worst: the greatest, in seconds.
    """

    __slots__ = ("counts", "sum", "total", "worst")

    def __init__(self) -> None:
        self.counts = [0] * (len(EDGES) + 1)
        self.sum = 0.0
        self.worst = 0.0
        self.total = 0

    def note(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(EDGES, seconds)] += 1
        self.sum += seconds
        self.total += 1
        if seconds > self.worst:  # noqa: PLR1730 -- a call that would be made for each event
            self.worst = seconds

    def quantile(self, share: float) -> float:
        """A bound, in seconds, that this share of all does not exceed; 0 if there were none."""
        left = share * self.total
        for count, edge in zip(self.counts, EDGES, strict=False):
            left -= count
            if left <= 0:
                return min(edge, self.worst)
        return self.worst

    def told(self) -> dict[str, Any]:
        """The figures, in milliseconds."""
        return {
            "count": self.total,
            "p50_ms": _ms(self.quantile(0.5)),
            "p99_ms": _ms(self.quantile(0.99)),
            "worst_ms": _ms(self.worst),
        }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


class Punctuality:
    """Watches over lateness, and warns once when too much of it comes together.

    Args:
        seconds: gives the time.

    Attributes:
        events: how late events were, against their plan.
        lag: how late the event loop itself was at what it had to do.
        kept: whether the pace is kept at present.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._log = Logger()
        self._seconds = seconds
        self.events = Histogram()
        self.lag = Histogram()
        self.kept = True
        self.warnings = 0
        self._window = seconds()
        self._noted = 0
        self._late = 0
        self._worst = 0.0

    def note(self, late: float) -> None:
        """An event came so many seconds after its time."""
        events = self.events  # `Histogram.note`, without a call for each event
        events.counts[bisect_left(EDGES, late)] += 1
        events.sum += late
        events.total += 1
        if late > events.worst:  # noqa: PLR1730 -- as there
            events.worst = late
        self._noted += 1
        if late > LATE_SECONDS:
            self._late += 1
            self._worst = max(self._worst, late)
            if self.kept and self._late >= _LATE_EVENTS:
                self._judge()
        if not self._noted & 1023:
            self._turn_window()

    def told(self) -> dict[str, Any]:
        """What a client may know of it."""
        self._turn_window()
        return {
            "kept": self.kept,
            "warnings": self.warnings,
            "lateness": self.events.told(),
            "loop_lag": self.lag.told(),
        }

    def _judge(self) -> None:
        self._turn_window()
        if self._late < _LATE_EVENTS or self._late < self._noted * _LATE_SHARE:
            return
        self.kept = False
        self.warnings += 1
        self._log.warn(
            "the server cannot keep the pace it is asked for: {late} of the last {noted} events"
            " were more than {limit:.0f} ms late, the worst {worst:.0f} ms: figures taken now"
            " measure the fake, not its client",
            late=self._late,
            noted=self._noted,
            limit=LATE_SECONDS * 1000,
            worst=self._worst * 1000,
        )

    def _turn_window(self) -> None:
        now = self._seconds()
        if now - self._window < _WINDOW_SECONDS:
            return
        if not self.kept and self._late < max(1, self._noted * _LATE_SHARE):
            self.kept = True
            self._log.info("the server keeps the pace again")
        self._window = now
        self._noted = self._late = 0
        self._worst = 0.0
