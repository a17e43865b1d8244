"""How an answer goes out, noted as it does.

It is on the way of every write, and thousands of them are kept: so it is no frozen value, and
nothing in it is for the garbage collector to look at.
"""

from struct import Struct as Packing

from msgspec import Struct

from fakellm.journal.records import DeliveryRecord, Ended, WriteRecord

WRITES_AT_MOST = 500
"""Writes of an answer that are kept one by one; of more, the first."""

_WRITE = Packing("=ddQ")  # not an array, which the garbage collector would look at


class Delivery(Struct, gc=False):
    """What becomes of one answer; all times are seconds of the server's clock.

    Attributes:
        arrived: when the request did.
        room: how many more writes are kept one by one.
        status: of the head; ``None`` where it was never sent.
        head_at: when the head was sent.
        is_head_sent: whether it was, or is still to go with what follows it.
        first_token: when the first token of a stream was.
        last: when the last write was.
        ended_at: when it ended.
        how: who ended it.
        chunks: pieces of the body.
        bytes: of the body.
        late: the greatest lateness of a write.
        queued: seconds in the queue for a slot.
        writes: how many there were.
        kept: the first of them, packed.
    """

    arrived: float
    room: int = WRITES_AT_MOST
    status: int | None = None
    head_at: float | None = None
    is_head_sent: bool = False
    first_token: float | None = None
    last: float | None = None
    ended_at: float | None = None
    how: Ended | None = None
    chunks: int = 0
    bytes: int = 0
    late: float = 0.0
    queued: float = 0.0
    writes: int = 0
    kept: bytearray | None = None

    def head(self, status: int) -> None:
        """There is a head, to be sent with what follows it."""
        self.status = status

    def head_sent(self, at: float) -> None:
        """The head is sent."""
        if not self.is_head_sent:
            self.is_head_sent = True
            self.head_at = at

    def token_sent(self, at: float) -> None:
        """A token of a stream is sent; the first counts."""
        if self.first_token is None:
            self.first_token = at

    def write(self, planned: float, at: float, size: int, chunks: int = 1) -> None:
        """So many chunks of the body are sent together; the first was due at ``planned``."""
        if not self.is_head_sent:
            self.head_sent(at)
        self.writes += 1
        self.chunks += chunks
        self.bytes += size
        self.last = at
        late = at - planned
        if late > self.late:  # noqa: PLR1730 -- max() takes three times as long
            self.late = late
        if self.room:
            self.room -= 1
            if self.kept is None:
                self.kept = bytearray()
            self.kept += _WRITE.pack(planned, at, size)

    def whole(self, status: int, at: float, size: int, chunks: int, *, has_token: bool) -> None:
        """An answer that was due when its request arrived is sent all at once, and has ended."""
        self.status = status
        self.write(self.arrived, at, size, chunks)
        if has_token:
            self.first_token = at
        self.how = "finished"
        self.ended_at = at

    def ended(self, how: Ended, at: float) -> None:
        """It is over; only the first who ends it counts."""
        if self.how is not None:
            return
        self.how = how
        self.ended_at = at
        if how == "finished":
            self.head_sent(at)
        elif not self.is_head_sent:
            self.status = None

    @property
    def weight(self) -> int:
        """Bytes that the kept writes take."""
        return 0 if self.kept is None else len(self.kept)

    def told(self) -> DeliveryRecord:
        """The same as a record, in times since the request arrived."""
        writes = tuple(
            WriteRecord(planned=self._since(planned), at=self._since(at), size=size)
            for planned, at, size in _WRITE.iter_unpack(self.kept or b"")
        )
        return DeliveryRecord(
            head=self._maybe(self.head_at),
            first_token=self._maybe(self.first_token),
            last_byte=self._maybe(self.last),
            duration=self._maybe(self.ended_at),
            ended=self.how,
            chunks=self.chunks,
            bytes=self.bytes,
            late=round(self.late, _DIGITS),
            queued=round(self.queued, _DIGITS),
            writes=writes,
            more_writes=self.writes - len(writes),
        )

    def _maybe(self, at: float | None) -> float | None:
        return None if at is None else self._since(at)

    def _since(self, at: float) -> float:
        return round(at - self.arrived, _DIGITS)


_DIGITS = 6
