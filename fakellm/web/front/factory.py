"""The front: makes a connection of each that comes, and hands what is asked to whom it is for."""

from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

from twisted.internet.interfaces import (
    IAddress,
    IProtocolNegotiationFactory,
    IReactorTime,
    ISSLTransport,
    ITransport,
)
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from zope.interface import implementer

from fakellm.engine.batch import Batch, Turns
from fakellm.engine.overdue import Overdue
from fakellm.web.front.answer import Dates
from fakellm.web.front.connection import FrontConnection
from fakellm.web.front.exchange import Exchange
from fakellm.web.front.heads import Heads
from fakellm.web.front.limits import Limits
from fakellm.web.front.refusal import Refusal
from fakellm.web.front.request import FrontRequest
from fakellm.web.site import FakeSite

Handler = Callable[[Exchange], object]


class Answers(Protocol):
    """What the front needs of an API."""

    def handler(self, exchange: Exchange) -> Handler | None:
        """Who answers such a request, if that is known already."""

    def refuse_exchange(self, exchange: Exchange, status: int, message: str) -> object:
        """Answer with an error."""


@implementer(IProtocolNegotiationFactory)
class Front(Factory):
    """A protocol factory for plain connections; those over TLS it leaves to a site of Twisted's.

    Args:
        site: has the resource that is served, and serves it over TLS.
        answers: who answers at once what was asked before, and words refusals.
        reactor: real time.
        limits: the bounds of connections.
        batch: what connections have to send is held back in.
    """

    noisy = False

    def __init__(
        self,
        site: FakeSite,
        answers: Answers,
        *,
        reactor: IReactorTime,
        limits: Limits,
        batch: Batch | None = None,
    ) -> None:
        self._log = Logger()
        self._site: Any = site
        self._answers = answers
        self.limits = limits
        self.heads = Heads(limits)
        self.dates = Dates()
        self.overdue = Overdue(reactor)
        self.batch = Batch() if batch is None else batch
        self.turns = Turns(reactor, self.batch)
        self.seconds = site.seconds
        self._verbose = site.verbose

    def acceptableProtocols(self) -> list[bytes]:  # noqa: N802 -- Twisted's name
        """The protocols a TLS connection may choose from."""
        offered: list[bytes] = self._site.acceptableProtocols()
        return offered

    def buildProtocol(self, addr: IAddress | None) -> FrontConnection:  # noqa: ARG002, N802
        """See `Factory`."""
        return FrontConnection(self)

    def other_for(self, transport: ITransport) -> Any:
        """The protocol that serves a connection in our place, if one does."""
        if not ISSLTransport.providedBy(transport):
            return None
        return self._site.buildProtocol(transport.getPeer())

    def serve(self, exchange: Exchange) -> None:
        """Answer, by whom is known to answer the like, or else by Twisted's and Klein's ways."""
        try:
            handler = self._answers.handler(exchange)
            if handler is not None:
                handler(exchange)
                return
            request: Any = FrontRequest(exchange, self._site)
            if exchange.head.path == b"*":
                _answer_asterisk(request)
                return
            request.prepath = []
            request.postpath = _segments(exchange.head.path)
            request.render(self._site.getResourceFor(request))
        except Exception:  # noqa: BLE001 -- whatever broke, the client must not hang
            self._log.failure("A request could not be answered.")
            if exchange.has_begun:
                exchange.connection.break_off()
            else:
                exchange.keeps = False
                self._answers.refuse_exchange(exchange, 500, "")

    def refuse(self, exchange: Exchange, refusal: Refusal) -> None:
        """Answer what could not be understood."""
        self._answers.refuse_exchange(exchange, refusal.status, refusal.message)

    def note(self, exchange: Exchange) -> None:
        """Log an answer, at the level debug."""
        if self._verbose:
            head = exchange.head
            self._site.note(head.method, head.path, exchange.status, exchange.sent)


def _segments(path: bytes) -> list[bytes]:
    """The segments of a path, unquoted."""
    return [unquote_to_bytes(each) for each in path[1:].split(b"/")]


def _answer_asterisk(request: Any) -> None:
    """Answer what is asked of the server as a whole (RFC 9110, 9.3.7)."""
    if request.method != b"OPTIONS":
        request.setResponseCode(405, b"Method Not Allowed")
        request.setHeader(b"Allow", b"OPTIONS")
    request.setHeader(b"Content-Length", b"0")
    request.finish()
