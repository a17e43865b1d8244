"""The head of a request, as a value: llhttp reads the fields; what it lets pass is checked here.

No I/O. What two servers could understand in two ways is refused, as one of them may be a gateway in
front of this one (RFC 9112, 11.2: request smuggling).
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import httptools
from twisted.web.http import parse_qs

from fakellm.web.front.limits import Limits
from fakellm.web.front.refusal import refuse

END = b"\r\n\r\n"
"""What ends a head."""

_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/1\.([01])")
_OTHER_VERSION = re.compile(rb"[A-Z]+ [\x21-\x7e]+ HTTP/(?!1\.[01])[0-9]\.[0-9]")
_ABSOLUTE = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)
_BARE_LF = re.compile(rb"(?<!\r)\n")
_BETWEEN_TOKENS = re.compile(rb"[ \t,]+")
_HOST = re.compile(rb"\[?(?P<host>.*?)\]?(?::[0-9]+)?")
"""As Twisted has it: any host, in brackets or not."""

_REMEMBERED = 1024
"""So many heads are remembered, as clients send the same ones again and again."""
_REMEMBERED_BYTES = 2048
"""None larger than this is."""


class Head:
    """A request without its body; it is shared by all requests with the same head.

    Attributes:
        method: as it came.
        uri: the target, as it came; of one in absolute form, what follows the authority.
        path: the target without its query.
        fields: names and values, in order, as they came.
        is_1_1: whether the client speaks HTTP/1.1, not HTTP/1.0.
        length: bytes that the body has; ``None`` where it comes in chunks.
        keeps: whether the connection may serve another request.
        waits: whether the client waits for leave to send the body.
        host: the last ``Host`` there is.
    """

    __slots__ = (
        "_args", "_headers", "_query", "_text_path", "_text_query", "fields", "host", "is_1_1",
        "keeps", "length", "method", "path", "uri", "waits",
    )  # fmt: skip

    def __init__(
        self, method: bytes, uri: bytes, fields: list[tuple[bytes, bytes]], *, is_1_1: bool
    ) -> None:
        self.method = method
        self.uri = uri
        self.path, _, self._query = uri.partition(b"?")
        self.fields = fields
        self.is_1_1 = is_1_1
        self.length: int | None = 0
        self.keeps = is_1_1
        self.waits = False
        self.host: bytes | None = None
        self._args: dict[bytes, list[bytes]] | None = None
        self._headers: Mapping[str, str] | None = None
        self._text_path: str | None = None
        self._text_query: Mapping[str, str] | None = None

    @property
    def args(self) -> dict[bytes, list[bytes]]:
        """The query: all values by name."""
        if self._args is None:
            self._args = parse_qs(self._query, True) if self._query else {}
        return self._args

    @property
    def text_path(self) -> str:
        """The path, unquoted."""
        if self._text_path is None:
            self._text_path = unquote(self.path.decode("latin-1"))
        return self._text_path

    @property
    def text_query(self) -> Mapping[str, str]:
        """The query: the last value by name."""
        if self._text_query is None:
            self._text_query = {
                name.decode("utf-8", "replace"): values[-1].decode("utf-8", "replace")
                for name, values in self.args.items()
            }
        return self._text_query

    @property
    def headers(self) -> Mapping[str, str]:
        """Values by names in lower case; those of one name are joined with ``", "``."""
        if self._headers is None:
            joined: dict[str, str] = {}
            for name, value in self.fields:
                key, text = name.decode("latin-1").lower(), value.decode("utf-8", "replace")
                joined[key] = f"{joined[key]}, {text}" if key in joined else text
            self._headers = joined
        return self._headers

    @property
    def hostname(self) -> bytes | None:
        """The ``Host`` without its port."""
        found = None if self.host is None else _HOST.fullmatch(self.host)
        return None if found is None else found["host"]


UNREADABLE = Head(b"GET", b"/", [], is_1_1=True)
"""The head of a request of which nothing is known."""
UNREADABLE.keeps = False


class Heads:
    """Reads heads, and remembers those that were well-formed.

    Args:
        limits: what a head may have.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._known: dict[bytes, Head] = {}

    def read(self, data: bytes) -> Head:
        """The head that bytes are, all of them.

        Args:
            data: a whole head, with the empty line that ends it.

        Raises:
            Refusal: it is none, or has too much.
        """
        head = self._known.get(data)
        if head is None:
            head = self._read(data)
            if len(data) <= _REMEMBERED_BYTES:
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                self._known[data] = head
        return head

    def check_begun(self, data: bytes) -> None:
        """Refuse the beginning of a head as soon as no end could make it one.

        Raises:
            Refusal: it cannot become a head, or is too long already.
        """
        if _BARE_LF.search(data):
            refuse("a line of the head does not end with CR and LF")
        line, ended, rest = data.partition(b"\r\n")
        if ended:
            self._line(line)
        else:
            self._check_length(line)
        if len(rest) > self._limits.head:
            self._too_long()

    def _line(self, line: bytes) -> re.Match[bytes]:
        self._check_length(line)
        found = _LINE.fullmatch(line)
        if found is None:
            if _OTHER_VERSION.fullmatch(line):
                refuse("only HTTP/1.1 and HTTP/1.0 are spoken here")
            refuse("the first line is no request line of HTTP")
        return found

    def _check_length(self, line: bytes) -> None:
        if len(line) > self._limits.line:
            refuse(f"the request line is longer than {self._limits.line} bytes", 414)

    def _too_long(self) -> None:
        refuse(f"the head is longer than {self._limits.head} bytes", 431)

    def _read(self, data: bytes) -> Head:
        line, _, rest = data.partition(b"\r\n")
        method, uri, minor = self._line(line).groups()
        if len(rest) > self._limits.head:
            self._too_long()
        absolute = _ABSOLUTE.match(uri)
        if absolute:
            uri = b"/" + uri[absolute.end() :].removeprefix(b"/")
        head = Head(method, uri, _fields(minor, rest, self._limits.fields), is_1_1=minor == b"1")
        _frame(head)
        return head


class _Fields:
    """What llhttp tells of a head."""

    def __init__(self, at_most: int) -> None:
        self.found: list[tuple[bytes, bytes]] = []
        self.is_whole = False
        self._at_most = at_most

    def on_header(self, name: bytes, value: bytes) -> None:
        self.found.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.is_whole = True


def _fields(minor: bytes, rest: bytes, at_most: int) -> list[tuple[bytes, bytes]]:
    """The fields of a head, with the empty line after them.

    llhttp is given a line of ours, as it knows few methods and targets; fields are the same in all.
    """
    told = _Fields(at_most)
    parser: Any = httptools.HttpRequestParser(told)
    try:
        parser.feed_data(b"POST / HTTP/1.%b\r\n%b" % (minor, rest))
    except httptools.HttpParserUpgrade:
        pass  # nobody has to change to what is offered (RFC 9110, 7.8)
    except httptools.HttpParserError as error:
        refuse(f"the head is malformed: {error}")
    if not told.is_whole:
        refuse("the head is malformed")
    if len(told.found) > at_most:
        refuse(f"the head has more than {at_most} fields", 431)
    return told.found


def _frame(head: Head) -> None:
    """Tell from the fields where the body ends, and what becomes of the connection.

    Raises:
        Refusal: they say it in two ways, or in one that not all understand.
    """
    lengths: list[bytes] = []
    codings: list[bytes] = []
    for name, value in head.fields:
        match name.lower():
            case b"content-length":
                lengths.append(value)
            case b"transfer-encoding":
                codings.append(value.lower())
            case b"connection":
                if b"close" in _BETWEEN_TOKENS.split(value.lower()):
                    head.keeps = False
            case b"expect":
                head.waits = head.is_1_1 and value.lower() == b"100-continue"
            case b"host":
                head.host = value
    head.length = _length(codings, lengths, is_1_1=head.is_1_1)


def _length(codings: list[bytes], lengths: list[bytes], *, is_1_1: bool) -> int | None:
    """The length of a body; ``None`` where it comes in chunks."""
    if codings:
        if codings != [b"chunked"]:
            refuse("of transfer codings, only chunked is understood, once")
        if not is_1_1:
            refuse("HTTP/1.0 has no transfer codings")
        if lengths:
            refuse("a body cannot have both a length and a transfer coding")
        return None
    if not lengths:
        return 0
    if len(lengths) > 1 or not lengths[0].isdigit():
        refuse("a body has one length, a number")
    return int(lengths[0])
