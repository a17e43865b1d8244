"""Faults in the chunks of an answer: one goes missing, comes twice, is cut. Lazy, on steps."""

import re
from collections.abc import Callable, Iterator
from math import inf

from fakellm.faults.heads import is_event_stream
from fakellm.faults.positions import Step, Steps, cut
from fakellm.model.timeline import Abort, Act, Close, Finish, Head, Write

Noted = Callable[[], None]

_ENDS = (Finish, Close, Abort)
_LINE_END = re.compile(rb"[\r\n]*\Z")
_CHARACTER = re.compile(rb"[\xc2-\xf4](?=[\x80-\xbf])")


def missing(rest: Steps, noted: Noted) -> Steps:
    """The next chunk left out."""
    for at, act, tokens in rest:
        if isinstance(act, Write):
            noted()
            break
        yield at, act, tokens
    yield from rest


def doubled(rest: Steps, noted: Noted) -> Steps:
    """The next chunk twice."""
    for step in rest:
        yield step
        if isinstance(step[1], Write):
            noted()
            yield step
            break
    yield from rest


def swapped(rest: Steps, noted: Noted) -> Steps:
    """The next chunk after the one that follows it; each comes when the other was due."""
    held: Step | None = None
    for at, act, tokens in rest:
        if held is None and isinstance(act, Write):
            held = at, act, tokens
            continue
        if held is not None and isinstance(act, Write):
            noted()
            yield held[0], act, held[2]
            yield at, held[1], tokens
            break
        if held is not None and (isinstance(act, _ENDS) or at == inf):
            yield held
            held = None
            yield at, act, tokens
            break
        yield at, act, tokens
    else:
        if held is not None:
            yield held
    yield from rest


def malformed(rest: Steps, is_stream: Callable[[], bool], noted: Noted, *, every: bool) -> Steps:
    """The next chunk, or every one, with JSON that ends too early."""
    for at, act, tokens in rest:
        if not isinstance(act, Write):
            yield at, act, tokens
            continue
        noted()
        yield at, Write(_shortened(act.data, is_stream()), act.apart, act.token), tokens
        if not every:
            break
    yield from rest


def _shortened(data: bytes, is_stream: bool) -> bytes:
    match = _LINE_END.search(data)
    end = match.start() if match else len(data)
    begin = 0
    if is_stream:
        begin = data.rfind(b"data:", 0, end) + len(b"data:")
        if begin < len(b"data:"):
            return data  # a comment, which has none
    kept = begin + (end - begin) * 2 // 3
    # no half character at the end, so that the JSON is all that is wrong
    return data[begin:kept].decode("utf-8", "ignore").encode().join((data[:begin], data[end:]))


def in_two(rest: Steps, at_byte: int | None, gap: float, noted: Noted, *, every: bool) -> Steps:
    """The next chunk, or every one, in two segments."""
    later = 0.0
    for at, act, tokens in rest:
        if not isinstance(act, Write):
            yield at + later, act, tokens
            continue
        size = len(act.data)
        where = size // 2 if at_byte is None else at_byte + (size if at_byte < 0 else 0)
        if 0 < where < size:
            noted()
            one, other = cut(act, where, apart=True)
            yield at + later, one, tokens
            later += gap
            yield at + later, other, tokens
        else:
            yield at + later, act, tokens
        if not every:
            break
    for at, act, tokens in rest:
        yield at + later, act, tokens


def byte_by_byte(steps: Steps, gap: float, noted: Noted) -> Steps:
    """Every byte of the body by itself."""
    return _cut_up(steps, lambda data: range(1, len(data)), gap, noted)


def split_characters(steps: Steps, gap: float, noted: Noted) -> Steps:
    """Chunks cut inside each character of several bytes."""
    return _cut_up(
        steps, lambda data: (match.end() for match in _CHARACTER.finditer(data)), gap, noted
    )


def _cut_up(
    steps: Steps, places: Callable[[bytes], Iterator[int] | range], gap: float, noted: Noted
) -> Steps:
    later = 0.0
    for at, act, tokens in steps:
        begin = 0
        for end in places(act.data) if isinstance(act, Write) else ():
            noted()
            yield at + later, _piece(act, begin, end), tokens
            later += gap
            begin = end
        yield at + later, _piece(act, begin, None) if begin else act, tokens


def _piece(act: Act, begin: int, end: int | None) -> Write:
    assert isinstance(act, Write)  # noqa: S101 -- nothing else is cut
    return Write(act.data[begin:end], apart=True)  # no token: all pieces are needed


class Stream:
    """Tells whether the head has passed, and what it says follows.

    Attributes:
        is_headed: it has.
        is_events: server-sent events follow.
    """

    def __init__(self) -> None:
        self.is_headed = self.is_events = False

    def watched(self, steps: Steps) -> Steps:
        """Pass the steps on, and see the head."""
        for step in steps:
            if isinstance(step[1], Head):
                self.is_headed = True
                self.is_events = is_event_stream(step[1])
            yield step
