"""Faults in how server-sent events are written, which no parser should mind.

Lazy, on steps. What is not ``text/event-stream``, or was cut within an event by a fault before, is
left as it is. See section 9.2 of the WHATWG HTML living standard.
"""

import re
from collections.abc import Callable, Iterable
from math import inf, isinf

from fakellm.dialects.framing import sse_comment
from fakellm.faults.heads import is_event_stream
from fakellm.faults.positions import Steps
from fakellm.model.timeline import Head, Write

Noted = Callable[[], None]

_LINE = re.compile(rb"([^\r\n]*)(\r\n|\r|\n)")
_EVENT_END = (b"\n\n", b"\r\r", b"\r\n\r\n")
_UNKNOWN = (b"fakellm: a field that no standard knows", b"fakellm")
_BOM = b"\xef\xbb\xbf"

Line = tuple[bytes, bytes]
"""A line and what ends it."""


def framed(steps: Steps, rewrite: Callable[[list[Line]], Iterable[bytes]], noted: Noted) -> Steps:
    """An event stream whose events are written otherwise: whole ones, given in lines."""
    is_stream, between = False, True
    for at, act, tokens in steps:
        match act:
            case Head():
                is_stream = is_event_stream(act)
                yield at, act, tokens
            case Write(data=data) if is_stream:
                ends = data.endswith(_EVENT_END)
                if between and ends:
                    lines = [(line[1], line[2]) for line in _LINE.finditer(data)]
                    data = b"".join(rewrite(lines))
                    if data != act.data:
                        noted()
                yield at, Write(data, act.apart, act.token), tokens
                between = ends
            case _:
                yield at, act, tokens


def no_space(lines: list[Line]) -> Iterable[bytes]:
    """``data:`` without its space."""
    for line, end in lines:
        if line.startswith(b"data: ") and not line.startswith(b"data:  "):
            yield b"data:" + line[6:] + end
        else:
            yield line + end


def multi_line(lines: list[Line]) -> Iterable[bytes]:
    """The JSON of an event in three lines of data, cut where JSON may have a line end."""
    for line, end in lines:
        name, colon, value = line.partition(b":")
        value = value.strip()
        if name == b"data" and value.startswith(b"{") and value.endswith(b"}"):
            space = b"" if line.startswith(b"data:{") else b" "
            for piece in (value[:1], value[1:-1], value[-1:]):
                yield name + colon + space + piece + end
        else:
            yield line + end


def unknown_fields(lines: list[Line]) -> Iterable[bytes]:
    """Fields that no standard knows, before those of the event."""
    for line in _UNKNOWN:
        yield line + lines[-1][1]
    for line, end in lines:
        yield line + end


def line_ends(steps: Steps, kind: str, noted: Noted) -> Steps:
    """An event stream with CRLF or CR at the end of its lines."""
    end = b"\r\n" if kind == "crlf" else b"\r"
    is_stream = after_cr = False
    for at, act, tokens in steps:
        match act:
            case Head():
                is_stream = is_event_stream(act)
            case Write(data=data) if is_stream and data:
                begun = b""
                if after_cr and data.startswith(b"\n"):  # the other half of a CRLF
                    begun, data = end[1:], data[1:]
                after_cr = act.data.endswith(b"\r")
                changed = begun + re.sub(rb"\r\n|\n", end, data)
                if changed != act.data:
                    noted()
                if changed:
                    yield at, Write(changed, act.apart, act.token), tokens
                continue
            case _:
                pass
        yield at, act, tokens


def comments(steps: Steps, text: str, every: float | None, noted: Noted) -> Steps:
    """An event stream with comments: one before each event, or one in each silence so long."""
    comment = Write(sse_comment(text.encode("utf-8", "replace")), apart=False)
    is_stream, between = False, True
    due, said = inf, 0
    for at, act, tokens in steps:
        while is_stream and between and due < at:
            noted()
            yield due, comment, said
            due = _after(due, every)
        match act:
            case Head():
                is_stream = is_event_stream(act)
                due = _after(at, every)
            case Write(data=data):
                if every is None and is_stream and between:
                    noted()
                    yield at, comment, said
                between = data.endswith(_EVENT_END)
                due = _after(at, every)
            case _:
                pass
        said = tokens
        yield at, act, tokens


def _after(at: float, every: float | None) -> float:
    """When the next comment is due; where no time passes at all, there is no silence."""
    return inf if every is None or not every or isinf(at) else at + every


def bom(steps: Steps, noted: Noted) -> Steps:
    """A body with a byte order mark before it, as a chunk of its own."""
    is_begun = False
    for at, act, tokens in steps:
        if isinstance(act, Write) and not is_begun:
            is_begun = True
            noted()
            yield at, Write(_BOM, act.apart), tokens
        yield at, act, tokens
