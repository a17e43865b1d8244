"""The body of a request, as its bytes come: with a length, or in chunks (RFC 9112, 7.1).

No I/O. A body over the limit is counted and dropped. A chunk that is not exactly as it has to be is
refused: what two servers could see two ends in is how requests are smuggled.
"""

import re
from typing import Protocol

from fakellm.web.front.limits import Limits
from fakellm.web.front.refusal import refuse

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t\x20-\x5b\x5d-\x7e\x80-\xff]*)?")
"""Of a chunk, with an extension: as Twisted has it, with no space before and no backslash in it."""
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")
_LINE_END = b"\r\n"


class TooMuch(Exception):
    """So much has come that no answer is worth reading on for."""


class Body(Protocol):
    """A body that is being read.

    Attributes:
        received: bytes of it that have come.
        is_whole: whether all have.
        too_large: whether there were more than are kept.
        data: what is kept.
    """

    received: int
    is_whole: bool
    too_large: bool

    @property
    def data(self) -> bytes:
        """See the attribute."""

    def feed(self, data: bytes) -> bytes:
        """Take what is its own of some bytes; the rest."""


class _Kept:
    """Counts bytes, and keeps them as long as they are few enough."""

    def __init__(self, limits: Limits) -> None:
        self.received = 0
        self.is_whole = False
        self.too_large = False
        self._kept: list[bytes] = []
        self._limits = limits

    @property
    def data(self) -> bytes:
        return b"".join(self._kept)

    def _keep(self, data: bytes) -> None:
        self.received += len(data)
        if self.received > self._limits.body:
            self._drop()
            if self.received > self._limits.body + self._limits.drained:
                raise TooMuch
        elif data and not self.too_large:
            self._kept.append(data)

    def _drop(self) -> None:
        self.too_large = True
        self._kept.clear()


class LengthBody(_Kept):
    """A body of so many bytes."""

    def __init__(self, length: int, limits: Limits) -> None:
        super().__init__(limits)
        self._left = length
        self.is_whole = not length
        if length > limits.body:
            self._drop()

    def feed(self, data: bytes) -> bytes:
        """See `Body`.

        Raises:
            TooMuch: see there.
        """
        own = data[: self._left]
        self._left -= len(own)
        self._keep(own)
        self.is_whole = not self._left
        return data[len(own) :]


class ChunkedBody(_Kept):
    """A body in chunks; what may follow the last one, trailers, is read and forgotten."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._begun = b""  # of a line
        self._left = 0  # of a chunk
        self._follows = self._size
        self._trailers = 0

    def feed(self, data: bytes) -> bytes:
        """See `Body`.

        Raises:
            Refusal: this is no chunk.
            TooMuch: see there.
        """
        at = 0
        if self._begun:
            data, self._begun = self._begun + data, b""
        while at < len(data) and not self.is_whole:
            if self._left:
                own = data[at : at + self._left]
                at += len(own)
                self._left -= len(own)
                self._keep(own)
                continue
            end = data.find(_LINE_END, at)
            if end < 0:
                self._begin(data[at:])
                return b""
            self._follows(data[at:end])
            at = end + 2
        return data[at:] if at else data

    def _begin(self, line: bytes) -> None:
        """Keep the beginning of a line, if it can become one."""
        most = self._limits.chunk_line
        if self._follows == self._trailer:
            most = self._limits.trailers - self._trailers
        elif self._follows == self._end and line != b"\r":
            refuse("a chunk is longer than it said")
        if len(line) > most:
            refuse("a line between chunks is too long")
        if b"\n" in line:
            refuse("a line between chunks does not end with CR and LF")
        self._begun = line

    def _size(self, line: bytes) -> None:
        if len(line) > self._limits.chunk_line:
            refuse("a line between chunks is too long")
        found = _SIZE.fullmatch(line)
        if found is None:
            refuse("a chunk does not begin with its size")
        self._left = int(found[1], 16)
        self._follows = self._end if self._left else self._trailer

    def _end(self, line: bytes) -> None:
        if line:
            refuse("a chunk is longer than it said")
        self._follows = self._size

    def _trailer(self, line: bytes) -> None:
        if not line:
            self.is_whole = True
            return
        self._trailers += len(line) + 2
        if self._trailers > self._limits.trailers:
            refuse("the trailers are too long", 431)
        if not _FIELD.fullmatch(line):
            refuse("a trailer is malformed")


def body_of(length: int | None, limits: Limits) -> Body:
    """The body that a head announces: of a length, or, without one, in chunks."""
    return ChunkedBody(limits) if length is None else LengthBody(length, limits)
