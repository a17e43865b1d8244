"""A wire that leads nowhere: it collects the answer to a request that no client waits for."""

from collections.abc import Iterable

from zope.interface import implementer

from fakellm.interfaces import IWire
from fakellm.model.timeline import Whole


@implementer(IWire)
class CollectingWire:
    """Collects an answer.

    Attributes:
        status: of the answer; 0 where it broke off.
        body: all of it.
    """

    def __init__(self) -> None:
        self.status = 0
        self._pieces: list[bytes] = []

    @property
    def body(self) -> bytes:
        """What was written."""
        return b"".join(self._pieces)

    def head(self, status: int, headers: Iterable[tuple[str, str]]) -> None:  # noqa: ARG002
        """See `IWire`."""
        self.status = status

    def head_bytes(self, status: int, headers: Iterable[tuple[str, str]]) -> bytes:
        """See `IWire`."""
        self.head(status, headers)
        return b""

    def flush(self) -> None:
        """See `IWire`: nobody waits for the head."""

    def write(self, data: bytes) -> None:
        """See `IWire`."""
        self._pieces.append(data)

    def raw(self, data: bytes) -> None:
        """See `IWire`: there is no connection to break."""

    def finish(self, trailers: Iterable[tuple[str, str]] = ()) -> None:
        """See `IWire`: nothing follows."""

    def whole(self, answer: Whole) -> None:
        """See `IWire`."""
        self.status = answer.status
        self._pieces.append(answer.body)

    def close(self) -> None:
        """See `IWire`."""
        self.status = 0

    def abort(self) -> None:
        """See `IWire`."""
        self.status = 0

    def shut(self, seconds: float, *, refused: bool, connections: int | None) -> None:
        """See `IWire`: there is no door."""

    def register(self, producer: object) -> None:
        """See `IWire`: it takes everything."""

    def unregister(self) -> None:
        """See `IWire`."""
