"""Connections that tests drive byte by byte, where an HTTP client would be in the way."""

import json
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from tests.servers import CHAT, asking


class Connection(Protocol):
    """A connection that keeps all it gets.

    Attributes:
        received: what has come so far.
        wire: its transport, with all that a transport of TCP's can do.
        closed: fires when the connection is closed, with whether that was done cleanly.
    """

    def __init__(self) -> None:
        self.received = b""
        self.closed: Deferred[bool] = Deferred()
        self.wire: Any = None
        self._wanted: tuple[Callable[[bytes], bool], Deferred[bytes]] | None = None

    def connectionMade(self) -> None:
        self.wire = self.transport

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        if self._wanted is not None and self._wanted[0](self.received):
            (_, found), self._wanted = self._wanted, None
            found.callback(self.received)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.closed.callback(reason.check(ConnectionDone) is not None)
        if self._wanted is not None:
            self._wanted[1].errback(reason)

    def send(self, data: bytes) -> None:
        self.wire.write(data)

    def until(self, enough: Callable[[bytes], bool]) -> Deferred[bytes]:
        """Fires with all that was received as soon as it is enough; fails if it never will be."""
        found: Deferred[bytes] = Deferred()
        if enough(self.received):
            found.callback(self.received)
        else:
            self._wanted = enough, found
        return found

    async def close(self) -> None:
        """Close it, and wait until it is."""
        self.wire.abortConnection()
        if not self.closed.called:
            await self.closed


def connect(url: str) -> Deferred[Connection]:
    """A connection to where a server says it listens, such as ``http://127.0.0.1:1``."""
    scheme, _, where = url.partition(":")
    if scheme == "unix":
        description = url
    else:
        host, _, port = where.removeprefix("//").rpartition(":")
        host = host.strip("[]").replace(":", r"\:")
        description = f"tcp:host={host}:port={port}"
    connected: Deferred[Connection] = connectProtocol(
        clientFromString(reactor, description), Connection()
    )
    return connected


def request(
    method: str = "POST",
    path: str = CHAT,
    *,
    version: str = "1.1",
    headers: str = "",
    **fields: Any,
) -> bytes:
    """The bytes of a request; with fields, a prompt in JSON."""
    body = json.dumps(asking(**fields)).encode() if method == "POST" else b""
    head = f"{method} {path} HTTP/{version}\r\nHost: fakellm.example\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def split(answer: bytes) -> tuple[bytes, dict[bytes, bytes], bytes]:
    """The status line, the headers by lower-case names, and all that follows them."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    pairs = (line.split(b": ", 1) for line in lines)
    return status, {name.lower(): value for name, value in pairs}, rest


def is_whole(answer: bytes) -> bool:
    """Whether an answer (of one request, not to HEAD) has come to its end."""
    if b"\r\n\r\n" not in answer:
        return False
    _, headers, body = split(answer)
    if b"content-length" in headers:
        return len(body) >= int(headers[b"content-length"])
    return body.endswith(b"\r\n0\r\n\r\n")


def unchunked(body: bytes) -> tuple[bytes, bytes]:
    """A body sent in HTTP's chunks, and what follows it."""
    data = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        data += body[:length]
        assert body[length : length + 2] == b"\r\n"
        body = body[length + 2 :]
        if not length:
            return data, body
