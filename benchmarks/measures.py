"""How fast one server is: its rate under load, the latency of a request alone, its start.

Every answer that our own client gets is checked, after the run. Of those that ``wrk`` gets, the
number, the statuses and the bytes are, and the ones before and after them are looked at whole.
"""

import re
import resource
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import NamedTuple

from benchmarks.answers import WrongAnswer, arrivals, check_whole, varied
from benchmarks.load import Answer, drive, is_whole
from benchmarks.peer_servers import Said, Server
from benchmarks.server_process import Process

CONNECTIONS = 16
_GRACE = 10.0
_SETTLES_SECONDS = 0.3
_NEAR = 0.02
"""By how much the mean length of answers may differ from that of one."""
_SUMMARY = re.compile(
    r"^summary requests=(\d+) bytes=(\d+) microseconds=(\d+) lost=(\d+) refused=(\d+)$",
    re.MULTILINE,
)


class Rate(NamedTuple):
    """What came of a load.

    Attributes:
        each_second: answers (or events) in a second.
        each_cpu_second: the same in a second that processors worked for the server.
        client: the share of a processor's time that the client took.
    """

    each_second: float
    each_cpu_second: float
    client: float


class Start(NamedTuple):
    """How a server starts.

    Attributes:
        listens: seconds from its command to its first connection.
        answers: seconds from its command to its first answer.
        memory: bytes that it has then in memory, before it was asked anything.
    """

    listens: float
    answers: float
    memory: int


def json_rate(process: Process, said: Said, seconds: float, *, with_wrk: bool) -> Rate:
    """Answers that are no streams, a second."""
    if not with_wrk:
        return _own_json_rate(process, said, seconds)
    length = one_at_a_time(process, said, 1)[1]
    script = str(Path(__file__).parent / "varied.lua")
    wrk = [shutil.which("wrk") or "wrk", "-t1", f"-c{CONNECTIONS}", "-s", script]
    cpu, client = process.cpu(), _children()
    ran = subprocess.run(  # noqa: S603 -- our own command line
        [*wrk, f"-d{max(round(seconds), 1)}s", f"http://{process.host}/"],
        capture_output=True,
        check=False,
        text=True,
    )
    cpu, client = process.cpu() - cpu, _children() - client
    found = _SUMMARY.search(ran.stdout)
    if found is None:
        raise WrongAnswer(f"wrk says {ran.stdout[-300:]!r} {ran.stderr[-300:]!r}")
    count, came, took, lost, refused = map(int, found.groups())
    if lost or refused or not count:
        raise WrongAnswer(f"of {count:,} answers {refused:,} were refusals, and {lost:,} lost")
    if abs(came / count / length - 1) > _NEAR:
        raise WrongAnswer(f"answers have {came / count:.1f} bytes instead of {length}")
    one_at_a_time(process, said, 1)
    return Rate(count / took * 1e6, count / max(cpu, 0.01), client / took * 1e6)


def _own_json_rate(process: Process, said: Said, seconds: float) -> Rate:
    answers, cpu, busy = _driven(process, seconds, stream=False)
    for answer in answers:
        check_whole(answer, said.text)
    return _rate(answers, 1, cpu, busy)


def stream_rate(
    process: Process, said: Said, pieces: int, seconds: float, *, events: bool = False
) -> Rate:
    """Streams a second, or with ``events`` events with text a second."""
    answers, cpu, busy = _driven(process, seconds, stream=True)
    for answer in answers:
        arrivals(answer, pieces, said.text)
    return _rate(answers, pieces if events else 1, cpu, busy)


def _driven(
    process: Process, seconds: float, *, stream: bool
) -> tuple[Sequence[Answer], float, float]:
    """Answers to requests of which no two are alike, the server's time, the client's share."""
    ask = varied(process.host, stream=stream)
    cpu = process.cpu()
    answers, lag = drive(
        process.address,
        [(0.0, lambda _: ask())] * CONNECTIONS,
        lasts=seconds + _GRACE,
        again_for=seconds,
        again=ask,
        whole=not stream,
    )
    return answers, process.cpu() - cpu, lag.busy


def _rate(answers: Sequence[Answer], worth: int, cpu: float, busy: float) -> Rate:
    if len(answers) < CONNECTIONS:
        raise WrongAnswer(f"{CONNECTIONS} connections got {len(answers)} answers")
    took = max(answer.times[-1] for answer in answers) - min(answer.sent for answer in answers)
    count = len(answers) * worth
    return Rate(count / took, count / max(cpu, 0.01), busy)


def one_at_a_time(process: Process, said: Said, requests: int) -> tuple[float, int]:
    """Ask one request after the other on one connection.

    Returns:
        The median of the seconds that an answer took, and the length of the last.
    """
    ask = varied(process.host, stream=False)
    answers: list[Answer] = []
    with socket.create_connection(process.address, _GRACE) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(requests):
            wanted = ask()
            answer = Answer(perf_counter())
            sock.sendall(wanted)
            data = sock.recv(1 << 16)
            answer.pieces.append(data)
            raw = data
            while data and not is_whole(raw):
                data = sock.recv(1 << 16)
                answer.pieces.append(data)
                raw += data
            answer.times.append(perf_counter())
            answer.ended = is_whole(raw)
            answers.append(answer)
    for answer in answers:
        check_whole(answer, said.text)
    times = [answer.times[-1] - answer.sent for answer in answers]
    return median(times), sum(map(len, answers[-1].pieces))


def start(server: Server, said: Said, core: int | None) -> Start:
    """Start a server, and end it."""
    began = perf_counter()
    with server.started(said, core) as process:
        with socket.create_connection(process.address, _GRACE):
            listens = perf_counter() - began
        one_at_a_time(process, said, 1)
        answers = perf_counter() - began
    with server.started(said, core) as process:
        sleep(_SETTLES_SECONDS)
        memory = process.memory()
    return Start(listens, answers, memory)


def _children() -> float:
    """Seconds that processors have worked for processes that have ended: wrk is the last."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
