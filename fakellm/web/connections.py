"""The open connections of a server, so that it can leave none behind."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocolNegotiationFactory
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from zope.interface import implementer


@implementer(IProtocolNegotiationFactory)
class Connections(WrappingFactory[ProtocolWrapper]):
    """A protocol factory like the one it wraps, which knows the connections it made."""

    noisy = False

    def __init__(self, wrapped: Any) -> None:
        super().__init__(wrapped)  # type: ignore[no-untyped-call]
        self._closed: list[Deferred[None]] = []

    def acceptableProtocols(self) -> list[bytes]:  # noqa: N802 -- Twisted's name
        """The protocols a TLS connection may choose from, HTTP/2 where it is installed."""
        offered: list[bytes] = self.wrappedFactory.acceptableProtocols()
        return offered

    def unregisterProtocol(self, p: ProtocolWrapper) -> None:  # noqa: N802 -- Twisted's name
        """See `WrappingFactory`."""
        super().unregisterProtocol(p)  # type: ignore[no-untyped-call]
        if not self.protocols:
            closed, self._closed = self._closed, []
            for deferred in closed:
                deferred.callback(None)

    def close(self) -> Deferred[None]:
        """Close every connection once what was written is sent; fires when all are closed."""
        for protocol in list(self.protocols):
            protocol.loseConnection()
        closed: Deferred[None] = Deferred()
        if self.protocols:
            self._closed.append(closed)
        else:
            closed.callback(None)
        return closed

    def abort(self) -> None:
        """Break every connection off."""
        for protocol in list(self.protocols):
            protocol.abortConnection()
