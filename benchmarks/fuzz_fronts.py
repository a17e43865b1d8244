"""Feed the same bytes to both HTTP fronts, and compare what they make of them.

    python -m benchmarks.fuzz_fronts --seconds 600 --seed 1

Any stream of bytes gets the same answers from both, or a refusal from the front of our own where
Twisted's is more lenient; and what both understand, they understand alike, to the last byte of a
body. It runs in memory and on a clock of its own. What disagrees is printed, and the exit status 1.
"""

import argparse
import random
import re
import sys
import time
from collections import Counter
from typing import Any

from msgspec import Struct
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from fakellm import FakeLLM
from fakellm.web.front.factory import Front

_ANSWER = re.compile(rb"HTTP/1\.[01] (\d{3}) [^\r\n]*\r\n(?=Server:|Connection:|\r\n)")
_PATIENCE_SECONDS = 400
"""After so long, both have given up whatever they waited for."""
_STEP_SECONDS = 10
_REFUSED = range(400, 500)
_CONTINUE = 100

_JSON = b'{"model":"m","messages":[{"role":"user","content":"Say something"}]}'
_CHAT = b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\n"
SEEDS: tuple[bytes, ...] = (
    b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /v1/models?a=1&b= HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n\r\n",
    b"GET /v1/models/x%20y HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"HEAD /v1/models HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    b"OPTIONS /v1/models HTTP/1.1\r\nHost: h\r\nOrigin: http://o\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
    b"DELETE http://h/v1/models/fake-model HTTP/1.1\r\nHost: h\r\n\r\n",
    _CHAT + b"Content-Length: %d\r\n\r\n" % len(_JSON) + _JSON,
    _CHAT + b"Content-Length: 2\r\n\r\n{}",
    _CHAT + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    _CHAT + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(_JSON), _JSON),
    _CHAT + b"Transfer-Encoding: chunked\r\n\r\n1;a=b\r\n{\r\n1\r\n}\r\n0\r\nT: x\r\n\r\n",
    _CHAT + b"Content-Length: 1200\r\n\r\n" + b" " * 1200,
)
_PIECES: tuple[bytes, ...] = (
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b":", b": ", b";", b",", b"\0", b"\x7f",
    b"\xff", b"0", b"1", b"5", b"f", b"+1", b"-1", b"0x1", b"1_0", b"00", b"99999999999999999999",
    b"0\r\n\r\n",
    b"Content-Length: 0\r\n", b"Content-Length: 5\r\n", b"Content-Length : 5\r\n",
    b"Content-Length: 5, 5\r\n", b"Content-Length:\r\n", b"Content-Length: \t2 \r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding : chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n", b"Transfer-Encoding: CHUNKED\r\n",
    b"transfer-encoding: xchunked\r\n", b"Connection: close\r\n", b"Connection: keep-alive\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n", b"Expect: 100-continue\r\n", b"Host: g\r\n",
    b"X: y\r\n z\r\n", b" X: y\r\n", b"X\r\n", b": y\r\n", b"X:" + b"y" * 900 + b"\r\n",
    b"GET /smuggled HTTP/1.1\r\n\r\n", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"/",
    b"?", b"#", b"%2f", b"GET", b"POST", b"BREW", b"CONNECT h:1", b"*",
)  # fmt: skip


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of a stream.

    Attributes:
        statuses: of the answers.
        asked: what prompts were understood: path, query, headers, body.
        refused: whether the front refused what came, after which it answers nothing.
        was_last: whether the connection was to end with the last request that it served: as was
            asked in any field ``Connection``, of which Twisted looks at the first one only, or as
            a body over the limit was refused before it was sent.
        is_closed: whether the connection ended.
    """

    statuses: tuple[int, ...]
    asked: tuple[Any, ...]
    refused: bool
    was_last: bool
    is_closed: bool


class _Transport(StringTransport):
    """A transport that can be broken off."""

    is_closed = False

    def unregisterProducer(self) -> None:  # noqa: N802 -- Twisted's name
        self.producer = None  # as those of sockets do, with or without one

    def loseConnection(self) -> None:  # noqa: N802 -- Twisted's name
        super().loseConnection()  # type: ignore[no-untyped-call]
        self.is_closed = True

    def abortConnection(self) -> None:  # noqa: N802 -- Twisted's name
        super().abortConnection()  # type: ignore[no-untyped-call]
        self.is_closed = True


class Fuzzed:
    """A server in memory that speaks through one of the fronts.

    Args:
        http: which.
    """

    def __init__(self, http: str) -> None:
        self._clock = Clock()
        self._server = FakeLLM(
            reactor=self._clock, clock=self._clock, http=http, max_body=1000, port=0
        )
        self._asked: list[Any] = []
        answer = self._server._engine.answer  # noqa: SLF001 -- the way in that all prompts take

        def noting(dialect: Any, received: Any, wire: Any, **more: Any) -> Any:
            self._asked.append(
                (received.path, dict(received.query), dict(received.headers), received.body)
            )
            return answer(dialect, received, wire, **more)

        self._server._engine.answer = noting  # type: ignore[method-assign]  # noqa: SLF001

        self._refused = self._was_last = False
        front: Any = self._server._connections.wrappedFactory  # noqa: SLF001 -- as above
        if isinstance(front, Front):
            refuse, serve = front.refuse, front.serve

            def refusing(exchange: Any, refusal: Any) -> None:
                self._refused = True
                refuse(exchange, refusal)

            def serving(exchange: Any) -> None:
                self._was_last = not exchange.keeps
                serve(exchange)

            front.refuse = refusing  # type: ignore[method-assign]
            front.serve = serving  # type: ignore[method-assign]

    def feed(self, pieces: list[bytes]) -> Outcome:
        """Send bytes, wait until nothing more can happen, and close."""
        self._asked.clear()
        self._refused = self._was_last = False
        protocol: Any = self._server._connections.buildProtocol(None)  # noqa: SLF001 -- as above
        transport: Any = _Transport()  # type: ignore[no-untyped-call]
        protocol.makeConnection(transport)
        for piece in pieces:
            if transport.is_closed:
                break
            protocol.dataReceived(piece)
            self._clock.advance(0)
        for _ in range(_PATIENCE_SECONDS // _STEP_SECONDS):
            if transport.is_closed:
                break
            self._clock.advance(_STEP_SECONDS)
        closed = transport.is_closed
        protocol.connectionLost(Failure(ConnectionDone()))
        self._clock.advance(0)
        left = self._clock.getDelayedCalls()
        if left:
            raise AssertionError(f"calls are left behind: {left}")
        found = (int(each) for each in _ANSWER.findall(transport.value()))
        return Outcome(
            statuses=tuple(status for status in found if status != _CONTINUE),
            asked=tuple(self._asked),
            refused=self._refused,
            was_last=self._was_last,
            is_closed=closed,
        )


def disagreement(ours: Outcome, twisteds: Outcome) -> str | None:
    """What is wrong with our outcome, if anything is."""
    if not ours.is_closed:
        return "we wait for ever"
    shared = 0
    for mine, other in zip(ours.statuses, twisteds.statuses, strict=False):
        if mine != other:
            break
        shared += 1
    rest = ours.statuses[shared:]
    if len(rest) > 1 or (rest and rest[0] not in _REFUSED):
        return "we answer what Twisted does not"
    if not (ours.refused or ours.was_last) and len(twisteds.statuses) > len(ours.statuses):
        return "we say nothing where Twisted answers"
    count = len(ours.asked)
    if ours.asked != twisteds.asked[:count]:
        return "we understand something else"
    return None


def made(chance: random.Random) -> bytes:
    """A stream of a few requests, more or less broken."""
    stream = b"".join(chance.choice(SEEDS) for _ in range(chance.randint(1, 3)))
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3, 6))):
        at = chance.randint(0, len(stream))
        match chance.randint(0, 4):
            case 0:
                stream = stream[:at] + chance.choice(_PIECES) + stream[at:]
            case 1:  # a piece at the beginning of a line
                starts = [found.end() for found in re.finditer(rb"\r\n", stream)] or [0]
                at = chance.choice(starts)
                stream = stream[:at] + chance.choice(_PIECES) + stream[at:]
            case 2:
                stream = stream[:at] + stream[at + chance.randint(1, 4) :]
            case 3:
                stream = stream[:at] + bytes((chance.randrange(256),)) + stream[at + 1 :]
            case _:
                end = at + chance.randint(1, 60)
                stream = stream[:end] + stream[at:]
    return stream


def cut(stream: bytes, chance: random.Random) -> list[bytes]:
    """A stream in pieces, as a network may deliver it."""
    if chance.random() < 0.1:  # noqa: PLR2004 -- seldom, as it is slow
        return [bytes((byte,)) for byte in stream]
    places = sorted(chance.randint(0, len(stream)) for _ in range(chance.choice((0, 0, 1, 2, 4))))
    ends = [*places, len(stream)]
    return [stream[a:b] for a, b in zip([0, *places], ends, strict=True) if a < b]


def run(
    seconds: float, seed: int, at_most: int = sys.maxsize
) -> tuple[int, Counter[str], list[str]]:
    """Fuzz for so long, or with so many streams.

    Returns:
        How many streams there were, of which kinds, and what disagreed.
    """
    chance = random.Random(seed)
    ours, twisteds = Fuzzed("fast"), Fuzzed("twisted")
    kinds: Counter[str] = Counter()
    wrong: list[str] = []
    count = 0
    until = time.monotonic() + seconds
    while count < at_most and time.monotonic() < until and len(wrong) < 10:  # noqa: PLR2004 -- enough to look at
        stream = made(chance)
        count += 1
        pieces = cut(stream, chance)
        mine, other = ours.feed(pieces), twisteds.feed(pieces)
        kinds["the same" if mine.statuses == other.statuses else "stricter"] += 1
        problem = disagreement(mine, other)
        if problem is not None:
            wrong.append(
                f"{problem}: {mine.statuses}, Twisted: {other.statuses}\n"
                f"  in {len(pieces)} pieces: {stream!r}\n"
                f"  {mine.asked}\n  {other.asked}"
            )
    return count, kinds, wrong


def main() -> None:
    """Fuzz, and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    count, kinds, wrong = run(arguments.seconds, arguments.seed)
    told = ", ".join(f"{kind}: {number}" for kind, number in sorted(kinds.items()))
    sys.stdout.write(f"{count} streams; {told}; disagreements: {len(wrong)}\n")
    for each in wrong:
        sys.stdout.write(f"{each}\n")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
