"""The counts of a server in Prometheus' text format.

Imported when somebody scrapes, and no sooner, as the library takes its time to load. The registry
is this server's own: the library's global one would tell of every server in the process. Of the
library, the module for Twisted must never be imported: it installs a reactor.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from msgspec import Struct
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from fakellm.journal.records import Figures
from fakellm.metrics.tally import SECONDS, Labels, Spread, Tally


class Buckets(Struct, frozen=True, kw_only=True):
    """A histogram: upper bounds, counts by bucket with one more that is open, the sum of all."""

    edges: Sequence[float]
    counts: Sequence[int]
    sum: float


class State(Struct, frozen=True, kw_only=True):
    """How a server is at the time of a scrape.

    Attributes:
        tally: what was counted; of its lateness, nothing is told where time is virtual.
        version: of fakellm.
        running: answers under way.
        queued: of which so many wait for a slot.
        sessions: that there are.
        journal: how full it is.
        lateness: of events against their plan; ``None`` where time is virtual.
        lag: of the event loop, as well.
    """

    tally: Tally
    version: str
    running: int
    queued: int
    sessions: int
    journal: Figures
    lateness: Buckets | None = None
    lag: Buckets | None = None


def exposition(state: State) -> bytes:
    """All of it, as text."""
    registry = CollectorRegistry()
    registry.register(_Collector(state))
    ProcessCollector(registry=registry)
    text: bytes = generate_latest(registry)
    return text


class _Collector(Collector):
    """What Prometheus' registry asks."""

    def __init__(self, state: State) -> None:
        self._state = state

    def collect(self) -> Iterable[Metric]:
        state, tally = self._state, self._state.tally
        info = GaugeMetricFamily("fakellm_info", "1, with the version.", labels=["version"])
        info.add_metric([state.version], 1)
        yield info
        yield _counter(
            "fakellm_requests",
            "Requests that came in.",
            ["dialect"],
            (((dialect,), count) for dialect, count in tally.requests.items()),
        )
        yield _counter(
            "fakellm_answers",
            "Answers that have ended, by the status that was sent, and by rule.",
            ["dialect", "endpoint", "model", "status", "rule"],
            tally.answers.items(),
        )
        yield _counter(
            "fakellm_answers_ended",
            "Answers that have ended, by who ended them.",
            ["by"],
            (((how,), count) for how, count in tally.ended.items()),
        )
        yield _counter(
            "fakellm_faults",
            "Answers that a fault struck.",
            ["fault"],
            (((name,), count) for name, count in tally.faults.items()),
        )
        yield _counter(
            "fakellm_tokens",
            "Tokens of answers, as clients were told.",
            ["dialect", "model", "kind"],
            tally.tokens.items(),
        )
        yield from self._times(tally)
        yield _gauge("fakellm_running", "Answers under way.", state.running)
        yield _gauge("fakellm_queued", "Requests that wait for a slot.", state.queued)
        yield _gauge("fakellm_sessions", "Sessions that are remembered.", state.sessions)
        yield from _journal(state.journal)

    def _times(self, tally: Tally) -> Iterator[Metric]:
        for name, told, spreads in (
            (
                "fakellm_ttft_seconds",
                "Time from a request to the first token of a stream.",
                tally.ttft,
            ),
            (
                "fakellm_answer_duration_seconds",
                "Time from a request to the end of its answer.",
                tally.duration,
            ),
        ):
            yield _spreads(name, told, spreads)
        if self._state.lateness is not None:
            yield _spreads(
                "fakellm_stream_lateness_seconds",
                "How late the latest write of a stream was, against its plan.",
                tally.lateness,
            )
        for name, told, buckets in (
            (
                "fakellm_event_lateness_seconds",
                "How late events of answers were, against their plan.",
                self._state.lateness,
            ),
            (
                "fakellm_loop_lag_seconds",
                "How late the event loop was at what it had to do.",
                self._state.lag,
            ),
        ):
            if buckets is not None:
                family = HistogramMetricFamily(name, told)
                family.add_metric([], _cumulated(buckets.edges, buckets.counts), buckets.sum)
                yield family


def _journal(figures: Figures) -> Iterator[Metric]:
    yield _gauge("fakellm_journal_entries", "Requests in the journal.", figures.entries)
    yield _gauge("fakellm_journal_bytes", "Memory of the journal, about.", figures.bytes)
    yield _counter(
        "fakellm_journal_dropped",
        "Requests that were dropped from the journal to make room.",
        [],
        [((), figures.dropped)],
    )
    yield _counter(
        "fakellm_journal_unwritten",
        "Requests that could not be written to the journal's file.",
        [],
        [((), figures.unwritten)],
    )


def _counter(
    name: str, told: str, labels: Sequence[str], values: Iterable[tuple[Labels, int]]
) -> Metric:
    family = CounterMetricFamily(name, told, labels=labels)
    for given, value in values:
        family.add_metric(given, value)
    return family


def _gauge(name: str, told: str, value: float) -> Metric:
    return GaugeMetricFamily(name, told, value=value)


def _spreads(name: str, told: str, spreads: dict[Labels, Spread]) -> Metric:
    family = HistogramMetricFamily(name, told, labels=["dialect", "model"])
    for labels, spread in spreads.items():
        family.add_metric(labels, _cumulated(SECONDS, spread.counts), spread.sum)
    return family


def _cumulated(edges: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """Prometheus' buckets: each counts what is in those before it as well."""
    bounds = [*map(str, edges), "+Inf"]
    return list(zip(bounds, accumulate(counts), strict=True))
