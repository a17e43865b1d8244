"""A client with nothing but a socket: it notes each piece that comes, and how the connection ends.

It blocks in a thread of its own, as the clients of many users do, while the test has the reactor.
"""

import fcntl
import re
import socket
import struct
import termios
from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from fakellm.engine.clock import VirtualClock
from tests.connections import request, split
from tests.servers import LiveTestCase

GIVES_UP_AFTER_SECONDS = 20.0
"""A server from which nothing comes for so long hangs, and the test fails."""

_ID = re.compile(rb"chatcmpl-[A-Za-z0-9]{29}")
_SIZE = re.compile(rb"([0-9a-f]+)\r\n")


class Onlooker:
    """What one client sees.

    Args:
        url: where the server is.
        data: what it sends at once.

    Attributes:
        pieces: what each ``recv`` gave, in order.
        how: how it ended: ``closed`` (a FIN), ``reset`` (an RST) or ``refused``; empty before.
        over: fires then.
    """

    def __init__(self, url: str, data: bytes) -> None:
        host, _, port = url.removeprefix("http://").rpartition(":")
        self._where = host, int(port)
        self._data = data
        self._socket: socket.socket | None = None
        self._waiting: list[tuple[Callable[[bytes], bool], Deferred[None]]] = []
        self.pieces: list[bytes] = []
        self.how = ""
        self.over: Deferred[Any] = deferToThread(self._read).addCallback(self._ended)

    def _read(self) -> str:
        threads: Any = IReactorFromThreads(reactor)
        try:
            with socket.create_connection(self._where, GIVES_UP_AFTER_SECONDS) as client:
                self._socket = client
                client.sendall(self._data)
                while piece := client.recv(65536):
                    threads.callFromThread(self._more, piece)
        except ConnectionRefusedError:
            return "refused"
        except ConnectionResetError:
            return "reset"
        return "closed"

    def _more(self, piece: bytes) -> None:
        self.pieces.append(piece)
        self._tell()

    def _ended(self, how: str) -> None:
        self.how = how
        self._tell()

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        for enough, told in waiting:
            if self.how or enough(self.received):
                told.callback(None)
            else:
                self._waiting.append((enough, told))

    def until(self, enough: Callable[[bytes], bool]) -> Deferred[None]:
        """Fires once what has come is enough, or nothing more will."""
        told: Deferred[None] = Deferred()
        self._waiting.append((enough, told))
        self._tell()
        return told

    def more(self) -> Deferred[None]:
        """Fires once more has come than has by now, or nothing more will."""
        size = len(self.received)
        return self.until(lambda data: len(data) > size)

    def leave(self) -> None:
        """Close the connection, whatever has come."""
        assert self._socket is not None
        self._socket.shutdown(socket.SHUT_RDWR)

    @property
    def unread(self) -> int:
        """Bytes that have come to this machine's side of it, and that it has not read yet."""
        if self._socket is None:
            return 0
        try:
            found = fcntl.ioctl(self._socket.fileno(), termios.FIONREAD, b"\0" * 4)
        except (OSError, ValueError):
            return 0  # it is closed
        count: int = struct.unpack("i", found)[0]
        return count

    @property
    def received(self) -> bytes:
        """All that has come."""
        return b"".join(self.pieces)

    @property
    def status(self) -> int:
        """The status; 0 before there is one."""
        return int(split(self.received)[0].split()[1]) if self.received else 0

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        """The headers, by their names in lower case."""
        return split(self.received)[1]

    @property
    def chunks(self) -> list[bytes]:
        """The chunks of HTTP in which the body came, the empty one at its end included."""
        return _dechunked(split(self.received)[2])[0]

    @property
    def rest(self) -> bytes:
        """What came behind the last sound chunk of HTTP."""
        return _dechunked(split(self.received)[2])[1]

    @property
    def body(self) -> bytes:
        """The body as far as it came."""
        return _body(self.received)

    @property
    def cuts(self) -> set[int]:
        """How much of the body had come after each piece."""
        ends = accumulate(map(len, self.pieces))
        return {len(_body(self.received[:end])) for end in ends}

    @property
    def is_whole(self) -> bool:
        """Whether all came that was announced, and no more."""
        if b"transfer-encoding" in self.headers:
            return self.chunks[-1:] == [b""] and not self.rest
        return len(self.body) == int(self.headers[b"content-length"])


def _body(received: bytes) -> bytes:
    """The body in what was received, as far as it came."""
    head, _, rest = received.partition(b"\r\n\r\n")
    if b"\r\nTransfer-Encoding: chunked" not in head:
        return rest
    sound, cut = _dechunked(rest)
    begun = _SIZE.match(cut)
    return b"".join(sound) + (cut[begun.end() :].removesuffix(b"\r\n") if begun else b"")


def _dechunked(data: bytes) -> tuple[list[bytes], bytes]:
    """The chunks that are sound, and what follows them."""
    chunks: list[bytes] = []
    while size := _SIZE.match(data):
        end = size.end() + int(size[1], 16)
        if data[end : end + 2] != b"\r\n":
            break
        chunks.append(data[size.end() : end])
        data = data[end + 2 :]
    return chunks, data


def alike(body: bytes) -> bytes:
    """A body with a stand-in for the answer's id, which no two answers share."""
    return _ID.sub(b"chatcmpl-" + b"i" * 29, body)


class OnlookerTestCase(LiveTestCase):
    """Tests of what an onlooker sees of a server whose time is the test's `clock`."""

    def setUp(self) -> None:
        super().setUp()
        self.clock = VirtualClock()
        self.url = ""

    def serve(self, **settings: Any) -> str:
        """Start the server that is looked at; without it, one with default settings is started."""
        self.url = super().serve(clock=self.clock, **settings)
        return self.url

    def look(self, fault: str = "", *, lasting: bool = False, **fields: Any) -> Onlooker:
        """Ask for a fault, and look on.

        Args:
            fault: as the header has it.
            lasting: leave the connection open behind the answer, unless the fault ends it.
            **fields: those of the prompt.
        """
        if not self.url:
            self.serve()
        headers = f"X-FakeLLM-Fault: {fault}\r\n" if fault else ""
        headers += "" if lasting else "Connection: close\r\n"
        onlooker = Onlooker(self.url, request(headers=headers, **fields))

        def leave() -> Deferred[Any]:
            if not onlooker.how:
                onlooker.leave()
            return onlooker.over

        self.addCleanup(leave)
        return onlooker

    async def seen(self, fault: str = "", **fields: Any) -> Onlooker:
        """All that is seen when time passes as fast as it can."""
        onlooker = self.look(fault, **fields)
        await self.arrived(onlooker)
        while self.clock.next():
            await turn()
        await onlooker.over
        return onlooker

    async def arrived(self, onlooker: Onlooker) -> None:
        """Wait until the server has the request."""
        while not (self.server._engine.running or onlooker.pieces or onlooker.how):
            await turn()

    async def step(self, onlooker: Onlooker) -> bool:
        """Let time pass until something comes; whether anything is still to come."""
        more = onlooker.more()
        before = self.clock.seconds()
        self.clock.next()
        if self.clock.seconds() > before:
            await more
            while onlooker.unread:  # more than one thing was due, and each was sent by itself
                await turn()
        return bool(self.clock.pending)

    async def faults(self) -> dict[str, int]:
        """The faults that the server counted."""
        health = await (await self.client.get(f"{self.url}/health")).json()
        counted: dict[str, int] = health["faults"]
        return counted


async def turn() -> None:
    """Let the reactor, and the threads beside it, do what they have to do."""
    await deferLater(IReactorTime(reactor), 0.0005)
