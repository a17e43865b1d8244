"""Whether memory stays flat: run ``python -m benchmarks.endurance --requests 1000000``.

It starts a server, pinned to one core, with its journal and its figures as they come, and asks it
from this process over connections that are kept: each question is another one, in one of three
models and five sessions. Every answer is looked at (its status, its length, its JSON, what it
says), and the server's memory at every fiftieth of the requests. At the end, the server's own
counts have to agree: none is lost, and the journal has noted all of them.

Memory grows while the journal fills up (10,000 requests), and a little while the server gets to
know as many conversations as it remembers (100,000): what counts is the second half of many more.

Status 0: every answer was right, whatever the figures are; 1: some were not, or were lost.
"""

import argparse
import http.client
import os
import re
import resource
import select
import socket
import sys
from collections.abc import Callable, Sequence
from statistics import linear_regression
from time import perf_counter
from typing import NamedTuple

import msgspec

from benchmarks.answers import WrongAnswer, words
from benchmarks.server_process import ServerProcess

MODELS = 3
SESSIONS = 5
SAMPLES = 50
FILLED = 20_000
"""Requests after which the journal is full for long: twice what it has room for."""

_MODELS = tuple(f"endurance-{number}" for number in range(MODELS))
_WORDS_AT_MOST = 37
_PATIENCE = 30.0
"""Seconds without any answer, after which what is missing counts as lost."""
_RECV = 1 << 16
_SHOWN = 5
_HEAD_ENDS = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_COUNTED = re.compile(r'^fakellm_answers_total\{.*status="200".*\} (\S+)$', re.MULTILINE)
_NOTED = re.compile(r"^fakellm_journal_(?:entries|dropped_total) (\S+)$", re.MULTILINE)


class _Message(msgspec.Struct):
    content: str


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str


class _Usage(msgspec.Struct):
    completion_tokens: int


class _Completion(msgspec.Struct):
    """An answer, as far as it is looked at."""

    model: str
    choices: list[_Choice]
    usage: _Usage


_decode = msgspec.json.Decoder(_Completion).decode


class Sample(NamedTuple):
    """The server's memory after so many answers: their number, seconds since the first, bytes."""

    requests: int
    seconds: float
    memory: int


def said(number: int) -> str:
    """What is to be said in the answer to a request, which no other one has."""
    return f"{number} {words(1 + number % _WORDS_AT_MOST)}"


def request(number: int, host: str) -> bytes:
    """The request of a number."""
    asked = {
        "model": _MODELS[number % MODELS],
        "messages": [{"role": "user", "content": f"[echo] {said(number)}"}],
    }
    body = msgspec.json.encode(asked)
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\n"
        b"Host: %b\r\n"
        b"Content-Type: application/json\r\n"
        b"X-FakeLLM-Session: s%d\r\n"
        b"Content-Length: %d\r\n\r\n%b"
    ) % (host.encode(), number % SESSIONS, len(body), body)


def is_whole(data: bytes) -> bool:
    """Whether an answer has come to its end, as far as its head says where that is.

    Raises:
        WrongAnswer: it does not say so.
    """
    end = data.find(_HEAD_ENDS)
    if end < 0:
        return False
    length = _LENGTH.search(data, 0, end + 2)
    if length is None:
        raise WrongAnswer(f"an answer without a length: {data[:300]!r}")
    return len(data) >= end + len(_HEAD_ENDS) + int(length[1])


def check(number: int, data: bytes) -> None:
    """Look at the whole answer to a request.

    Raises:
        WrongAnswer: it is not what it has to be.
    """
    head, _, body = data.partition(_HEAD_ENDS)
    length = _LENGTH.search(head + b"\r\n")
    if not head.startswith(b"HTTP/1.1 200 ") or length is None or int(length[1]) != len(body):
        raise WrongAnswer(f"the answer to request {number} is {data[:300]!r}")
    try:
        answer = _decode(body)
    except msgspec.DecodeError as error:
        raise WrongAnswer(f"the answer to request {number} is no completion: {error}") from None
    text = said(number)
    told = [(each.message.content, each.finish_reason) for each in answer.choices]
    if told != [(text, "stop")] or answer.model != _MODELS[number % MODELS]:
        raise WrongAnswer(f"the answer to request {number} is another: {body[:300]!r}")
    if answer.usage.completion_tokens < text.count(" ") + 1:
        raise WrongAnswer(f"the answer to request {number} has too few tokens: {body[-200:]!r}")


class _Connection:
    __slots__ = ("data", "number", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.number = 0
        self.data = b""


class Load:
    """Asks over some connections, on each one thing after the other.

    Args:
        address: of the server.
        host: what requests name as theirs.
        requests: how many there are.
        connections: how many are kept.

    Attributes:
        answered: how many answers have come whole.
        wrong: what was wrong with some of them.
        count: how many were wrong or lost.
    """

    def __init__(
        self, address: tuple[str, int], host: str, requests: int, connections: int
    ) -> None:
        self._host = host
        self._requests = requests
        self._asked = 0
        self.answered = 0
        self.wrong: list[str] = []
        self.count = 0
        self._epoll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        for _ in range(min(connections, requests)):
            sock = socket.create_connection(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[sock.fileno()] = _Connection(sock)
            self._epoll.register(sock, select.EPOLLIN)

    def run(self, every: int, sample: Callable[[int], None]) -> None:
        """Ask all of it, and have a sample taken after every so many answers, and at the end."""
        for connection in list(self._connections.values()):
            self._ask(connection)
        sampled = 0
        while self._connections:
            ready = self._epoll.poll(_PATIENCE)
            if not ready:
                self._lose(f"no answer for {_PATIENCE:g} s")
                break
            for descriptor, _ in ready:
                self._read(self._connections[descriptor])
            if self.answered - sampled >= every:
                sampled = self.answered
                sample(sampled)
        missing = self._requests - self.answered - self.count
        if missing:
            self._mark(f"{missing} requests were not asked, as no connection was left", missing)
        if self.answered > sampled:
            sample(self.answered)

    def close(self) -> None:
        """Close what is still open."""
        for connection in self._connections.values():
            connection.sock.close()
        self._epoll.close()

    def _ask(self, connection: _Connection) -> None:
        if self._asked == self._requests:
            self._leave(connection)
            return
        connection.number = self._asked
        connection.data = b""
        self._asked += 1
        try:
            connection.sock.sendall(request(connection.number, self._host))
        except OSError as error:
            self._mark(f"request {connection.number} was not sent: {error}")
            self._leave(connection)

    def _read(self, connection: _Connection) -> None:
        try:
            data = connection.sock.recv(_RECV)
            connection.data = connection.data + data if connection.data else data
            ended = is_whole(connection.data) if data else None
        except (OSError, WrongAnswer) as error:
            self._mark(f"request {connection.number}: {error}")
            self._leave(connection)
            return
        if ended is None:
            self._mark(f"request {connection.number}: closed after {connection.data[:300]!r}")
            self._leave(connection)
            return
        if not ended:
            return
        try:
            check(connection.number, connection.data)
            self.answered += 1
        except WrongAnswer as error:
            self._mark(str(error))
        self._ask(connection)

    def _lose(self, why: str) -> None:
        for connection in list(self._connections.values()):
            self._mark(f"request {connection.number}: {why}")
            self._leave(connection)

    def _mark(self, what: str, count: int = 1) -> None:
        self.count += count
        if len(self.wrong) < _SHOWN:
            self.wrong.append(what)

    def _leave(self, connection: _Connection) -> None:
        del self._connections[connection.sock.fileno()]
        connection.sock.close()


def slope(samples: Sequence[Sample]) -> float:
    """Bytes by which memory grows with every thousand requests: the line that fits best."""
    if len(samples) < 2:  # noqa: PLR2004 -- a line
        return 0.0
    line = linear_regression(
        [each.requests / 1000 for each in samples], [each.memory for each in samples]
    )
    return line.slope


def at(samples: Sequence[Sample], requests: float) -> Sample:
    """The first sample after so many requests, or the last one."""
    return next((each for each in samples if each.requests >= requests), samples[-1])


def report(samples: Sequence[Sample], before: int, most: int, filled: int) -> str:
    """The figures, for people.

    Args:
        samples: in the order of time, at least one.
        before: bytes of memory before the first request.
        most: the most that there ever were, as the kernel says.
        filled: requests after which the journal is full.
    """
    last = samples[-1]
    half = last.requests / 2
    second = [each for each in samples if each.requests >= half]
    marks = [at(samples, each) for each in sorted((filled, half)) if each <= last.requests]
    rows = [
        ("requests", f"{last.requests:,}"),
        ("rate", f"{last.requests / last.seconds:,.0f} a second"),
        ("memory before", _mib(before)),
        *((f"memory after {each.requests:,}", _mib(each.memory)) for each in marks),
        ("memory at the end", _mib(last.memory)),
        ("memory at most", _mib(max(most, *(each.memory for each in samples)))),
        ("slope in the second half", f"{slope(second):+,.0f} bytes per 1,000 requests"),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"


def figures(host: str) -> str:
    """The server's own figures."""
    connection = http.client.HTTPConnection(host, timeout=_PATIENCE)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def disagreement(figures: str, answered: int) -> str | None:
    """Where the server's own figures say something else than that so many were answered."""
    for what, pattern in (("answered", _COUNTED), ("noted in the journal", _NOTED)):
        counted = sum(map(float, pattern.findall(figures)))
        if counted != answered:
            return f"by the server's figures, {counted:,.0f} requests were {what}, not {answered:,}"
    return None


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.endurance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--requests", type=count, default=1_000_000, metavar="N", help="(1000000)")
    add("--connections", type=count, default=64, metavar="N", help="kept at a time (64)")
    add("--samples", action="store_true", help="print every sample, while it runs")
    add(
        "--server-option",
        action="append",
        default=[],
        metavar="OPTION",
        help="hand an option to the server, as in --server-option=--seed=7 (repeatable)",
    )
    return made


def count(written: str) -> int:
    """A number of the command line, from 1 on."""
    number = int(written)
    if number < 1:
        raise argparse.ArgumentTypeError("expected a number from 1 on")
    return number


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and give its status."""
    args = parser().parse_args(argv)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the server inherits it
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, set(cores[1:]))
    core = cores[0] if len(cores) > 1 else None
    with ServerProcess(["--echo-model", *args.server_option], core=core) as server:
        before = server.memory()
        load = Load(server.address, server.host, args.requests, args.connections)
        samples: list[Sample] = []
        begun = perf_counter()

        def sample(requests: int) -> None:
            samples.append(Sample(requests, perf_counter() - begun, server.memory()))
            if args.samples:
                last = samples[-1]
                print(f"{last.requests:>12,}  {last.seconds:8.1f} s  {_mib(last.memory):>12}")  # noqa: T201

        try:
            load.run(max(1, args.requests // SAMPLES), sample)
        finally:
            load.close()
        wrong = [*load.wrong]
        if not load.count and (found := disagreement(figures(server.host), load.answered)):
            wrong.append(found)
        if samples:
            sys.stdout.write(report(samples, before, server.memory("VmHWM"), FILLED) + "\n")
    for each in wrong:
        sys.stderr.write(f"WRONG: {each}\n")
    if load.count:
        sys.stderr.write(f"{load.count:,} of {args.requests:,} answers were wrong or lost\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
