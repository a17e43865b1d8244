"""A request and its answer on a plain connection: no objects for fields, no Deferreds.

It is what handlers get that were found without Klein. Once it has ended, or its client has gone,
nothing that is done to it does anything.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from fakellm.model.prompt import Received
from fakellm.model.timeline import Whole
from fakellm.web.front import answer
from fakellm.web.front.heads import Head

if TYPE_CHECKING:
    from fakellm.web.front.connection import FrontConnection

_OK = 200


class Exchange:
    """One request and the way to answer it.

    Attributes:
        head: of the request.
        body: of the request.
        body_too_large: whether there was more of it.
        arrived: when its first byte came, in seconds of the server's clock.
        is_open: whether an answer may be written.
        has_begun: whether the head of the answer was given.
        status: of the answer.
        sent: bytes of the answer's body.
        keeps: whether the connection may serve another request.
        left: is called once, with the reason, if the connection is lost before the end.
        ended: is called once, at the end.
    """

    __slots__ = (
        "__weakref__",
        "_chunked",
        "_connection",
        "_pending",
        "_silent",
        "arrived",
        "body",
        "body_too_large",
        "ended",
        "has_begun",
        "head",
        "is_open",
        "keeps",
        "left",
        "producer",
        "sent",
        "status",
    )  # fmt: skip

    def __init__(
        self,
        connection: "FrontConnection",
        head: Head,
        body: bytes,
        *,
        body_too_large: bool = False,
        arrived: float = 0.0,
    ) -> None:
        self._connection = connection
        self.head = head
        self.body = body
        self.body_too_large = body_too_large
        self.arrived = arrived
        self.is_open = True
        self.has_begun = False
        self.status = _OK
        self.sent = 0
        self.keeps = head.keeps
        self.producer: Any = None
        self.left: Callable[[Failure], object] | None = None
        self.ended: Callable[[], object] | None = None
        self._pending = b""  # a head that goes with what follows it
        self._chunked = False
        self._silent = head.method == b"HEAD"

    @property
    def connection(self) -> "FrontConnection":
        """The connection it is on."""
        return self._connection

    def received(self) -> Received:
        """The request as a value."""
        head = self.head
        return Received(
            method=head.method.decode("latin-1"),
            path=head.text_path,
            query=head.text_query,
            headers=head.headers,
            body=self.body,
            client=self._connection.client,
        )

    # -- the answer

    def begin(self, status: int, headers: Iterable[tuple[str, str]], further: str = "") -> None:
        """Give the head; it goes with what follows, or by `flush`.

        Args:
            status: of the answer.
            headers: names and values; those of one name stay apart.
            further: fields that are lines already, each with the end of the line before it.
        """
        if not self.is_open or self.has_begun:
            return
        self.has_begun = True
        self.status = status
        head = self.head
        fields = answer.lines(headers)
        known = f"{fields}{further}".lower()
        first = answer.status_line(status, is_1_1=head.is_1_1)
        server = "" if "\r\nserver:" in known else answer.SERVER_LINE
        framing = ""
        if status in answer.BODILESS or status < _OK:
            self._silent = True
        elif not self._silent and "\r\ncontent-length:" not in known:
            if head.is_1_1:
                self._chunked = True
                framing = "\r\nTransfer-Encoding: chunked"
            else:
                self.keeps = False
        if not self.keeps:
            framing += "\r\nConnection: close"
        date = self._connection.date()
        text = f"{first}{server}{date}{fields}{further}{framing}\r\n\r\n"
        self._pending = text.encode("utf-8", "replace")

    def whole(self, whole: Whole, further: bytes) -> None:
        """Give an answer all at once.

        Args:
            whole: the answer.
            further: fields that go with it, as lines like its own.
        """
        if not self.is_open or self.has_begun:
            return
        status, body = whole.status, whole.body
        lines = whole.lines + further
        if self._silent or not (self.head.is_1_1 and self.keeps) or status in answer.BODILESS:
            self.begin(status, (), lines.decode())
            self.write(body)
            self.finish()
            return
        self.has_begun = True
        self.status = status
        self.sent = len(body)
        known = lines.lower()
        head = answer.begun(status, self._connection.date_bytes())
        if b"\r\nserver:" in known:
            head = head.replace(answer.SERVER_BYTES, b"", 1)
        if b"\r\ncontent-length:" in known:
            self._connection.send(b"%b%b\r\n\r\n%b" % (head, lines, body))
        else:
            chunked = b"%b%b\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
            self._connection.send(chunked % (head, lines, len(body), body))
        self.end()

    def head_bytes(self) -> bytes:
        """The head, taken out, for `raw` to send."""
        data, self._pending = self._pending, b""
        return data

    def flush(self) -> None:
        """Send the head, if it was not."""
        if self.is_open:
            self._begin_plainly()
            data, self._pending = self._pending, b""
            if data:
                self._connection.send(data)

    def write(self, data: bytes) -> None:
        """Send bytes of the body."""
        if not self.is_open or not data:
            return
        if not self.has_begun:
            self._begin_plainly()
        if self._silent:
            data = b""
        else:
            self.sent += len(data)
            if self._chunked:
                data = b"%x\r\n%b\r\n" % (len(data), data)
        if self._pending:
            data = self._pending + data
            self._pending = b""
        if data:
            self._connection.send(data)

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        if self.is_open:
            self._connection.send(data)

    def finish(self, trailers: bytes = b"") -> None:
        """End the answer; ``trailers`` are lines, which can go only where there are chunks."""
        if not self.is_open:
            return
        self._begin_plainly()
        last = b""
        if self._chunked:
            last = b"0\r\n%b\r\n" % trailers if trailers else answer.LAST_CHUNK
        if self._pending or last:
            self._connection.send(self._pending + last)
        self.end()

    def end(self) -> None:
        """Have ended: the connection serves the next request, or is closed."""
        if self.is_open:
            self._over()
            self._connection.has_answered(self)
            if self.ended is not None:
                self.ended()

    def lose(self) -> None:
        """Close the connection once what was written is sent."""
        if self.is_open:
            self._over()
            self._connection.lose()

    def close_off(self) -> None:
        """Answer nothing more; the connection is to be broken off soon."""
        self._over()

    def lost(self, reason: Failure | None = None) -> None:
        """The connection is lost; whoever answers is told."""
        self._over()
        left, self.left = self.left, None
        if left is not None:
            left(reason or Failure(ConnectionDone()))

    def _over(self) -> None:
        self.is_open = False
        self.producer = None
        self._pending = b""

    def _begin_plainly(self) -> None:
        if not self.has_begun:
            self.begin(_OK, ())
