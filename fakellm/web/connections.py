"""The open connections of a server, so that it can leave none behind, and those it turns away."""

from collections.abc import Callable
from socket import SHUT_WR
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IProtocolNegotiationFactory,
    IReactorTime,
    ISystemHandle,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from fakellm.engine.patience import wait

_SEEN_OFF_SECONDS = 1.0
"""How long a client that is turned away has to notice."""


@implementer(IProtocolNegotiationFactory)
class Connections(WrappingFactory[ProtocolWrapper]):
    """A protocol factory like the one it wraps, which knows the connections it made.

    Args:
        wrapped: the factory.
        reactor: real time.
        turned_away: asked once for each new connection whether it is to be closed at once.
    """

    noisy = False

    def __init__(
        self, wrapped: Any, reactor: IReactorTime, turned_away: Callable[[], bool]
    ) -> None:
        super().__init__(wrapped)  # type: ignore[no-untyped-call]
        self._reactor = reactor
        self._turned_away = turned_away
        self._closed: list[Deferred[None]] = []

    def acceptableProtocols(self) -> list[bytes]:  # noqa: N802 -- Twisted's name
        """The protocols a TLS connection may choose from, HTTP/2 where it is installed."""
        offered: list[bytes] = self.wrappedFactory.acceptableProtocols()
        return offered

    def buildProtocol(self, addr: IAddress | None) -> ProtocolWrapper:  # noqa: N802 -- Twisted's name
        """See `WrappingFactory`."""
        if self._turned_away():
            return self.protocol(self, _TurnedAway(self._reactor))
        return super().buildProtocol(addr)

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


class _TurnedAway(Protocol):
    """A connection that ends as it begins: with a FIN and without a byte, one of TLS as well.

    Were it closed with bytes of the client's unread, the system would send an RST, so they are read
    until the client closes its side, or has had the time to.
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:  # noqa: N802 -- Twisted's name
        """See `Protocol`."""
        wire: Any = self.transport
        while (below := getattr(wire, "transport", None)) is not None:
            wire = below
        has_socket: bool = ISystemHandle.providedBy(wire)
        if not has_socket:
            wire.loseConnection()
            return
        try:
            wire.getHandle().shutdown(SHUT_WR)
        except OSError:
            wire.abortConnection()  # it has gone already
            return
        Deferred.fromCoroutine(
            wait(self._lost, self._reactor, _SEEN_OFF_SECONDS, wire.abortConnection)
        )

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002, N802
        """See `Protocol`."""
        self._lost.callback(None)
