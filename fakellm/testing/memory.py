"""The way of a call of the control API to a server in this process, without a socket.

It never waits: what would have to be waited for fails, as nothing else happens meanwhile.
"""

from collections.abc import Generator, Mapping
from typing import Any

from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

_FLUSHES = 3  # there, back, and what follows from it


class MemoryTransport:
    """To a server in this process; see `fakellm.testing.transports.Transport`.

    Args:
        client: a `treq.testing.StubTreq` of the server's resource.
        url: where requests say it is.
    """

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self._url = url

    def send(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, waits: float
    ) -> tuple[int, str, bytes]:
        """Ask; the status, the media type and the body.

        Raises:
            RuntimeError: there is no answer yet.
        """
        del waits  # nothing else happens meanwhile
        response = self._asked(method, path, headers, body)
        types = response.headers.getRawHeaders("content-type", [""])
        return response.code, types[0], self._now(response.content(), f"{method} {path}")

    def stream(self, path: str, headers: Mapping[str, str]) -> Generator[bytes, None, None]:
        """Get what has no end, piece by piece.

        Raises:
            RuntimeError: there is no piece yet.
        """
        reader = _Reader()
        self._asked("GET", path, headers, b"").deliverBody(reader)
        try:
            while True:
                self.flush()
                if not reader.pieces:
                    raise RuntimeError("in memory nothing happens while a test waits for an event")
                yield reader.pieces.pop(0)
        finally:
            reader.leave()
            self.flush()

    def flush(self) -> None:
        """Deliver what was written."""
        for _ in range(_FLUSHES):
            self._client.flush()

    def _asked(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Any:
        asked = self._client.request(
            method, self._url + path, data=body, headers=dict(headers), unbuffered=True
        )
        return self._now(asked, f"{method} {path}")

    def _now(self, deferred: Any, what: str) -> Any:
        results: list[Any] = []
        deferred.addBoth(results.append)
        self.flush()
        if not results:
            deferred.cancel()
            self.flush()  # so that the server learns of it
            raise RuntimeError(
                f"{what} would have to be waited for, and in memory nothing happens meanwhile"
            )
        if isinstance(results[0], Failure):
            results[0].raiseException()
        return results[0]


class _Reader(Protocol):
    """Reads a body."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 -- Twisted's name
        self.pieces.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802
        """Nobody waits for it."""

    def leave(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()
