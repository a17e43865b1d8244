"""The end of a connection: what was written arrives, and no client can put it off for ever."""

import socket
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.task import Clock, deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource

from fakellm.engine.batch import Turns
from fakellm.web.front.exchange import Exchange
from fakellm.web.front.factory import Front
from fakellm.web.front.limits import Limits
from fakellm.web.site import FakeSite

reactor: Any = installed_reactor
LIMITS = Limits(body=100, drained=1000)
LARGE = 4 * 1024**2
"""More than a system takes for a client that does not read."""
SECONDS = 20.0
CLOSING = b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"


class SeeingOffTests(TestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.size = 5
        site = FakeSite(Resource(), reactor=self.clock, max_body=9, seconds=self.clock.seconds)
        self.front = Front(site, self, reactor=self.clock, limits=LIMITS)
        self.front.turns = Turns(
            reactor, self.front.batch
        )  # only the limits are on a clock of the test's
        port = reactor.listenTCP(0, self.front, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.sock = socket.socket()
        self.addCleanup(self.sock.close)
        self.sock.settimeout(SECONDS)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.connect(("127.0.0.1", port.getHost().port))

    def handler(self, exchange: Exchange) -> Any:  # noqa: ARG002 -- as `Answers` has it
        return self.answer

    def answer(self, exchange: Exchange) -> None:
        exchange.begin(200, (("Content-Length", str(self.size)),))
        exchange.write(b"x" * self.size)
        exchange.finish()

    def refuse_exchange(self, exchange: Exchange, status: int, message: str) -> object:
        exchange.begin(status, ())
        exchange.write(message.encode())
        exchange.finish()
        return None

    @property
    def connections(self) -> list[Any]:
        return list(self.front.overdue._watched)

    def read(self) -> bytes:
        """All that comes until the server closes; blocks."""
        pieces = []
        while piece := self.sock.recv(65536):
            pieces.append(piece)
        return b"".join(pieces)

    async def turn(self, until: Any) -> None:
        while not until():
            await deferLater(reactor, 0)

    async def test_a_client_that_sends_on_gets_why_it_is_refused(self) -> None:
        """Were the connection closed with bytes unread, it would be reset, and the answer lost."""
        for _ in range(20):
            self.sock.sendall(b"no HTTP\r\n\r\n" + b"x" * 50_000)
        answer = await deferToThread(self.read)
        self.assertTrue(answer.startswith(b"HTTP/1.1 400 Bad Request\r\n"))
        self.sock.close()
        await self.turn(lambda: not self.connections)

    async def test_one_that_asked_too_far_ahead_gets_its_answer_and_the_end(self) -> None:
        """It is not read from while it is answered, but has to be to be seen off."""
        asked: list[Exchange] = []
        self.answer = asked.append  # type: ignore[assignment,method-assign]
        self.sock.sendall(CLOSING + b"x" * (4 * LIMITS.ahead))
        await self.turn(lambda: asked and self.connections[0]._is_paused)
        SeeingOffTests.answer(self, asked[0])
        self.assertTrue((await deferToThread(self.read)).endswith(b"xxxxx"))
        self.sock.close()
        await self.turn(lambda: not self.connections)

    async def test_one_that_does_not_close_its_side_is_closed_after_a_while(self) -> None:
        self.sock.sendall(CLOSING)
        self.assertTrue((await deferToThread(self.read)).endswith(b"xxxxx"))
        self.assertEqual(len(self.connections), 1)
        self.clock.pump([1.0] * int(LIMITS.closing_seconds - 1))
        self.assertEqual(len(self.connections), 1)
        while self.connections:  # the system may be slow to tell that all has arrived
            self.clock.advance(1.0)
            await deferLater(reactor, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_one_that_reads_slowly_gets_all(self) -> None:
        self.size = LARGE
        self.sock.sendall(CLOSING)
        await self.turn(lambda: self.connections and self.connections[0]._is_over)
        received = b""
        for _ in range(40):
            received += await deferToThread(self.sock.recv, 16384)
            self.clock.pump([1.0] * 5)
        self.assertEqual(len(self.connections), 1)
        received += await deferToThread(self.read)
        self.assertEqual(received.count(b"x"), LARGE)
        self.sock.close()
        await self.turn(lambda: not self.connections)

    async def test_one_that_never_reads_is_broken_off(self) -> None:
        self.size = LARGE
        self.sock.sendall(CLOSING)
        await self.turn(lambda: self.connections and self.connections[0]._is_over)
        self.clock.pump([1.0] * int(LIMITS.idle_seconds + 3 * LIMITS.closing_seconds))
        await self.turn(lambda: not self.connections)
        with self.assertRaises(ConnectionResetError):
            await deferToThread(self.read)
