"""How fast the server is beside others: run ``python -m benchmarks.peers --aimock PATH``.

fakellm, with its journal, its metrics and ten rules, by both of its HTTP fronts, and each peer that
is installed are started in turn, a process for each case, pinned to one core; the load comes from
another. JSON answers are asked for by ``wrk`` where there is one, all else by a client of ours,
which checks every answer after the run. Rounds are interleaved; figures are medians over them, and
ratios are medians of each round's ratio.

Status 0: every answer was right, whatever the figures are; 1: some were not, or were lost;
2: with ``--strict``, some figure misses its bar.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import NamedTuple

from benchmarks.answers import WrongAnswer
from benchmarks.measures import Rate, Start, json_rate, one_at_a_time, start, stream_rate
from benchmarks.peer_servers import (
    AIMOCK,
    FAST,
    HELLO,
    NODE,
    TWISTED,
    Said,
    Server,
    installed,
    long,
)
from benchmarks.server_process import Process

_EVENTS = 200
_WARM_SECONDS = 1.0
_LATENCY_REQUESTS = 2000
_BUSY = 0.9
"""The share of a processor's time above which the client may have been the bottleneck."""
_JSON, _STREAMS = "JSON answers", "streams of hello world"
_EVENTS_OF = f"events of {_EVENTS}-token streams"
RATES = (_JSON, _STREAMS, _EVENTS_OF)
_LATENCY, _LISTENS, _ANSWERS, _MEMORY = "latency", "start", "first answer", "memory"


class Bar(NamedTuple):
    """What the server shall be: so many times another, or no more than so much.

    Attributes:
        figure: which figure.
        least: how many times that of the ``peer`` it is at least.
        peer: the other.
        most: what it is at most, in the unit of the figure.
    """

    figure: str
    least: float = 0.0
    peer: str = ""
    most: float = 0.0


BARS = (
    *(Bar(case, 3.0, AIMOCK) for case in RATES),
    Bar(_JSON, 0.6, NODE),
    *(Bar(case, 1.0, TWISTED) for case in RATES),
    Bar(_LATENCY, most=0.5e-3),
    Bar(_LISTENS, most=0.6),
    Bar(_MEMORY, most=80e6),
)
_SCALES = {
    _LATENCY: (1e3, ",.3f", "ms"),
    _LISTENS: (1, ".2f", "s"),
    _ANSWERS: (1, ".2f", "s"),
    _MEMORY: (1e-6, ",.1f", "MB"),
}

Key = tuple[str, str]
Line = tuple[str, ...]


class Figures:
    """What was measured, by figure and server, a value a round."""

    def __init__(self) -> None:
        self.rates: dict[Key, list[Rate]] = {}
        self.alone: dict[Key, list[float]] = {}

    def add_rate(self, case: str, server: str, rate: Rate) -> None:
        """A rate of a round."""
        self.rates.setdefault((case, server), []).append(rate)

    def add_alone(self, server: str, latency: float, found: Start) -> None:
        """The latency and the start of a round."""
        named = zip((_LATENCY, _LISTENS, _ANSWERS, _MEMORY), (latency, *found), strict=True)
        for figure, value in named:
            self.alone.setdefault((figure, server), []).append(value)

    def ratio(self, case: str, peer: str, column: int = 0) -> float | None:
        """The median of the ratios to a peer; ``None`` where there is none."""
        ours, theirs = self.rates.get((case, FAST)), self.rates.get((case, peer))
        if not ours or not theirs:
            return None
        return median(one[column] / two[column] for one, two in zip(ours, theirs, strict=False))

    def rate_lines(self) -> list[Line]:
        """A table of the rates."""
        lines: list[Line] = [
            ("case", "server", "a second", "from", "to", "a CPU second", "client busy")
        ]
        for (case, server), rates in self.rates.items():
            seconds = [rate.each_second for rate in rates]
            busy = median(rate.client for rate in rates)
            figures = (median(seconds), min(seconds), max(seconds))
            cpu = median(rate.each_cpu_second for rate in rates)
            doubt = " (bottleneck?)" if busy > _BUSY else ""
            numbers = (f"{number:,.0f}" for number in (*figures, cpu))
            lines.append((case, server, *numbers, f"{busy:.0%}{doubt}"))
        return lines

    def alone_lines(self) -> list[Line]:
        """A table of what is no rate."""
        lines: list[Line] = [("figure", "server", "median", "from", "to")]
        for (figure, server), values in sorted(
            self.alone.items(), key=lambda item: list(_SCALES).index(item[0][0])
        ):
            numbers = (shown(figure, each) for each in (median(values), min(values), max(values)))
            lines.append((figure, server, *numbers))
        return lines

    def bar_lines(self) -> list[Line]:
        """A table of the bars, for which there are figures, and whether each is met."""
        lines: list[Line] = [("bar", "asked", "measured", "by CPU time", "verdict")]
        for bar in BARS:
            if bar.peer:
                value = self.ratio(bar.figure, bar.peer)
                if value is None:
                    continue
                cpu = self.ratio(bar.figure, bar.peer, 1) or 0.0
                verdict = "met" if value >= bar.least else f"missed by {1 - value / bar.least:.0%}"
                lines.append(
                    (
                        f"{bar.figure} / {bar.peer}",
                        f">= {bar.least} x",
                        f"{value:.2f} x",
                        f"{cpu:.2f} x",
                        verdict,
                    )
                )
            elif values := self.alone.get((bar.figure, FAST)):
                value = median(values)
                missed = f"missed by {value / bar.most - 1:.0%}"
                verdict = "met" if value <= bar.most else missed
                limit = f"<= {shown(bar.figure, bar.most)}"
                lines.append((bar.figure, limit, shown(bar.figure, value), "", verdict))
        return lines


def shown(figure: str, value: float) -> str:
    """A value with its unit."""
    scale, form, unit = _SCALES[figure]
    return f"{value * scale:{form}} {unit}"


def text_table(lines: Sequence[Line]) -> str:
    """Lines, of which the first is the head, for a terminal."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        + "\n"
        for line in lines
    )


def markdown_table(lines: Sequence[Line]) -> str:
    """The same, for a page."""
    rows = [lines[0], ("---",) * len(lines[0]), *lines[1:]]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


class Comparison:
    """Measures the servers, round by round.

    Args:
        args: the command line.
        servers: what to compare.
    """

    def __init__(self, args: argparse.Namespace, servers: Sequence[Server]) -> None:
        self.args = args
        self.servers = servers
        self.figures = Figures()
        self.wrong: list[str] = []
        self.with_wrk = shutil.which("wrk") is not None and not args.no_wrk
        cores = sorted(os.sched_getaffinity(0))
        self._core = cores[0] if len(cores) > 1 else None
        self._cores = set(cores[1:]) or set(cores)

    def run(self, tell: Callable[[str], None] = lambda _: None) -> None:
        """Measure all of it, so that what is compared is measured one right after the other.

        Args:
            tell: is told how far it is.
        """
        many = long(_EVENTS)
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self._cores)
        try:
            for number in range(self.args.rounds):
                tell(f"round {number + 1} of {self.args.rounds}\n")
                for case, said in zip(RATES, (HELLO, HELLO, many), strict=True):
                    for server in self.servers:
                        self._try(case, server, partial(self._rate, case, server, said))
                for server in self.servers:
                    self._try("one at a time", server, partial(self._alone, server))
        finally:
            os.sched_setaffinity(0, before)

    def _try(self, case: str, server: Server, measure: Callable[[], None]) -> None:
        try:
            measure()
        except (WrongAnswer, OSError) as error:
            self.wrong.append(f"{case}, {server.name}: {error}")

    def _rate(self, case: str, server: Server, said: Said) -> None:
        def rate(process: Process, seconds: float) -> Rate:
            if case == _JSON:
                return json_rate(process, said, seconds, with_wrk=self.with_wrk)
            pieces = server.pieces(said)
            return stream_rate(process, said, pieces, seconds, events=case == _EVENTS_OF)

        with server.started(said, self._core) as process:
            rate(process, self.args.warm)
            measured = rate(process, self.args.seconds)
        self.figures.add_rate(case, server.name, measured)

    def _alone(self, server: Server) -> None:
        with server.started(HELLO, self._core) as process:
            one_at_a_time(process, HELLO, max(self.args.requests // 10, 1))
            latency = one_at_a_time(process, HELLO, self.args.requests)[0]
        found = start(server, HELLO, self._core)
        self.figures.add_alone(server.name, latency, found)


@contextmanager
def bytecode_kept() -> Iterator[None]:
    """Let Python keep the bytecode of modules, as it does of what is installed.

    Where it is told not to, each start would measure the compiler. It is kept aside, and thrown
    away at the end.
    """
    if not sys.dont_write_bytecode:
        yield
        return
    told = os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        try:
            yield
        finally:
            del os.environ["PYTHONPYCACHEPREFIX"]
            if told is not None:
                os.environ["PYTHONDONTWRITEBYTECODE"] = told


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--aimock", metavar="PATH", help="aimock's command llmock, if it is not on the path")
    add("--rounds", type=int, default=5, metavar="N", help="so many of each (5)")
    add("--seconds", type=float, default=4.0, metavar="S", help="of load in a case (4)")
    add("--warm", type=float, default=_WARM_SECONDS, metavar="S", help="of load before it (1)")
    add(
        "--requests",
        type=int,
        default=_LATENCY_REQUESTS,
        metavar="N",
        help=f"one at a time, for the latency ({_LATENCY_REQUESTS})",
    )
    add("--no-wrk", action="store_true", help="ask for JSON by our own client as well")
    add("--markdown", action="store_true", help="print the tables for a page")
    add("--strict", action="store_true", help="fail if a figure misses its bar")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and give its status."""
    args = parser().parse_args(argv)
    servers, missing = installed(args.aimock)
    for line in missing:
        _say(f"{line}\n")
    comparison = Comparison(args, servers)
    if not comparison.with_wrk:
        _say("wrk is not used: JSON is asked for by our own client\n")
    with bytecode_kept():
        comparison.run(_say)
    table = markdown_table if args.markdown else text_table
    figures = comparison.figures
    bars = figures.bar_lines()
    versions = ", ".join(f"{server.name} {server.version}" for server in servers)
    shown = (table(lines) for lines in (figures.rate_lines(), figures.alone_lines(), bars))
    sys.stdout.write("\n".join((versions + "\n", *shown)))
    for wrong in comparison.wrong:
        _say(f"WRONG: {wrong}\n")
    if comparison.wrong:
        return 1
    return 2 if args.strict and any(line[-1].startswith("missed") for line in bars) else 0


if __name__ == "__main__":
    sys.exit(main())
