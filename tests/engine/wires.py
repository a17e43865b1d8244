"""Wires for tests: a client's connection, in memory."""

from collections.abc import Iterable

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from fakellm.interfaces import IWire
from fakellm.model.timeline import Whole


@implementer(IWire)
class NotedWire:
    """A wire that notes what is done to it.

    Attributes:
        done: the status with the headers, the bytes of each write, ``"finished"``, ``"aborted"``.
        producer: who is told when the client does not read, while anybody is.
        pause_after_writes: the client stops reading at this write; 0: it never does.
        resumes: the client that stopped reads on at once, before the write returns.
    """

    def __init__(self) -> None:
        self.done: list[object] = []
        self.producer: IPushProducer | None = None
        self.pause_after_writes = 0
        self.resumes = False
        self.trailers: tuple[tuple[str, str], ...] = ()

    @property
    def body(self) -> bytes:
        """All that was written."""
        return b"".join(done for done in self.done if isinstance(done, bytes))

    def head(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        self.done.append((status, *headers))

    def write(self, data: bytes) -> None:
        self.done.append(data)
        if self.pause_after_writes and self.producer is not None:
            self.pause_after_writes -= 1
            if not self.pause_after_writes:
                self.producer.pauseProducing()
                if self.resumes:
                    self.producer.resumeProducing()

    def head_bytes(self, status: int, headers: Iterable[tuple[str, str]]) -> bytes:
        return f"{status} {[*headers]}".encode()

    def flush(self) -> None:
        self.done.append("flushed")

    def raw(self, data: bytes) -> None:
        self.done.append(("raw", data))

    def finish(self, trailers: Iterable[tuple[str, str]] = ()) -> None:
        self.done.append("finished")
        self.trailers = tuple(trailers)

    def whole(self, answer: Whole) -> None:
        self.head(answer.status, answer.headers)
        self.write(answer.body)
        self.finish()

    def close(self) -> None:
        self.done.append("closed")

    def abort(self) -> None:
        self.done.append("aborted")

    def shut(self, seconds: float, *, refused: bool, connections: int | None) -> None:
        self.done.append(("shut", seconds, refused, connections))

    def register(self, producer: object) -> None:
        self.producer = IPushProducer(producer)

    def unregister(self) -> None:
        self.producer = None


class HastyWire(NotedWire):
    """A wire whose client is gone, and says so, before its end returns."""

    def __init__(self) -> None:
        super().__init__()
        self._left: IPushProducer | None = None

    def register(self, producer: object) -> None:
        super().register(producer)
        self._left = self.producer

    def finish(self, trailers: Iterable[tuple[str, str]] = ()) -> None:
        super().finish(trailers)
        self._leave()

    def abort(self) -> None:
        super().abort()
        self._leave()

    def _leave(self) -> None:
        if self._left is not None:
            self._left.stopProducing()


class UnbreakableWire(NotedWire):
    """A wire that fails to be broken off."""

    def abort(self) -> None:
        raise ConnectionError


class HeadlessWire(NotedWire):
    """A wire whose head goes out otherwise than in bytes of its own."""

    def head_bytes(self, status: int, headers: Iterable[tuple[str, str]]) -> bytes:  # noqa: ARG002
        return b""
