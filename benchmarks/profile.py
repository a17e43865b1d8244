"""Where the server's time goes: run ``python -m benchmarks.profile json``.

The server runs by itself, with its journal, metrics and ten rules, is driven for some seconds, and
is ended as Ctrl-C does; then the functions are told that the most time was spent in. By cProfile,
which makes each call of Python dearer, and so shows small functions too large; with ``--py-spy`` by
that sampler, if it is installed (its sampling may need root).

Of the answers the first of each connection are looked at whole, so that what is profiled is no
stream of errors.
"""

import argparse
import os
import pstats
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.answers import arrivals, check_whole, varied
from benchmarks.load import Answer, drive
from benchmarks.measures import CONNECTIONS
from benchmarks.peer_servers import HELLO, Fakellm, Said, long
from benchmarks.server_process import ServerProcess

_EVENTS = 200
_GRACE = 10.0
_PACED = ("--ttft=50ms", "--itl=50ms")
_PACED_TOKENS = 20
_PACED_STREAMS = 1000
CASES = {
    "json": "answers that are no streams",
    "stream": "streams of hello world",
    "events": f"unpaced streams of {_EVENTS} tokens",
    "paced": f"{_PACED_STREAMS} streams at 20 tokens a second",
}


def load(case: str, server: ServerProcess, said: Said, pieces: int, seconds: float) -> int:
    """Drive the server, and give the number of its answers."""
    ask = varied(server.host, stream=case != "json")
    streams = _PACED_STREAMS if case == "paced" else CONNECTIONS
    spread = 1.0 if case == "paced" else 0.0
    answers, _ = drive(
        server.address,
        [(number * spread / streams, lambda _: ask()) for number in range(streams)],
        lasts=spread + 2 * seconds + _GRACE,
        again_for=seconds,
        again=ask,
        whole=case == "json",
    )
    for answer in answers[:streams]:
        check(case, answer, said, pieces)
    return len(answers)


def check(case: str, answer: Answer, said: Said, pieces: int) -> None:
    """See that an answer is whole and right."""
    if case == "json":
        check_whole(answer, said.text)
    else:
        arrivals(answer, pieces, said.text)


def warm_up(server: ServerProcess) -> None:
    """Have it import all that it imports when it is first asked for something."""
    for stream in (False, True):
        ask = varied(server.host, stream=stream)
        drive(server.address, [(0.0, lambda _, ask=ask: ask())], lasts=_GRACE, whole=not stream)


def by_cprofile(options: Sequence[str], drive_it: Callable[[ServerProcess], int], top: int) -> None:
    """Run the server under cProfile, and print the top of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "profile")
        python = (sys.executable, "-m", "benchmarks.profiled", path)
        with ServerProcess(options, core=_core(), python=python) as server:
            warm_up(server)
            os.kill(server.pid, signal.SIGUSR1)
            count = drive_it(server)
        sys.stdout.write(f"{count:,} answers, under cProfile\n")
        pstats.Stats(path, stream=sys.stdout).sort_stats("tottime").print_stats(top)


def by_py_spy(
    options: Sequence[str], drive_it: Callable[[ServerProcess], int], top: int, seconds: float
) -> None:
    """Run the server, sample it with py-spy, and print the top of that."""
    command = shutil.which("py-spy")
    if command is None:
        raise SystemExit("py-spy is not on the path: pip install py-spy")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples"
        with ServerProcess(options, core=_core()) as server:
            warm_up(server)
            argv = [command, "record", "--nonblocking", "--format", "raw", "--rate", "500"]
            argv += ["--duration", str(max(round(seconds), 1)), "--output", str(path)]
            sampler = subprocess.Popen(  # noqa: S603 -- our own command line
                [*argv, "--pid", str(server.pid)], stdout=subprocess.DEVNULL
            )
            count = drive_it(server)
            if sampler.wait():
                raise SystemExit("py-spy could not sample the server")
        own = own_samples(path.read_text())
    total = own.total() or 1
    sys.stdout.write(f"{count:,} answers, sampled by py-spy\n\n   own  function\n")
    for frame, samples in own.most_common(top):
        sys.stdout.write(f"{samples / total:6.1%}  {frame}\n")


def own_samples(stacks: str) -> Counter[str]:
    """Samples of each function itself, from lines of ``frame;frame;frame count``."""
    own: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        own[stack.rpartition(";")[2]] += int(count)
    return own


def _core() -> int | None:
    cores = sorted(os.sched_getaffinity(0))
    return cores[0] if len(cores) > 1 else None


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.profile",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    cases = "; ".join(f"{name}: {what}" for name, what in CASES.items())
    add("case", choices=tuple(CASES), help=cases)
    add("--http", choices=("fast", "twisted"), default="fast", help="the front (fast)")
    add("--seconds", type=float, default=4.0, metavar="S", help="of load (4)")
    add("--top", type=int, default=30, metavar="N", help="so many functions (30)")
    add("--py-spy", action="store_true", help="sample with py-spy")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and give its status."""
    args = parser().parse_args(argv)
    said = {"events": long(_EVENTS), "paced": long(_PACED_TOKENS)}.get(args.case, HELLO)
    server = Fakellm(args.http)
    options = [*server.options(said), *(_PACED if args.case == "paced" else ())]

    def drive_it(process: ServerProcess) -> int:
        return load(args.case, process, said, server.pieces(said), args.seconds)

    if args.py_spy:
        by_py_spy(options, drive_it, args.top, args.seconds)
    else:
        by_cprofile(options, drive_it, args.top)
    return 0


if __name__ == "__main__":
    sys.exit(main())
