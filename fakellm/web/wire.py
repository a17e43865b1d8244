"""Between Twisted's requests and the engine: what came in, as a value; what goes out, as a wire.

All knowledge of `IRequest` that an answer needs is here.
"""

import re
from collections.abc import Iterable
from http.client import responses
from typing import Any, Protocol
from urllib.parse import unquote

from twisted.internet.address import UNIXAddress
from twisted.internet.error import ConnectionAborted
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.server import Request
from zope.interface import implementer

from fakellm.engine.lingering import Lingering
from fakellm.interfaces import IWire
from fakellm.model.prompt import Received
from fakellm.model.timeline import Whole
from fakellm.web.arrival import is_known_at_once, to_arrive
from fakellm.web.straight import Send, way_out

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token, as names of fields are (RFC 9110, 5.6.2)."""

_NOT_IN_TRAILERS = frozenset(
    (
        "authorization", "cache-control", "connection", "content-encoding", "content-length",
        "content-range", "content-type", "host", "keep-alive", "set-cookie", "te", "trailer",
        "transfer-encoding", "upgrade",
    )
)  # fmt: skip
"""Fields that are about the message's framing, or come too late there (RFC 9110, 6.5.1)."""


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
        client=client_at(request.getClientAddress()),
    )


def client_at(address: Any) -> str:
    """The address and the port that requests come from, as text."""
    host = getattr(address, "host", None)
    if host is None:
        return "unix" if isinstance(address, UNIXAddress) else ""
    return f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"


class Door(Protocol):
    """What can turn new connections away."""

    def shut(self, seconds: float, *, refused: bool, connections: int | None) -> None:
        """See `fakellm.model.timeline.Shut`."""


class Surroundings:
    """What the wires of a server share.

    Args:
        lingering: waits until a client has got what was written.
        door: turns connections away.
        extra: headers that go out with every head.

    Attributes:
        extra_lines: the same as text, each with the end of the line before it.
        extra_bytes: the same, encoded.
    """

    def __init__(
        self,
        *,
        lingering: Lingering,
        door: Door | None = None,
        extra: Iterable[tuple[str, str]] = (),
    ) -> None:
        self.lingering = lingering
        self.door = door
        self.extra = tuple(extra)
        self.extra_lines = "".join(f"\r\n{name}: {value}" for name, value in self.extra)
        self.extra_bytes = self.extra_lines.encode()


@implementer(IWire)
class RequestWire:
    """The wire of one request; after its end, and once the client has gone, it does nothing."""

    __slots__ = ("_around", "_open", "_request", "_send")

    def __init__(self, request: Request, around: Surroundings) -> None:
        self._request = request
        self._around = around
        self._open = True  # an answer may be written
        self._send: Send = self._write_first
        request.notifyFinish().addBoth(self._left)

    def head(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """See `IWire`."""
        # Twisted knows few of the phrases, and has "Unknown Status" for the rest
        phrase = responses.get(status, "Unknown").encode("ascii")
        self._request.setResponseCode(status, phrase)
        for name, value in (*headers, *self._around.extra):
            if name.lower() == "server":  # which Twisted sets before
                self._request.responseHeaders.removeHeader(name)
            # setHeader would fold two of a kind into one
            self._request.responseHeaders.addRawHeader(name, value)

    def head_bytes(self, status: int, headers: Iterable[tuple[str, str]]) -> bytes:
        """See `IWire`: a stream of HTTP/2 has no bytes of its own."""
        self.head(status, headers)
        if not self._may_answer():
            return b""
        channel: Any = self._request.channel
        if not isinstance(channel, HTTPChannel):
            return b""
        noted = _Noting()
        transport, channel.transport = channel.transport, noted  # type: ignore[assignment]
        try:
            self._request.write(b"")
        finally:
            channel.transport = transport
        return noted.data

    def flush(self) -> None:
        """See `IWire`."""
        if self._may_answer() and not self._request.startedWriting:
            self._request.write(b"")

    def write(self, data: bytes) -> None:
        """See `IWire`."""
        if data and self._open:
            self._send(data)

    def raw(self, data: bytes) -> None:
        """See `IWire`: a stream of HTTP/2 is not the connection, and nothing is sent."""
        if self._may_answer() and isinstance(self._request.channel, HTTPChannel):
            self._request.channel.write(data)

    def finish(self, trailers: Iterable[tuple[str, str]] = ()) -> None:
        """See `IWire`: trailers can go where the body is in HTTP's chunks (RFC 9112, 7.1.2).

        A field that none may be there, or that has no proper name, is left out.
        """
        if not self._may_answer():
            return
        self._open = False
        request = self._request
        fields = b"".join(field(name, value) for name, value in trailers)
        if fields:
            if not request.startedWriting:
                request.write(b"")
            if request.chunked and isinstance(request.channel, HTTPChannel):
                request.chunked = 0  # so that Twisted does not end it once more
                request.channel.write(b"0\r\n" + fields + b"\r\n")
        request.finish()

    def whole(self, answer: Whole) -> None:
        """See `IWire`."""
        self.head(answer.status, answer.headers)
        self.write(answer.body)
        self.finish()

    def close(self) -> None:
        """See `IWire`: a stream of HTTP/2 is reset, for it cannot end before its end.

        A client that does not read what was written holds the connection for a while only.
        """
        if not self._may_answer():
            return
        channel: Any = self._request.channel
        if not isinstance(channel, HTTPChannel):
            self.abort()
            return
        self._open = False
        channel.loseConnection()
        self._around.lingering.until(self._to_be_closed, self._break_off)

    def abort(self) -> None:
        """See `IWire`: on HTTP/2 the stream is reset, on HTTP/1.1 the connection is."""
        if not self._may_answer():
            return
        self._open = False
        self._around.lingering.until(
            self._to_arrive, self._break_off, at_once=is_known_at_once(self._request)
        )

    def shut(self, seconds: float, *, refused: bool, connections: int | None) -> None:
        """See `IWire`."""
        if self._around.door is not None:
            self._around.door.shut(seconds, refused=refused, connections=connections)

    def register(self, producer: object) -> None:
        """See `IWire`."""
        if self._may_answer():
            self._request.registerProducer(producer, True)

    def unregister(self) -> None:
        """See `IWire`."""
        if not self._is_gone():
            self._request.unregisterProducer()

    def _write_first(self, data: bytes) -> None:
        self._request.write(data)
        self._send = way_out(self._request)

    def _left(self, _: object) -> None:
        self._open = False
        self._send = self._request.write  # what was there holds the socket

    def _is_gone(self) -> bool:
        """Whether the request has ended, or its connection; others may be told so earlier."""
        return getattr(self._request, "channel", None) is None

    def _may_answer(self) -> bool:
        return self._open and not self._is_gone()

    def _break_off(self) -> None:
        if self._is_gone():
            return
        channel: Any = self._request.channel
        if isinstance(channel, HTTPChannel):
            transport: Any = channel.transport
            transport.abortConnection()
            return
        channel.abortConnection()
        if not self._is_gone():  # of a stream that was reset on this side, Twisted tells nobody
            channel.connectionLost(Failure(ConnectionAborted()))

    def _to_arrive(self) -> int:
        return 0 if self._is_gone() else to_arrive(self._request)

    def _to_be_closed(self) -> int:
        return 0 if self._is_gone() else 1 + to_arrive(self._request)


def field(name: str, value: str) -> bytes:
    """A line of a trailer; nothing where it cannot go."""
    if not _NAME.fullmatch(name) or name.lower() in _NOT_IN_TRAILERS:
        return b""
    line = " ".join(value.replace("\0", " ").split())
    return b"%b: %b\r\n" % (name.encode("ascii"), line.encode("utf-8", "replace"))


class _Noting:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    def writeSequence(self, data: Iterable[bytes]) -> None:  # noqa: N802 -- Twisted's name
        self.data += b"".join(data)
