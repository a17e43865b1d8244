"""Between Twisted's requests and the engine: what came in, as a value; what goes out, as a wire.

All knowledge of `IRequest` that an answer needs is here.
"""

import socket
import struct
from collections.abc import Iterable
from http.client import responses
from typing import Any, Protocol
from urllib.parse import unquote

from twisted.internet.address import UNIXAddress
from twisted.internet.tcp import Connection
from twisted.web.http import HTTPChannel
from twisted.web.server import Request
from zope.interface import implementer

from fakellm.engine.lingering import Lingering
from fakellm.interfaces import IWire
from fakellm.model.prompt import Received
from fakellm.web.straight import Send, is_idle, socket_transport, straight

try:
    from fcntl import ioctl
    from termios import TIOCOUTQ
except ImportError:  # pragma: no cover -- Windows
    ioctl = None  # type: ignore[assignment]


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
        client=_client(request),
    )


def _client(request: Request) -> str:
    """The address and the port that a request came from."""
    address: Any = request.getClientAddress()
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


@implementer(IWire)
class RequestWire:
    """The wire of one request."""

    __slots__ = ("_around", "_gone", "_request", "_send")

    def __init__(self, request: Request, around: Surroundings) -> None:
        self._request = request
        self._around = around
        self._gone = False
        self._send: Send | None = None  # where chunks go once the head is sent
        request.notifyFinish().addErrback(self._left)

    def head(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """See `IWire`."""
        # Twisted knows few of the phrases, and has "Unknown Status" for the rest
        phrase = responses.get(status, "Unknown").encode("ascii")
        self._request.setResponseCode(status, phrase)
        for name, value in (*headers, *self._around.extra):
            # setHeader would fold two of a kind into one
            self._request.responseHeaders.addRawHeader(name, value)

    def head_bytes(self, status: int, headers: Iterable[tuple[str, str]]) -> bytes:
        """See `IWire`: a stream of HTTP/2 has no bytes of its own."""
        self.head(status, headers)
        channel: Any = self._request.channel
        if self._gone or not isinstance(channel, HTTPChannel):
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
        if not self._gone and not self._request.startedWriting:
            self._request.write(b"")

    def write(self, data: bytes) -> None:
        """See `IWire`."""
        if self._gone or not data:
            return
        request = self._request
        if self._send is not None:
            request.sentLength += len(data)
            self._send(b"%x\r\n%b\r\n" % (len(data), data))
            return
        request.write(data)
        if request.chunked and isinstance(request.channel, HTTPChannel):
            connection = socket_transport(request.channel.transport)
            if connection is not None and connection.connected:
                self._send = straight(connection)

    def raw(self, data: bytes) -> None:
        """See `IWire`: a stream of HTTP/2 is not the connection, and nothing is sent."""
        if not self._gone and isinstance(self._request.channel, HTTPChannel):
            self._request.channel.write(data)

    def finish(self, trailers: Iterable[tuple[str, str]] = ()) -> None:
        """See `IWire`: trailers can go where the body is in HTTP's chunks (RFC 9112, 7.1.2)."""
        if self._gone:
            return
        request = self._request
        fields = b"".join(b"%b: %b\r\n" % (_line(name), _line(value)) for name, value in trailers)
        if fields and request.startedWriting and request.chunked:
            request.chunked = 0  # so that Twisted does not end it once more
            request.channel.write(b"0\r\n" + fields + b"\r\n")
        request.finish()

    def close(self) -> None:
        """See `IWire`: a stream of HTTP/2 is reset, for it cannot end before its end."""
        if self._gone:
            return
        channel: Any = self._request.channel
        if isinstance(channel, HTTPChannel):
            channel.loseConnection()
        else:
            self._break_off()

    def abort(self) -> None:
        """See `IWire`: on HTTP/2 the stream is reset, on HTTP/1.1 the connection is."""
        if not self._gone:
            self._around.lingering.until(self._has_arrived, self._break_off)

    def shut(self, seconds: float, *, refused: bool, connections: int | None) -> None:
        """See `IWire`."""
        if self._around.door is not None:
            self._around.door.shut(seconds, refused=refused, connections=connections)

    def register(self, producer: object) -> None:
        """See `IWire`."""
        self._request.registerProducer(producer, True)

    def unregister(self) -> None:
        """See `IWire`."""
        if not self._gone:
            self._request.unregisterProducer()

    def _left(self, _: object) -> None:
        self._gone = True

    def _break_off(self) -> None:
        if self._gone:
            return
        # a stream of HTTP/2 has no transport of its own
        transport: Any = self._request.transport or self._request.channel
        transport.abortConnection()

    def _has_arrived(self) -> bool:
        """Whether the client has got all that was written, as far as can be known."""
        channel: Any = self._request.channel
        connection = None if self._gone else _connection(getattr(channel, "transport", None))
        if connection is None or not connection.connected:
            return True
        return is_idle(connection) and not _unsent(connection.socket)


def _connection(transport: Any) -> Connection | None:
    """The connection with the socket, whatever is between."""
    while transport is not None and not isinstance(transport, Connection):
        transport = getattr(transport, "transport", None)
    return transport


def _unsent(sock: socket.socket) -> int:
    """Bytes that the kernel has and that the other side has not acknowledged."""
    if ioctl is None:  # pragma: no cover -- Windows
        return 0
    try:
        found: bytes = ioctl(sock.fileno(), TIOCOUTQ, b"\0" * 4)
    except OSError:
        return 0
    count: int = struct.unpack("i", found)[0]
    return count


def _line(text: str) -> bytes:
    return text.encode("utf-8").replace(b"\r", b" ").replace(b"\n", b" ")


class _Noting:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    def writeSequence(self, data: Iterable[bytes]) -> None:  # noqa: N802 -- Twisted's name
        self.data += b"".join(data)
