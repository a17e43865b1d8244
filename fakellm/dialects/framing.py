"""Frames of a streamed answer: server-sent events (SSE) and newline-delimited JSON (NDJSON).

Bytes in, bytes out, after the WHATWG HTML living standard, section 9.2 "Server-sent events". This
module knows no dialect and must never look inside the data it frames.
"""

import re

import msgspec

_LF, _CR = b"\n\r"  # as integers: ten times as fast to look for as bytes or a regex
_LINE_END = re.compile(rb"\r\n|\n|\r")
_NOT_IN_A_FIELD = re.compile(rb"[\r\n\0]")
_BOM = b"\xef\xbb\xbf"
_MAX_RETRY_DIGITS = 18  # fits 64 bits; int() itself refuses thousands of digits
_RETRY = re.compile(f"[0-9]{{1,{_MAX_RETRY_DIGITS}}}")


class SseEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event as a client sees it.

    Attributes:
        data: the data lines, joined by LF.
        event: the event's type.
        id: the last event id of the stream when the event was dispatched; it outlives its event.
        retry: the reconnection time in milliseconds that came with this very event.
    """

    data: str
    event: str = "message"
    id: str = ""
    retry: int | None = None


def sse_event(
    data: bytes,
    *,
    event: bytes = b"",
    id: bytes | None = None,  # noqa: A002 -- the field's name in the standard
    retry: int | None = None,
) -> bytes:
    r"""Frame one server-sent event.

    Args:
        data: UTF-8; CRLF, LF and CR end a line, and each line becomes a `data:` field, so that a
            client gets them back as LF.
        event: the event's type; left out when empty.
        id: the event's id; `b""` resets the client's last event id, None leaves the field out.
        retry: the reconnection time in milliseconds.

    Returns:
        The frame with the blank line that ends it: `b"data: " + data + b"\n\n"` in the plain case.

    Raises:
        ValueError: when the type or the id holds a line end or NUL (the first would forge fields,
            a client ignores the second), or `retry` is negative or beyond 18 digits.
    """
    if _LF in data or _CR in data:
        data = _LINE_END.sub(b"\ndata: ", data)
    if not event and id is None and retry is None:
        return b"data: " + data + b"\n\n"
    fields = []
    if event:
        fields.append(b"event: " + _checked("type", event))
    if id is not None:
        fields.append(b"id: " + _checked("id", id))
    if retry is not None:
        if not 0 <= retry < 10**_MAX_RETRY_DIGITS:
            raise ValueError(
                f"an event's retry is 0 or more, of {_MAX_RETRY_DIGITS} digits at most: {retry}"
            )
        fields.append(b"retry: %d" % retry)
    fields.append(b"data: " + data + b"\n\n")
    return b"\n".join(fields)


def _checked(what: str, value: bytes) -> bytes:
    if _NOT_IN_A_FIELD.search(value):
        raise ValueError(f"an event's {what} may hold neither a line end nor NUL: {value!r}")
    return value


def sse_comment(text: bytes = b"") -> bytes:
    """Frame a comment, which clients ignore: the keep-alive of event streams.

    Each line of the text becomes a comment line, so no text can forge a field.
    """
    return b": " + _LINE_END.sub(b"\n: ", text) + b"\n\n"


def ndjson_line(data: bytes) -> bytes:
    """Frame one JSON text as a line of NDJSON.

    Raises:
        ValueError: when the data holds a line end (LF or CR), which would make it two lines.
    """
    if _LF in data or _CR in data:
        raise ValueError("a line of NDJSON may not hold a line end: encode the JSON compactly")
    return data + b"\n"


class SseParser:
    """Reads an event stream, cut anywhere, by the parsing rules of the standard.

    An event whose blank line never came is never dispatched. Invalid UTF-8 becomes U+FFFD. A
    `retry` field of more than 18 digits is ignored.

    Attributes:
        last_event_id: the last event id so far, for the `Last-Event-ID` header of a reconnection;
            like the standard's it changes at a blank line, data or not.
        retry: the reconnection time in force in milliseconds, None before any was sent.
    """

    def __init__(self) -> None:
        self.last_event_id = ""
        self.retry: int | None = None
        self._line: list[bytes] = []  # pieces of a line whose end has not come yet
        self._after_cr = False
        self._at_start = True
        self._id = ""
        self._reset()

    def _reset(self) -> None:
        self._data: list[str] = []
        self._event = ""
        self._event_retry: int | None = None

    def feed(self, data: bytes) -> list[SseEvent]:
        """Take the next bytes of the stream and return the events they complete."""
        if not data:
            return []
        if self._after_cr:  # it has already ended the line, and an LF now is only its second half
            data = data.removeprefix(b"\n")
        self._after_cr = data.endswith(b"\r")
        *lines, rest = _LINE_END.split(data)
        events: list[SseEvent] = []
        for piece in lines:
            line = b"".join((*self._line, piece))
            self._line.clear()
            if self._at_start:
                self._at_start = False
                line = line.removeprefix(_BOM)
            if line:
                self._field(line)
            else:
                self._blank(events)
        if rest:
            self._line.append(rest)
        return events

    def _field(self, line: bytes) -> None:
        # Line ends are ASCII, so no character spans two lines and each line decodes by itself.
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
            case "event":
                self._event = value
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if _RETRY.fullmatch(value):
                self.retry = self._event_retry = int(value)
            case _:
                pass  # comments (no name before the colon) and fields the standard does not know

    def _blank(self, events: list[SseEvent]) -> None:
        self.last_event_id = self._id
        if self._data:
            events.append(
                SseEvent(
                    data="\n".join(self._data),
                    event=self._event or "message",
                    id=self._id,
                    retry=self._event_retry,
                )
            )
        self._reset()
