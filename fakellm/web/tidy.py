"""Requests of Twisted's that leave nothing behind when they end, whichever front they came by."""

from contextlib import suppress

from klein.interfaces import IKleinRequest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.server import Request


class TidyRequest(Request):
    """A request that no circle of objects holds once it has ended."""

    def notifyFinish(self) -> Deferred[None]:  # noqa: N802 -- Twisted's name
        """See `twisted.web.http.Request`; of one that has ended, nothing more is to be known.

        Klein asks when its route has answered, often after the end; what it asks with would keep
        the request in a circle that only the garbage collector finds.
        """
        if self.finished or self._disconnected:
            return Deferred()
        notified: Deferred[None] = Request.notifyFinish(self)
        return notified

    def finish(self) -> None:
        """See `twisted.web.http.Request`."""
        Request.finish(self)
        self._let_go()

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802 -- Twisted's name
        """See `twisted.web.http.Request`."""
        Request.connectionLost(self, reason)
        self._let_go()

    def _let_go(self) -> None:
        """Break the circles with what Klein hangs on a request, and with who wrote to it."""
        self.producer = None
        with suppress(KeyError):  # a request may never have come to Klein
            self.unsetComponent(IKleinRequest)  # type: ignore[no-untyped-call]
