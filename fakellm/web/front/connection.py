"""A plain connection that speaks HTTP/1.1: bytes in, exchanges in turn, bytes out.

What is sent while what came is dealt with goes out in one piece; all else straight to the socket
where nothing waits before it. A client that does not read its answers is not read from either.
"""

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IPushProducer, ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from zope.interface import implementer

from fakellm.engine.overdue import NEVER
from fakellm.web.arrival import left_to_send
from fakellm.web.front.answer import CONTINUE
from fakellm.web.front.bodies import Body, TooMuch, body_of
from fakellm.web.front.exchange import Exchange
from fakellm.web.front.heads import END, UNREADABLE, Head
from fakellm.web.front.refusal import Refusal
from fakellm.web.straight import send_straight, socket_transport
from fakellm.web.wire import client_at

if TYPE_CHECKING:
    from fakellm.web.front.factory import Front

_HELD_AT_MOST = 64 * 1024
"""Bytes that are sent even while more may come with them."""


@implementer(IPushProducer)
class FrontConnection(Protocol):
    """One connection of a `Front`.

    Attributes:
        due: when what is waited for has to have come; see `Overdue`.
        is_connected: whether the connection is open.
        client: the address and the port of the other side, as text.
    """

    def __init__(self, front: "Front") -> None:
        self._front = front
        self._limits = front.limits
        self._batch = front.batch
        self.date = front.dates.field
        self.date_bytes = front.dates.field_bytes
        self.due = NEVER
        self.is_connected = False
        self.client = ""
        self._socket: Connection | None = None
        self._buffer = b""
        self._exchange: Exchange | None = None  # that is being answered
        self._head: Head | None = None  # whose body is being read
        self._body: Body | None = None
        self._arrived = 0.0
        self._body_began = 0.0
        self._has_begun = False  # the next head has
        self._is_waiting = False  # to deal with what came, at the turn's end
        self._may_be_blank = True  # an empty line may come before the next request line
        self._is_over = False  # nothing more is answered
        self._is_clogged = False  # the client does not read
        self._is_paused = False  # it is not read from
        self._is_pulled = False
        self._depth = 0
        self._left_to_send = 1 << 62  # when it was last looked, at the end
        self._stuck_at = NEVER
        self._held: list[bytes] | None = None  # what waits to be sent in one piece
        self._held_bytes = 0

    # -- the transport's side

    def makeConnection(self, transport: ITransport) -> None:  # noqa: N802 -- Twisted's name
        """See `Protocol`; one over TLS is left to Twisted, as it may turn out to be HTTP/2."""
        other = self._front.other_for(transport)
        if other is None:
            super().makeConnection(transport)  # type: ignore[no-untyped-call]
            return
        self.dataReceived = other.dataReceived  # type: ignore[method-assign]
        self.connectionLost = other.connectionLost  # type: ignore[method-assign]
        other.makeConnection(transport)

    def connectionMade(self) -> None:  # noqa: N802 -- Twisted's name
        """See `Protocol`."""
        self.is_connected = True
        self.client = client_at(self._wire.getPeer())
        self._socket = socket_transport(self.transport)
        self._wire.registerProducer(self, True)
        set_no_delay = getattr(self._wire, "setTcpNoDelay", None)
        if set_no_delay is not None:
            set_no_delay(True)
        self.due = self._front.overdue.seconds() + self._limits.idle_seconds
        self._front.overdue.watch(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802 -- Twisted's name
        """See `Protocol`."""
        if self._is_waiting:  # what came before the end is asked all the same
            self.deal()
        self.is_connected = False
        self._is_over = True
        self._held = None
        self.due = NEVER
        self._front.overdue.forget(self)
        self._buffer = b""
        self._head = self._body = None
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.lost(reason)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 -- Twisted's name
        """See `Protocol`."""
        if self._is_over:
            return
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        if self._exchange is not None or self._is_clogged:
            self._buffer = data
            if len(data) > self._limits.ahead:
                self._pause()
            return
        if self._is_waiting:
            self._buffer = data
            return
        if not self._has_begun and self._body is None:
            self._arrived = self._front.seconds()
        if self._socket is None:
            self._go_on(data)
            return
        self._buffer = data
        self._is_waiting = True
        self._front.turns.add(self)

    def deal(self) -> None:
        """See `Dealing`."""
        self._is_waiting = False
        data, self._buffer = self._buffer, b""
        if data and not self._is_over:
            self._deal(data)

    def release(self) -> None:
        """See `Holding`."""
        held, self._held = self._held, None
        if held:
            self._held_bytes = 0
            self._send_now(held[0] if len(held) == 1 else b"".join(held))

    def pauseProducing(self) -> None:  # noqa: N802 -- IPushProducer's name
        """The client does not read."""
        self._is_clogged = True
        if self._exchange is not None and self._exchange.producer is not None:
            self._exchange.producer.pauseProducing()

    def resumeProducing(self) -> None:  # noqa: N802 -- IPushProducer's name
        """The client reads again."""
        self._is_clogged = False
        if self._exchange is None:
            self._resume()
        elif self._exchange.producer is not None:
            self._exchange.producer.resumeProducing()

    def stopProducing(self) -> None:  # noqa: N802 -- IPushProducer's name
        """The connection is lost, as `connectionLost` will be told."""
        if self._exchange is not None and self._exchange.producer is not None:
            self._exchange.producer.stopProducing()

    def overdue(self) -> None:
        """See `Watched`."""
        if self._is_waiting:
            return
        self.due = NEVER
        if self._is_over:
            self._see_off_further()
        elif self._is_clogged or self._exchange is not None:
            self.break_off()
        elif self._body is not None:
            allowed = self._limits.body_seconds + self._body.received / self._limits.body_rate
            self.due = self._body_began + allowed
            if self.due <= self._front.overdue.seconds():
                self._refuse(Refusal(408, "the body did not come in time"), self._head)
        elif self._buffer:
            self._refuse(Refusal(408, "the head did not come in time"))
        else:
            self._let_go()

    # -- what exchanges do

    def send(self, data: bytes) -> None:
        """Send bytes, in order."""
        held = self._held
        if held is None and self._batch.is_open:
            held = self._held = []
            self._batch.hold(self)
        if held is not None:
            held.append(data)
            self._held_bytes += len(data)
            if self._held_bytes > _HELD_AT_MOST:
                self.release()
            return
        self._send_now(data)

    def _send_now(self, data: bytes) -> None:
        if self._socket is None:
            self._wire.write(data)
        else:
            send_straight(self._socket, data)

    def register(self, exchange: Exchange, producer: Any) -> None:
        """Let a producer know, until the end of an exchange, when the client does not read."""
        exchange.producer = producer
        if self._is_clogged:
            producer.pauseProducing()

    def pull(self, producer: Any) -> None:
        """Let the transport ask a producer for more whenever it has sent all, one piece each."""
        self._is_pulled = True
        self._socket = None
        self._wire.unregisterProducer()
        self._wire.registerProducer(producer, False)

    def pull_no_more(self) -> None:
        """Ask no producer any more."""
        if self._is_pulled and self.is_connected:
            self._is_pulled = False
            self._wire.unregisterProducer()
            self._wire.registerProducer(self, True)
            self._socket = socket_transport(self.transport)

    def has_answered(self, exchange: Exchange) -> None:
        """The answer to an exchange is whole."""
        if self._exchange is not exchange:
            return
        self._exchange = None
        self._front.note(exchange)
        if not exchange.keeps:
            self._see_off()
            return
        self.due = self._front.overdue.seconds() + self._limits.idle_seconds
        if not self._depth:
            self._resume()

    def lose(self) -> None:
        """Close once what was written is sent, and answer nothing more."""
        self._is_over = True
        self.release()
        self._wire.unregisterProducer()
        self._wire.loseConnection()

    def break_off(self) -> None:
        """Reset the connection."""
        self._is_over = True
        if self.is_connected:
            self._wire.abortConnection()

    # -- what comes

    @property
    def _wire(self) -> Any:
        return self.transport

    def _go_on(self, data: bytes) -> None:
        """Deal with what came, and send what that gives in one piece."""
        with self._batch:
            self._deal(data)

    def _deal(self, data: bytes) -> None:
        self._depth += 1
        try:
            self._advance(data)
        except Refusal as refusal:
            self._refuse(refusal, self._head)
        except TooMuch:
            self.break_off()
        finally:
            self._depth -= 1

    def _advance(self, data: bytes) -> None:
        while not self._is_over:
            if self._exchange is not None or self._is_clogged:
                self._buffer = data
                return
            if self._body is not None and self._head is not None:
                data = self._body.feed(data)
                if not self._body.is_whole:
                    return
                self._serve(self._head, self._body)
                continue
            if not data:
                return
            if self._may_be_blank and data[:1] == b"\r":
                if len(data) == 1:
                    self._wait_for_head(data)
                    return
                if data[1:2] == b"\n":
                    self._may_be_blank = False
                    data = data[2:]
                    continue
            end = data.find(END)
            if end < 0:
                self._front.heads.check_begun(data)
                self._wait_for_head(data)
                return
            end += 4
            head = self._front.heads.read(data[:end])
            data = self._begin(head, data, end)

    def _begin(self, head: Head, data: bytes, end: int) -> bytes:
        """A head has come, the first bytes of the data; what is left of them."""
        self._has_begun = False
        length = head.length
        if length is not None and length <= self._limits.body and len(data) >= end + length:
            self._answer(Exchange(self, head, data[end : end + length], arrived=self._arrived))
            return data[end + length :]
        self._head = head
        self._body = body_of(length, self._limits)
        self._body_began = self._front.overdue.seconds()
        self.due = self._body_began + self._limits.body_seconds
        data = data[end:]
        if head.waits and not data:
            if self._body.too_large:
                head = self._head
                self._head = self._body = None
                exchange = Exchange(self, head, b"", body_too_large=True, arrived=self._arrived)
                exchange.keeps = False  # the body may come or not
                self._answer(exchange)
            else:
                self.send(CONTINUE)
        return data

    def _wait_for_head(self, data: bytes) -> None:
        if not self._has_begun:
            self._has_begun = True
            self.due = self._front.overdue.seconds() + self._limits.head_seconds
        self._buffer = data

    def _serve(self, head: Head, body: Body) -> None:
        self._head = self._body = None
        self._answer(
            Exchange(self, head, body.data, body_too_large=body.too_large, arrived=self._arrived)
        )

    def _answer(self, exchange: Exchange) -> None:
        self._may_be_blank = True
        self.due = NEVER
        self._exchange = exchange
        self._front.serve(exchange)

    def _refuse(self, refusal: Refusal, head: Head | None = None) -> None:
        """Say why, and close; what else the client sends is read and forgotten for a while."""
        self._head = self._body = None
        self._buffer = b""
        exchange = Exchange(self, head or UNREADABLE, b"", arrived=self._front.seconds())
        exchange.keeps = False
        self.due = NEVER
        self._exchange = exchange
        self._front.refuse(exchange, refusal)

    # -- reading on, and closing

    def _resume(self) -> None:
        """Deal with what came meanwhile."""
        if self._is_over:
            return
        if self._is_paused:
            self._is_paused = False
            self._wire.resumeProducing()
        data, self._buffer = self._buffer, b""
        if data:
            self._arrived = self._front.seconds()
            self._go_on(data)

    def _pause(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self._wire.pauseProducing()

    def _see_off(self) -> None:
        """Close, but read what is on its way, as a connection with unread bytes would be reset."""
        self._is_over = True
        self._buffer = b""
        self.release()
        if self._socket is None or not self._socket.connected:
            self._let_go()
            return
        if self._is_paused:
            self._is_paused = False
            self._wire.resumeProducing()
        self._wire.unregisterProducer()
        self._socket.loseWriteConnection()
        self.due = self._front.overdue.seconds() + self._limits.closing_seconds

    def _see_off_further(self) -> None:
        """Wait on while the client gets what was written, and for a while if it does not."""
        left = left_to_send(self.transport)
        now = self._front.overdue.seconds()
        if not left:
            self._let_go()
        elif left < self._left_to_send:
            self._left_to_send = left
            self.due = now + self._limits.closing_seconds
            self._stuck_at = now + self._limits.idle_seconds
        elif now < self._stuck_at:
            self.due = now + self._limits.closing_seconds
        else:
            self.break_off()

    def _let_go(self) -> None:
        self._is_over = True
        self._wire.unregisterProducer()
        self._wire.loseConnection()
