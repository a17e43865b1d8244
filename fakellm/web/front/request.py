"""A request as Klein and the resources of Twisted Web know it, for what is not dispatched faster.

It is Twisted's own class, so that nothing is missing; only what is below it is ours.
"""

from io import BytesIO
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure
from twisted.web.http import datetimeToString
from twisted.web.http_headers import Headers

from fakellm.web.front.answer import SERVER
from fakellm.web.front.exchange import Exchange
from fakellm.web.tidy import TidyRequest

_NOWHERE = b"localhost"


class FrontRequest(TidyRequest):
    """The request of an exchange.

    Args:
        exchange: is answered by what is done to the request, or to itself.
        site: what the request belongs to.

    Attributes:
        exchange: that.
        arrived: see `Exchange`.
        body_too_large: see `Exchange`.
    """

    def __init__(self, exchange: Exchange, site: Any) -> None:
        channel: Any = _Channel(exchange, site)
        TidyRequest.__init__(self, channel, parsePOSTFormSubmission=False)  # type: ignore[no-untyped-call]
        self.exchange = exchange
        self.arrived = exchange.arrived
        self.body_too_large = exchange.body_too_large
        self.site = site
        head = exchange.head
        for name, value in head.fields:
            self.requestHeaders.addRawHeader(name, value)
        self.method, self.uri, self.path = head.method, head.uri, head.path
        self.clientproto = b"HTTP/1.1" if head.is_1_1 else b"HTTP/1.0"
        self.args = dict(head.args)
        self.content = BytesIO(exchange.body)
        self.parseCookies()  # type: ignore[no-untyped-call]
        self.setHeader(b"Server", SERVER.encode())  # type: ignore[no-untyped-call]
        self.setHeader(b"Date", datetimeToString())  # type: ignore[no-untyped-call]
        if not exchange.keeps:
            self.setHeader(b"Connection", b"close")  # type: ignore[no-untyped-call]
        exchange.left = self._left
        exchange.ended = self._ended

    def getRequestHostname(self) -> bytes:  # noqa: N802 -- Twisted's name
        """See `IRequest`; sockets of the file system have no host of their own."""
        found = self.exchange.head.hostname
        if found is not None:
            return found
        host = getattr(self.getHost(), "host", None)  # type: ignore[no-untyped-call]
        return _NOWHERE if host is None else str(host).encode()

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802 -- Twisted's name
        """See `twisted.web.http.Request`."""
        if self.finished or self._disconnected:
            self._let_go()
        else:
            super().connectionLost(reason)

    def _left(self, reason: Failure) -> None:
        self.connectionLost(reason)

    def _ended(self) -> None:
        """The exchange was answered; if not by this object, those who wait here are told."""
        if self.finished or self._disconnected:
            return
        self.finished = 1
        self.startedWriting = 1
        self.producer = None
        self._cleanup()  # type: ignore[no-untyped-call]
        self._let_go()

    def _let_go(self) -> None:
        super()._let_go()
        self.exchange.left = self.exchange.ended = None


class _Channel:
    """What a request of Twisted's does to its connection, done to an exchange."""

    factory = None  # what is answered is noted elsewhere

    def __init__(self, exchange: Exchange, site: Any) -> None:
        self._exchange = exchange
        self.site = site
        self.transport: Any = exchange.connection.transport

    def getPeer(self) -> IAddress:  # noqa: N802 -- Twisted's name
        peer: IAddress = self.transport.getPeer()
        return peer

    def getHost(self) -> IAddress:  # noqa: N802 -- Twisted's name
        host: IAddress = self.transport.getHost()
        return host

    def isSecure(self) -> bool:  # noqa: N802 -- Twisted's name
        return False

    def writeHeaders(  # noqa: N802 -- Twisted's name
        self, version: bytes, code: bytes, reason: bytes, headers: Headers
    ) -> None:
        exchange = self._exchange
        exchange.has_begun = True
        exchange.status = int(code)
        if version != b"HTTP/1.1" and not headers.hasHeader(b"Content-Length"):
            exchange.keeps = False
        lines = [
            b"%b: %b\r\n" % (name, value)
            for name, values in headers.getAllRawHeaders()
            for value in values
        ]
        exchange.raw(b"%b %b %b\r\n%b\r\n" % (version, code, reason, b"".join(lines)))

    def write(self, data: bytes) -> None:
        self._exchange.raw(data)

    def writeSequence(self, data: Any) -> None:  # noqa: N802 -- Twisted's name
        self._exchange.raw(b"".join(data))

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: N802
        if streaming:
            self._exchange.connection.register(self._exchange, producer)
        else:
            self._exchange.connection.pull(producer)

    def unregisterProducer(self) -> None:  # noqa: N802 -- Twisted's name
        self._exchange.producer = None
        self._exchange.connection.pull_no_more()

    def requestDone(self, request: FrontRequest) -> None:  # noqa: N802 -- Twisted's name
        self._exchange.sent = request.sentLength or self._exchange.sent
        self._exchange.end()

    def loseConnection(self) -> None:  # noqa: N802 -- Twisted's name
        self._exchange.lose()

    def abortConnection(self) -> None:  # noqa: N802 -- Twisted's name
        self._exchange.connection.break_off()

    forceAbortClient = abortConnection  # noqa: N815 -- Twisted's name
