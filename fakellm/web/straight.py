"""Writing straight to a socket where nothing waits to be written before.

Twisted's transports buffer what is written and send it in the reactor's next turn. For a stream of
tokens that is two system calls and a turn for each; straight it is one call. Whatever the socket
does not take at once goes the usual way, so order and backpressure are kept.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.tcp import Connection
from twisted.protocols.policies import ProtocolWrapper
from twisted.web.http import HTTPChannel, Request

Send = Callable[[bytes], object]


def way_out(request: Request) -> Send:
    """The cheapest way for further pieces of a body whose head was written.

    It is the request's own `write` where a piece is not to be framed as a chunk of HTTP's (an
    answer to HEAD or to HTTP/1.0, one with a length, HTTP/2), and where there is more between than
    a socket, such as TLS.
    """
    channel: Any = request.channel
    if not request.chunked or not isinstance(channel, HTTPChannel):
        return request.write
    connection = socket_transport(channel.transport)
    if connection is None or not connection.connected:
        return request.write
    return _chunks(request, connection)


def socket_transport(transport: Any) -> Connection | None:
    """The transport that has the socket and nothing between, such as TLS; ``None`` without one."""
    while type(transport) is ProtocolWrapper:
        transport = transport.transport
    if isinstance(transport, Connection) and not transport.TLS:
        return transport
    return None


def send_straight(connection: Connection, data: bytes) -> None:
    """Send bytes in order, straight to the socket if nothing waits to be written before them."""
    # open, and nothing waits; there is no other way to know
    if (
        connection.connected
        and not connection.disconnecting
        and not connection.dataBuffer
        and not connection._tempDataLen  # noqa: SLF001
    ):
        try:
            sent = connection.socket.send(data)
        except OSError:
            sent = 0  # the usual way finds out what is wrong, or waits
        if sent == len(data):
            return
        data = data[sent:]
    connection.write(data)


def _chunks(request: Request, connection: Connection) -> Send:
    """What writes chunks of HTTP's (RFC 9112, 7.1) to a connection, straight where it can."""

    def write(data: bytes) -> None:
        size = len(data)
        request.sentLength += size
        send_straight(connection, b"%x\r\n%b\r\n" % (size, data))

    return write
