"""How an answer goes out, noted as it does; cheap, for it is on the way of every write."""

from array import array

from fakellm.journal.records import DeliveryRecord, Ended, WriteRecord

WRITES_AT_MOST = 500
"""Writes of an answer that are kept one by one; of more, the first."""


class Delivery:
    """What becomes of one answer; all times are seconds of the server's clock.

    Args:
        arrived: when the request did.
        room: how many writes are kept one by one.

    Attributes:
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
    """

    __slots__ = (
        "_room", "_writes", "arrived", "bytes", "chunks", "ended_at", "first_token", "head_at",
        "how", "is_head_sent", "last", "late", "queued", "status", "writes",
    )  # fmt: skip

    def __init__(self, arrived: float, room: int = WRITES_AT_MOST) -> None:
        self.arrived = arrived
        self.status: int | None = None
        self.head_at: float | None = None
        self.first_token: float | None = None
        self.is_head_sent = False
        self.last: float | None = None
        self.ended_at: float | None = None
        self.how: Ended | None = None
        self.chunks = 0
        self.bytes = 0
        self.late = 0.0
        self.queued = 0.0
        self.writes = 0
        self._room = room
        self._writes: array[float] | None = None

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
        if self._room:
            self._room -= 1
            if self._writes is None:
                self._writes = array("d", (planned, at, size))
            else:
                self._writes.extend((planned, at, size))

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
        return 0 if self._writes is None else 8 * len(self._writes)

    def told(self) -> DeliveryRecord:
        """The same as a record, in times since the request arrived."""
        kept = self._writes or ()
        writes = tuple(
            WriteRecord(planned=self._since(planned), at=self._since(at), size=int(size))
            for planned, at, size in zip(kept[::3], kept[1::3], kept[2::3], strict=True)
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
