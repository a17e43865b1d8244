"""The heads of answers, as bytes; what does not change is encoded once."""

from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from http.client import responses
from time import time

from twisted.web.http import datetimeToString

LAST_CHUNK = b"0\r\n\r\n"
BODILESS = frozenset((204, 304))
"""Statuses whose answers have no body, and no framing of one; and all below 200."""
SERVER = "fakellm"
SERVER_LINE = f"\r\nServer: {SERVER}"
"""The ``Server`` field, with the end of the line before it."""

SERVER_BYTES = SERVER_LINE.encode()
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@cache
def status_line(status: int, *, is_1_1: bool) -> str:
    """The first line, without its end."""
    return f"HTTP/1.{int(is_1_1)} {status} {responses.get(status, 'Unknown')}"


@lru_cache(maxsize=100)
def begun(status: int, date: bytes) -> bytes:
    """The beginning of an answer to HTTP/1.1: the first line, ``Server`` and the date's field."""
    return status_line(status, is_1_1=True).encode() + SERVER_BYTES + date


class Dates:
    """The ``Date`` field, made anew once a second."""

    def __init__(self, now: Callable[[], float] = time) -> None:
        self._now = now
        self._second = -1
        self._field = ""
        self._bytes = b""

    def field(self) -> str:
        """The field, with the end of the line before it."""
        second = int(self._now())
        if second != self._second:
            self._second = second
            self._bytes = b"\r\nDate: " + datetimeToString(second)
            self._field = self._bytes.decode()
        return self._field

    def field_bytes(self) -> bytes:
        """The same as bytes."""
        self.field()
        return self._bytes


def lines(headers: Iterable[tuple[str, str]]) -> str:
    """Fields, each with the end of the line before it; none can begin another line."""
    listed = [f"\r\n{name}: {value}" for name, value in headers]
    text = "".join(listed)
    count = len(listed)
    if text.count("\n") != count or text.count("\r") != count:
        return "".join(f"\r\n{_one_line(name)}: {_one_line(value)}" for name, value in headers)
    return text


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())
