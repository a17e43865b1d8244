"""``GET /metrics``: the engine's counts as an answer; see `fakellm.metrics`."""

from collections.abc import Iterator
from itertools import repeat

import fakellm
from fakellm.engine.punctuality import EDGES, Histogram
from fakellm.engine.service import Engine
from fakellm.model.timeline import Cue, Finish, Head, Write


def scraped(engine: Engine) -> bytes:
    """The counts of an engine, in Prometheus' text format."""
    # not at the start, as the library takes a while to load
    from fakellm.metrics.exposition import Buckets, State, exposition  # noqa: PLC0415

    def buckets(histogram: Histogram) -> Buckets:
        return Buckets(edges=EDGES, counts=histogram.counts, sum=histogram.sum)

    punctuality = engine.punctuality
    return exposition(
        State(
            tally=engine.tally,
            version=fakellm.__version__,
            running=engine.running,
            queued=engine.queued,
            sessions=len(engine.sessions),
            journal=engine.journal.figures,
            lateness=None if punctuality is None else buckets(punctuality.events),
            lag=None if punctuality is None else buckets(punctuality.lag),
        )
    )


def answer(body: bytes) -> Iterator[Cue]:
    """A whole answer with this text."""
    headers = (
        ("Content-Type", "text/plain; version=0.0.4; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
    )
    return zip(repeat(0.0), (Head(200, headers), Write(body), Finish()), strict=False)
