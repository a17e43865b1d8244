"""What the player holds: run ``python -m benchmarks.streams all``.

Each case starts a server of its own, pinned to one core, drives it from this process on another,
compares every event with the schedule asked for, and checks every answer: status, number of
chunks, text, ``[DONE]``. An event is due when its request was sent, plus TTFT, plus its number
times the ITL; so the time a request needs to be received counts as lateness.

In the case ``idle`` streams wait in a long TTFT that ends for all at one time. To have them wait at
a gate instead, give ``--server-option --scenario=FILE``, with ``--wait-message`` a message whose
rule holds the stream there and then says ``--wait-tokens`` tokens, and ``--release`` the path that
is posted to when they shall go on. To have them wait in a stall, give the fault in
``--wait-header``; it has to last until all are open and ``--seconds`` have passed.

Status 0: every answer was right, whatever the figures are; 1: some were not, or were lost;
2: with ``--strict``, some figure misses its bar.
"""

import argparse
import http.client
import os
import resource
import socket
import sys
from collections.abc import Callable, Sequence
from math import ceil
from statistics import fmean
from time import perf_counter
from typing import NamedTuple

from benchmarks.answers import WrongAnswer, arrivals, request, words
from benchmarks.load import Answer, Lag, drive
from benchmarks.server_process import ServerProcess

_MS = 1e-3
_GRACE = 10.0
"""Seconds a case may last longer than it should, before what is missing counts as lost."""
_BUSY = 0.8
"""The share of its time above which the client may have spoiled the figures."""

Start = tuple[float, Callable[[float], bytes]]


class Row(NamedTuple):
    """A line of the table; ``missed`` says by what, and is empty for a figure that meets its bar.

    A figure with no ``bar`` is there to be known.
    """

    case: str
    figure: str
    asked: str
    measured: str
    bar: str = ""
    missed: str = ""

    @property
    def verdict(self) -> str:
        """In words."""
        if not self.bar:
            return ""
        return f"missed by {self.missed}" if self.missed else "met"


_UNREAD_AT_MOST = 32 * 2**20
"""Memory for an answer that is not read: its tokens, which are made at once, and no chunks."""


class Bench:
    """Runs cases and gathers their rows."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.rows: list[Row] = []
        self.wrong: list[str] = []
        cores = sorted(os.sched_getaffinity(0))
        self._core = cores[0] if len(cores) > 1 else None
        if len(cores) > 1:
            os.sched_setaffinity(0, set(cores[1:]))

    def server(self, ttft: float = 0.0, itl: float = 0.0) -> ServerProcess:
        """A server, and what it is asked for in the case."""
        self._headers = {}
        if self.args.url:
            self._headers = {"X-FakeLLM-TTFT": f"{ttft}s", "X-FakeLLM-ITL": f"{itl}s"}
        options = (f"--ttft={ttft}s", f"--itl={itl}s", *self.args.server_option)
        server = ServerProcess(options, core=self._core, url=self.args.url)
        warm = request("[echo] warm", server.host, self._headers)
        drive(server.address, [(0.0, lambda _: warm)] * 3, lasts=_GRACE + ttft)
        return server

    def starts(
        self, server: ServerProcess, streams: int, tokens: int, spread: float
    ) -> list[Start]:
        """Requests for so many streams, which begin evenly in ``spread`` seconds."""
        asked = request(f"[echo] {words(tokens)}", server.host, self._headers)
        return [(number * spread / streams, lambda _: asked) for number in range(streams)]

    def checked(
        self, case: str, answers: Sequence[Answer], asked: int, tokens: int, text: str | None
    ) -> list[tuple[Answer, list[float]]]:
        """The right ones of the answers, with their arrivals; what is wrong is told."""
        right: list[tuple[Answer, list[float]]] = []
        wrong: list[str] = []
        for answer in answers:
            try:
                right.append((answer, arrivals(answer, tokens, text)))
            except WrongAnswer as error:
                wrong.append(str(error))
        missing = max(asked - len(answers), 0)
        lost = len(wrong) + missing
        if lost:
            what = wrong[0] if wrong else "never asked: the connection was not made"
            self.wrong.append(f"{case}: {lost} of {asked} answers wrong or lost, such as: {what}")
        total = max(asked, len(answers))
        self.rows.append(
            Row(case, "whole and right", f"{total:,}", f"{len(right):,}", "all", str(lost or ""))
        )
        return right

    def at_most(
        self, case: str, figure: str, asked: str, value: float, bar: float | None, unit: str
    ) -> None:
        """A row for a figure that should not be above its bar."""
        scale, form = {"ms": (1e3, ",.2f"), "%": (100, ".2f"), "KB": (1 / 1024, ",.1f")}[unit]

        def shown(number: float) -> str:
            return f"{number * scale:{form}} {unit}"

        limit = "" if bar is None else f"<= {shown(bar)}"
        missed = "" if bar is None or value <= bar else shown(value - bar)
        self.rows.append(Row(case, figure, asked, shown(value), limit, missed))

    def share(self, case: str, figure: str, value: float, bar: float | None) -> None:
        """A row for a share that should not be below its bar."""
        limit = "" if bar is None else f">= {bar:.0%}"
        missed = "" if bar is None or value >= bar else f"{(bar - value) * 100:.2f} points"
        self.rows.append(Row(case, figure, "", f"{value:.2%}", limit, missed))

    def lag(self, case: str, lag: Lag) -> None:
        """A row for what the client did to the figures."""
        doubt = " (busy: figures may be the client's)" if lag.busy > _BUSY else ""
        self.rows.append(Row(case, f"{lag}{doubt}", "", ""))

    def lateness(
        self,
        case: str,
        right: Sequence[tuple[Answer, list[float]]],
        ttft: float,
        itl: float,
        bars: dict[str, float],
    ) -> None:
        """Rows for how late the events of answers were."""
        late = sorted(
            time - answer.sent - ttft - number * itl
            for answer, times in right
            for number, time in enumerate(times)
        )
        if not late:
            return
        for name, part in (("median", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)):
            self.at_most(
                case, f"lateness {name}", "0 ms", quantile(late, part), bars.get(name), "ms"
            )
        self.at_most(case, "lateness max", "0 ms", late[-1], None, "ms")
        for limit in (5, 20):
            near = sum(abs(each) <= limit * _MS for each in late) / len(late)
            self.share(case, f"within {limit} ms", near, bars.get(f"within {limit}"))
        early = sum(each < 0 for each in late)
        self.rows.append(
            Row(case, "too early", "0", f"{early:,} of {len(late):,}", "none", str(early or ""))
        )

    def paced(self, streams: int, tokens: int, *, median: float | None) -> None:
        """Streams at 20 tokens a second."""
        ttft, itl = 200 * _MS, 50 * _MS
        case = f"paced {streams}{' at once' if self.args.burst else ''}"
        half = (ttft + itl * tokens) / 2  # so that all are open at one time
        spread = 0.0 if self.args.burst else min(streams / self.args.rate, half)
        with self.server(ttft, itl) as server:
            starts = self.starts(server, streams, tokens, spread)
            lasts = spread + ttft + itl * tokens + _GRACE
            answers, lag = drive(server.address, starts, lasts=lasts)
        right = self.checked(case, answers, streams, tokens, words(tokens))
        bars = {"within 5": 0.99}
        if median is not None:
            bars["median"] = median
        self.lateness(case, right, ttft, itl, bars)
        self.lag(case, lag)

    def decode(
        self, streams: int, tokens: int, seconds: float, *, bar: float, ttft_bar: float | None
    ) -> None:
        """Streams at 200 tokens a second, each repeated in closed loop."""
        ttft, itl = 50 * _MS, 5 * _MS
        case = f"decode {streams}"
        spread = 0.0 if self.args.burst else min(0.5, ttft + itl * tokens)
        with self.server(ttft, itl) as server:
            starts = self.starts(server, streams, tokens, spread)
            lasts = seconds + 3 * (ttft + itl * tokens) + _GRACE
            answers, lag = drive(server.address, starts, lasts=lasts, again_for=seconds)
        right = self.checked(case, answers, streams, tokens, words(tokens))
        if right:
            asked = itl * (tokens - 1)
            mean = fmean(times[-1] - times[0] for _, times in right)
            figure = f"mean decode time {mean * 1e3:.2f} ms, off by"
            self.at_most(case, figure, f"{asked * 1e3:.0f} ms", abs(mean / asked - 1), bar, "%")
            firsts = sorted(times[0] - answer.sent - ttft for answer, times in right)
            self.at_most(
                case, "TTFT p99 over asked", "50 ms", quantile(firsts, 0.99), ttft_bar, "ms"
            )
            took = max(times[-1] for _, times in right) - min(each.sent for each, _ in right)
            rate = len(right) * tokens / took
            self.rows.append(Row(case, "tokens a second", f"{streams / itl:,.0f}", f"{rate:,.0f}"))
        self.lag(case, lag)

    def idle(self, streams: int, seconds: float) -> None:
        """Streams that wait."""
        args = self.args
        case = f"idle {streams}"
        spread = streams / 1000
        release = spread + seconds + 3.0
        tokens = args.wait_tokens if args.wait_message else 3
        message = args.wait_message or f"[echo] {words(tokens)}"
        before: list[float] = []
        waiting: list[float] = []
        held = {}
        with self.server() as server:

            def asked(now: float) -> bytes:
                headers = dict(self._headers)
                if args.wait_header:
                    name, _, value = args.wait_header.partition(":")
                    headers[name] = value.strip()
                elif not args.release:
                    headers["X-FakeLLM-TTFT"] = f"{max(ceil(release - now), 1)}s"
                key = tuple(headers.items())
                if key not in held:
                    held[key] = request(message, server.host, headers)
                return held[key]

            def begin() -> None:
                waiting.extend((server.memory(), server.cpu()))

            def end() -> None:
                waiting.append(server.cpu())

            ticks: list[tuple[float, Callable[[], None]]] = []
            if server.is_ours:
                before.append(server.memory())
                ticks += [(spread + 2.0, begin), (spread + 2.0 + seconds, end)]
            if args.release:
                ticks.append((release, lambda: post(server.host, args.release)))
            starts = [(number * spread / streams, asked) for number in range(streams)]
            lasts = release + _GRACE + streams / 500
            answers, lag = drive(server.address, starts, lasts=lasts, ticks=ticks)
        text = None if args.wait_message else words(tokens)
        self.checked(case, answers, streams, tokens, text)
        if waiting:
            each = (waiting[0] - before[0]) / streams
            self.at_most(case, "memory of a stream", "", each, 40 * 1024, "KB")
            cpu = (waiting[2] - waiting[1]) / seconds
            self.at_most(case, f"cpu in {seconds:.0f} s of waiting", "", cpu, 0.02, "%")
        self.lag(case, lag)

    def slow_reader(self, streams: int, tokens: int, huge: int) -> None:
        """One client that does not read what it asked for, beside others that do."""
        ttft, itl = 200 * _MS, 50 * _MS
        case = "slow reader"
        with self.server(ttft, itl) as server:
            fast = {"X-FakeLLM-TTFT": "0s", "X-FakeLLM-ITL": "0s"}
            before = server.memory() if server.is_ours else 0
            with socket.socket() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
                sock.settimeout(_GRACE)
                sock.connect(server.address)
                slow = Answer(perf_counter())
                starts = self.starts(server, streams, tokens, 1.0)
                ask = request(f"[tokens {huge}]", server.host, fast)
                sock.sendall(ask)
                sock.recv(1, socket.MSG_PEEK)  # the answer is made, and from here on not read
                lasts = 1.0 + ttft + itl * tokens + _GRACE
                answers, lag = drive(server.address, starts, lasts=lasts)
                most = server.memory("VmHWM") if server.is_ours else 0
                ending = b""
                while not ending.endswith(b"\r\n0\r\n\r\n"):
                    try:
                        data = sock.recv(1 << 16)
                    except OSError:
                        break
                    if not data:
                        break
                    slow.times.append(perf_counter())
                    slow.pieces.append(data)
                    ending = (ending + data)[-7:]
        right = self.checked(case, answers, streams, tokens, words(tokens))
        self.lateness(case, right, ttft, itl, {"within 5": 0.99})
        size = sum(map(len, slow.pieces))
        self.checked(f"{case}, itself", [slow], 1, huge, None)
        if server.is_ours:
            figure = f"memory for {size / 2**20:.1f} MiB unread"
            self.at_most(case, figure, "", most - before, _UNREAD_AT_MOST, "KB")
        self.lag(case, lag)


def quantile(ordered: Sequence[float], part: float) -> float:
    """The value that ``part`` of the values are not above."""
    return ordered[max(ceil(len(ordered) * part) - 1, 0)]


def post(host: str, path: str) -> None:
    """Post to a path of the server's control API."""
    connection = http.client.HTTPConnection(host, timeout=_GRACE)
    connection.request("POST", path, b"{}", {"Content-Type": "application/json"})
    status = connection.getresponse().status
    connection.close()
    if status >= http.client.BAD_REQUEST:
        raise SystemExit(f"POST {path} was answered with {status}")


def table(rows: Sequence[Row]) -> str:
    """The rows, for people."""
    head = ("case", "figure", "asked", "measured", "bar", "verdict")
    lines = [head, *((*row[:5], row.verdict) for row in rows)]
    widths = [
        max(len(line[column]) for line in lines if column != 1 or any(line[2:]))
        for column in range(len(head))
    ]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.streams",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "case",
        choices=("paced", "decode", "idle", "slow-reader", "all"),
        help="paced: TTFT 200 ms, ITL 50 ms; decode: TTFT 50 ms, ITL 5 ms, in closed loop; "
        "idle: streams that wait; slow-reader: a client that reads nothing, beside others",
    )
    add = made.add_argument
    add("--streams", type=int, help="so many instead of the case's own numbers")
    add("--tokens", type=int, help="of an answer (paced: 200, decode: 100)")
    add("--seconds", type=float, help="of asking anew (decode: 5), of waiting (idle: 10)")
    add(
        "--rate",
        type=float,
        default=250,
        help="paced: so many streams begin in a second (250, or so many that all are open at once)",
    )
    add("--burst", action="store_true", help="begin all streams at once, not one after the other")
    add("--tiny", action="store_true", help="small numbers, to see that it still runs")
    add("--strict", action="store_true", help="fail if a figure misses its bar")
    add("--url", help="drive the server that listens there, such as http://127.0.0.1:3500")
    add(
        "--server-option",
        action="append",
        default=[],
        metavar="OPTION",
        help="hand an option to the server, as in --server-option=--seed=7 (repeatable)",
    )
    add("--wait-header", metavar="NAME: VALUE", help="what makes the streams of idle wait")
    add("--wait-message", metavar="TEXT", help="what the streams of idle say")
    add("--wait-tokens", type=int, default=3, metavar="N", help="what is answered to that")
    add("--release", metavar="PATH", help="is posted to when the streams of idle may go on")
    return made


def run(bench: Bench) -> None:
    """Run the cases asked for."""
    args = bench.args
    tiny = args.tiny
    asked = args.case
    if asked in ("paced", "all"):
        tokens = args.tokens or (10 if tiny else 200)
        for streams in [args.streams] if args.streams else [20] if tiny else [1000, 2000, 3000]:
            tight = streams <= 1000  # noqa: PLR2004 -- the load that no event should feel
            bench.paced(streams, tokens, median=_MS if tight else None)
    if asked in ("decode", "all"):
        tokens = args.tokens or (20 if tiny else 100)
        seconds = args.seconds or (0.5 if tiny else 5.0)
        for streams in [args.streams] if args.streams else [8] if tiny else [128, 400]:
            tight = streams <= 128  # noqa: PLR2004 -- as the issue has it
            bench.decode(
                streams,
                tokens,
                seconds,
                bar=0.002 if tight else 0.05,
                ttft_bar=15 * _MS if tight else None,
            )
    if asked in ("idle", "all"):
        bench.idle(
            args.streams or (100 if tiny else 10_000), args.seconds or (1.0 if tiny else 10.0)
        )
    if asked in ("slow-reader", "all"):
        bench.slow_reader(
            args.streams or (10 if tiny else 100),
            args.tokens or (10 if tiny else 200),
            20_000 if tiny else 200_000,
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and give its status."""
    args = parser().parse_args(argv)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the server inherits it
    bench = Bench(args)
    run(bench)
    sys.stdout.write(table(bench.rows) + "\n")
    for wrong in bench.wrong:
        sys.stderr.write(f"WRONG: {wrong}\n")
    if bench.wrong:
        return 1
    return 2 if args.strict and any(row.missed for row in bench.rows) else 0


if __name__ == "__main__":
    sys.exit(main())
