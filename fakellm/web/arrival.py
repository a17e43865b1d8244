"""How much of what was written its client has not got yet, as far as that can be known.

A connection that is reset takes with it all that is on its way, here, in the kernel or between.
"""

import socket
import struct
from typing import Any

from twisted.internet.tcp import Connection
from twisted.web.http import HTTPChannel, Request

from fakellm.web.straight import socket_transport

_ask: Any
try:
    from fcntl import ioctl as _ask
    from termios import TIOCOUTQ
except ImportError:  # pragma: no cover -- Windows
    _ask = None


def to_arrive(request: Request) -> int:
    """Bytes that a request's client has not acknowledged; of HTTP/2, those not sent yet.

    A stream of HTTP/2 shares its connection with others, where what was sent stays in order.
    """
    channel: Any = request.channel
    if not isinstance(channel, HTTPChannel):
        return _queued(channel)
    return left_to_send(channel.transport)


def left_to_send(transport: Any) -> int:
    """Bytes written to a transport that the other side has not acknowledged."""
    connection = socket_below(transport)
    if connection is None or not connection.connected:
        return 0
    # there is no other way to know
    waiting = len(connection.dataBuffer) - connection.offset + connection._tempDataLen  # noqa: SLF001
    return waiting + _unsent(connection.socket)


def is_known_at_once(request: Request) -> bool:
    """Whether `to_arrive` knows of all that was written; TLS keeps some for the next turn."""
    channel: Any = request.channel
    if not isinstance(channel, HTTPChannel):
        return True
    return socket_below(channel.transport) is socket_transport(channel.transport)


def socket_below(transport: Any) -> Connection | None:
    """The connection with the socket, whatever is between."""
    while transport is not None and not isinstance(transport, Connection):
        transport = getattr(transport, "transport", None)
    return transport


def _unsent(sock: socket.socket) -> int:
    """Bytes that the kernel has and that the other side has not acknowledged."""
    if _ask is None:  # pragma: no cover -- Windows
        return 0
    try:
        found: bytes = _ask(sock.fileno(), TIOCOUTQ, b"\0" * 4)
    except OSError:
        return 0
    count: int = struct.unpack("i", found)[0]
    return count


def _queued(stream: Any) -> int:
    """Bytes of a stream of HTTP/2 that its connection has not sent."""
    queues = getattr(getattr(stream, "_conn", None), "_outboundStreamQueues", {})
    return sum(len(each) for each in queues.get(stream.streamID, ()) if isinstance(each, bytes))
