"""A front in memory, whose time is a clock's, and whose answers are what a test says."""

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from fakellm.web.front.exchange import Exchange
from fakellm.web.front.factory import Front
from fakellm.web.front.limits import Limits
from fakellm.web.site import FakeSite

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
LIMITS = Limits(body=100, drained=1000, ahead=200)


def echo(exchange: Exchange) -> None:
    """Answer at once with what was asked."""
    head = exchange.head
    answer(exchange, b"%b %b %b" % (head.method, head.uri, exchange.body))


def answer(exchange: Exchange, body: bytes, status: int = 200) -> None:
    """Answer with a body."""
    exchange.begin(status, (("Content-Length", str(len(body))),))
    exchange.write(body)
    exchange.finish()


def hold(exchange: Exchange) -> None:
    """Do not answer yet."""


class Transport(StringTransport):
    """A transport that knows how its end was asked for.

    Attributes:
        end: ``closed``, ``reset``, or nothing yet.
    """

    end = ""

    def loseConnection(self) -> None:
        super().loseConnection()
        self.end = self.end or "closed"

    def abortConnection(self) -> None:
        super().abortConnection()
        self.end = "reset"


class FrontTestCase(SynchronousTestCase):
    """Tests of one connection.

    Attributes:
        asked: the exchanges there were, in order.
        handle: what answers them; without it, the resource does.
        refused: statuses and texts of what was refused.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[Exchange] = []
        self.handle: Callable[[Exchange], None] | None = echo
        self.refused: list[tuple[int, str]] = []
        self.root = Resource()
        self.connect()

    def connect(self, limits: Limits = LIMITS) -> None:
        site = FakeSite(self.root, reactor=self.clock, max_body=100, seconds=self.clock.seconds)
        self.front = Front(site, self, reactor=self.clock, limits=limits)
        self.connection: Any = self.front.buildProtocol(None)
        self.transport = Transport()
        self.connection.makeConnection(self.transport)

    def handler(self, exchange: Exchange) -> Callable[[Exchange], object] | None:
        """See `Answers`."""
        self.asked.append(exchange)
        return self.handle

    def refuse_exchange(self, exchange: Exchange, status: int, message: str) -> object:
        """See `Answers`."""
        self.refused.append((status, message))
        answer(exchange, message.encode(), status)
        return None

    def send(self, *pieces: bytes) -> bytes:
        """Let bytes come; what was sent because of them."""
        before = len(self.transport.value())
        for piece in pieces:
            self.connection.dataReceived(piece)
        sent: bytes = self.transport.value()[before:]
        return sent

    def leave(self) -> None:
        """Let the client go."""
        self.connection.connectionLost(Failure(ConnectionDone()))

    def bodies(self) -> list[bytes]:
        """What was answered: all bodies that have a length."""
        found = []
        rest = self.transport.value()
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            found.append(rest[:length])
            rest = rest[length:]
        return found

    def pass_time(self, seconds: float) -> None:
        """Let time pass, second by second."""
        self.clock.pump([1.0] * int(seconds))
