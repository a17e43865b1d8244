"""The way of a call of the control API to a server: over a socket; another is in ``memory``.

It blocks until the answer is there, and knows nothing of what is asked.
"""

import contextlib
import http.client
from collections.abc import Generator, Iterator, Mapping
from typing import Protocol
from urllib.parse import urlsplit

from fakellm.testing.errors import Unreachable

TAKES_AT_MOST_SECONDS = 30.0
"""How long an answer that nothing has to be waited for may take."""

_SILENT_AT_MOST_SECONDS = 60.0  # of a feed, which has a comment every 15 s
_PIECE_BYTES = 65536


class Transport(Protocol):
    """A way to a server."""

    def send(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, waits: float
    ) -> tuple[int, str, bytes]:
        """Ask; the status, the media type and the body.

        Raises:
            Unreachable: there is no answer.
        """

    def stream(self, path: str, headers: Mapping[str, str]) -> Generator[bytes, None, None]:
        """Get what has no end, piece by piece, until the iterator is closed.

        Raises:
            Unreachable: there is no answer.
        """


class HTTPTransport:
    """Over a socket, with a connection for each call, so that threads and forks may share it.

    Args:
        url: the server's, ``http`` or ``https``, with a path where it is mounted below one.

    Raises:
        ValueError: it is no such URL.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"expected a URL such as http://127.0.0.1:3500, not {url!r}")
        self._url = url
        self._secure = parts.scheme == "https"
        self._place = (parts.hostname, parts.port)
        self._path = parts.path.rstrip("/")

    def send(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, waits: float
    ) -> tuple[int, str, bytes]:
        """Ask; see `Transport`."""
        with self._asked(method, path, headers, body, waits + TAKES_AT_MOST_SECONDS) as response:
            return response.status, response.getheader("content-type", ""), response.read()

    def stream(self, path: str, headers: Mapping[str, str]) -> Generator[bytes, None, None]:
        """Get what has no end; see `Transport`."""
        with self._asked("GET", path, headers, b"", _SILENT_AT_MOST_SECONDS) as response:
            if response.status != http.client.OK:
                raise Unreachable(f"GET {path}: {response.status} {response.read(500)!r}")
            while piece := response.read1(_PIECE_BYTES):
                yield piece

    @contextlib.contextmanager
    def _asked(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,
    ) -> Iterator[http.client.HTTPResponse]:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        with contextlib.closing(kind(*self._place, timeout=timeout)) as connection:
            try:
                connection.request(method, self._path + path, body or None, dict(headers))
                yield connection.getresponse()
            except Unreachable:
                raise
            except (OSError, http.client.HTTPException) as error:
                raise Unreachable(f"no answer at {self._url}: {error!r}") from error
