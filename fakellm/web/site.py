"""The HTTP server: Twisted's own, with a bound on bodies and without its access log."""

import re
from collections.abc import Callable
from io import BytesIO
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.http import HTTPChannel
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from fakellm.web.tidy import TidyRequest

DRAINED_AT_MOST = 256 * 1024**2
"""Bytes of a body over the limit that are read and dropped, so that its sender gets the answer."""

_ABSOLUTE = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)


class BoundedRequest(TidyRequest):
    """A request that keeps no more of its body than the site allows.

    A target in absolute form, which proxies are sent, is as good as its path (RFC 9112, 3.2.2).

    Attributes:
        body_too_large: whether there was more.
        arrived: when its first line came, in seconds of the server's clock.
    """

    def __init__(self, channel: HTTPChannel, *args: Any, **kwargs: Any) -> None:
        Request.__init__(self, channel, *args, **kwargs)
        self.body_too_large = False
        self._body_bytes = 0
        site: FakeSite = channel.site  # type: ignore[attr-defined]
        self._max_body = site.max_body
        self.arrived = site.seconds()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:  # noqa: N802
        """See `twisted.web.http.Request`."""
        absolute = _ABSOLUTE.match(path)
        if absolute:
            path = b"/" + path[absolute.end() :].removeprefix(b"/")
        Request.requestReceived(self, command, path, version)

    def gotLength(self, length: int | None) -> None:  # noqa: N802 -- Twisted's name
        """See `twisted.web.http.Request`."""
        self.body_too_large = length is not None and length > self._max_body
        Request.gotLength(self, 0 if self.body_too_large else length)

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802 -- Twisted's name
        """See `twisted.web.http.Request`."""
        self._body_bytes += len(data)
        if self._body_bytes > self._max_body + DRAINED_AT_MOST:
            channel: Any = self.channel
            if isinstance(channel, HTTPChannel):
                channel.forceAbortClient()
            else:
                channel.abortConnection()  # a stream of HTTP/2, not its connection
        elif self._body_bytes > self._max_body:
            self.body_too_large = True
            self.content = BytesIO()
        else:
            Request.handleContentChunk(self, data)


class FakeSite(Site):
    """Serves one resource at the root.

    Args:
        resource: what is served.
        reactor: for the timeouts of connections.
        max_body: bytes that a request's body may have.
        seconds: gives the time of the clock that answers are on.
        verbose: log a line for each answer, at the level debug; else nothing is spent on it.
    """

    _said = Logger()

    def __init__(
        self,
        resource: IResource,
        *,
        reactor: IReactorTime,
        max_body: int,
        seconds: Callable[[], float],
        verbose: bool = False,
    ) -> None:
        Site.__init__(
            self,
            resource,
            requestFactory=BoundedRequest,
            parsePOSTFormSubmission=False,
            reactor=reactor,
        )
        self.displayTracebacks = False
        self.max_body = max_body
        self.seconds = seconds
        self.verbose = verbose

    def log(self, request: Any) -> None:
        """See `twisted.web.http.HTTPFactory`."""
        if self.verbose:
            self.note(request.method, request.path, request.code, request.sentLength)

    def note(self, method: bytes, path: bytes, status: int, size: int) -> None:
        """Log an answer, without the query, in which some clients put their keys."""
        self._said.debug(
            "{method} {path} {status} {bytes} bytes",
            method=method.decode("latin-1"),
            path=path.decode("latin-1"),
            status=status,
            bytes=size,
        )
