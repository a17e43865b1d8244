"""The wire of an exchange: heads as bytes, straight to the socket."""

from collections.abc import Iterable

from zope.interface import implementer

from fakellm.interfaces import IWire
from fakellm.model.timeline import Whole
from fakellm.web.arrival import left_to_send, socket_below
from fakellm.web.front.exchange import Exchange
from fakellm.web.straight import socket_transport
from fakellm.web.wire import Surroundings, field


@implementer(IWire)
class FrontWire:
    """The wire of one exchange; after its end, and once the client has gone, it does nothing."""

    __slots__ = ("_around", "_exchange", "write")

    def __init__(self, exchange: Exchange, around: Surroundings) -> None:
        self._exchange = exchange
        self._around = around
        self.write = exchange.write
        """See `IWire`."""

    def head(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """See `IWire`."""
        self._exchange.begin(status, headers, self._around.extra_lines)

    def head_bytes(self, status: int, headers: Iterable[tuple[str, str]]) -> bytes:
        """See `IWire`."""
        self.head(status, headers)
        return self._exchange.head_bytes()

    def flush(self) -> None:
        """See `IWire`."""
        self._exchange.flush()

    def raw(self, data: bytes) -> None:
        """See `IWire`."""
        self._exchange.raw(data)

    def finish(self, trailers: Iterable[tuple[str, str]] = ()) -> None:
        """See `IWire`; a field that cannot be a trailer, or has no proper name, is left out."""
        self._exchange.finish(b"".join([field(name, value) for name, value in trailers]))

    def whole(self, answer: Whole) -> None:
        """See `IWire`."""
        self._exchange.whole(answer, self._around.extra_bytes)

    def close(self) -> None:
        """See `IWire`; a client that reads nothing holds the connection for a while only."""
        exchange = self._exchange
        if exchange.is_open:
            exchange.lose()
            self._around.lingering.until(self._to_be_closed, self._break_off)

    def abort(self) -> None:
        """See `IWire`."""
        exchange = self._exchange
        if not exchange.is_open:
            return
        exchange.close_off()
        transport = exchange.connection.transport
        exchange.connection.release()
        at_once = socket_below(transport) is socket_transport(transport)
        self._around.lingering.until(self._to_arrive, self._break_off, at_once=at_once)

    def shut(self, seconds: float, *, refused: bool, connections: int | None) -> None:
        """See `IWire`."""
        if self._around.door is not None:
            self._around.door.shut(seconds, refused=refused, connections=connections)

    def register(self, producer: object) -> None:
        """See `IWire`."""
        if self._exchange.is_open:
            self._exchange.connection.register(self._exchange, producer)

    def unregister(self) -> None:
        """See `IWire`."""
        self._exchange.producer = None

    def _break_off(self) -> None:
        self._exchange.connection.break_off()

    def _to_arrive(self) -> int:
        connection = self._exchange.connection
        return left_to_send(connection.transport) if connection.is_connected else 0

    def _to_be_closed(self) -> int:
        connection = self._exchange.connection
        return 1 + left_to_send(connection.transport) if connection.is_connected else 0
