"""Between Twisted's requests and the engine: what came in, as a value; what goes out, as a wire.

All knowledge of `IRequest` that an answer needs is here.
"""

from collections.abc import Iterable
from http.client import responses
from typing import Any
from urllib.parse import unquote

from twisted.web.server import Request
from zope.interface import implementer

from fakellm.interfaces import IWire
from fakellm.model.prompt import Received


def received(request: Request) -> Received:
    """The request as a value."""
    content = request.content
    return Received(
        method=request.method.decode("latin-1"),
        path=unquote(request.path.decode("latin-1")),
        query={
            name.decode("utf-8", "replace"): values[-1].decode("utf-8", "replace")
            for name, values in (request.args or {}).items()
        },
        headers={
            name.decode("latin-1").lower(): b", ".join(values).decode("utf-8", "replace")
            for name, values in request.requestHeaders.getAllRawHeaders()
        },
        scheme="https" if request.isSecure() else "http",
        body=b"" if content is None else content.read(),
    )


@implementer(IWire)
class RequestWire:
    """The wire of one request; ``extra`` headers go out with every head."""

    def __init__(self, request: Request, extra: Iterable[tuple[str, str]] = ()) -> None:
        self._request = request
        self._extra = extra
        self._gone = False
        request.notifyFinish().addErrback(self._left)

    def head(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """See `IWire`."""
        # Twisted knows few of the phrases, and has "Unknown Status" for the rest
        phrase = responses.get(status, "Unknown").encode("ascii")
        self._request.setResponseCode(status, phrase)
        for name, value in (*headers, *self._extra):
            # setHeader would fold two of a kind into one
            self._request.responseHeaders.addRawHeader(name, value)

    def head_bytes(self, status: int, headers: Iterable[tuple[str, str]]) -> bytes:
        """See `IWire`."""
        raise NotImplementedError

    def flush(self) -> None:
        """See `IWire`."""
        if not self._gone:
            self._request.write(b"")

    def write(self, data: bytes) -> None:
        """See `IWire`."""
        if not self._gone:
            self._request.write(data)

    def raw(self, data: bytes) -> None:
        """See `IWire`."""
        raise NotImplementedError

    def close(self) -> None:
        """See `IWire`."""
        raise NotImplementedError

    def shut(self, seconds: float, *, refused: bool, connections: int | None) -> None:
        """See `IWire`."""
        raise NotImplementedError

    def finish(self, trailers: Iterable[tuple[str, str]] = ()) -> None:  # noqa: ARG002 -- to come
        """See `IWire`."""
        if not self._gone:
            self._request.finish()

    def abort(self) -> None:
        """See `IWire`: on HTTP/2 the stream is reset, on HTTP/1.1 the connection is."""
        if self._gone:
            return
        # a stream of HTTP/2 has no transport of its own
        transport: Any = self._request.transport or self._request.channel
        transport.abortConnection()

    def register(self, producer: object) -> None:
        """See `IWire`."""
        self._request.registerProducer(producer, True)

    def unregister(self) -> None:
        """See `IWire`."""
        if not self._gone:
            self._request.unregisterProducer()

    def _left(self, _: object) -> None:
        self._gone = True
