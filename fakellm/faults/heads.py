"""Faults in the head of an answer, and in what it says of the body."""

import zlib
from collections.abc import Callable, Iterator
from itertools import islice

from fakellm.faults.positions import Step, Steps
from fakellm.model.timeline import Close, Finish, Head, Write

GATHERED_AT_MOST = 100_000
"""Steps of an answer whose length is to be known before it; of a longer one it is that of these."""

_GZIP = 31  # what zlib takes for the window of gzip's format
_NO_BLOCK = b"\xff"  # a block of a type that deflate has not (RFC 1951, 3.2.3)


def header(head: Head, name: str) -> str | None:
    """The value of a header; its name in lower case."""
    return next((value for key, value in head.headers if key.lower() == name), None)


def with_header(head: Head, name: str, value: str | None) -> Head:
    """A head with a header of that value, in its place if it had one; ``None`` drops it."""
    headers = []
    for key, was in head.headers:
        if key.lower() != name.lower():
            headers.append((key, was))
        elif value is not None:
            headers.append((key, value))
            value = None
    if value is not None:
        headers.append((name, value))
    return Head(head.status, tuple(headers), head.over)


def is_event_stream(head: Head) -> bool:
    """Whether server-sent events follow."""
    return (header(head, "content-type") or "").lower().startswith("text/event-stream")


def rewritten(steps: Steps, rewrite: Callable[[Head], Head]) -> Steps:
    """Steps with another head."""
    for at, act, tokens in steps:
        yield at, rewrite(act) if isinstance(act, Head) else act, tokens


def true_length(steps: Steps) -> Steps:
    """Steps whose ``Content-Length``, if there is one, is right again, where the body ends well."""
    for step in steps:
        at, act, tokens = step
        if not isinstance(act, Head) or header(act, "content-length") is None:
            yield step
            continue
        gathered = list(islice(steps, GATHERED_AT_MOST))
        if any(isinstance(each[1], Finish) for each in gathered):
            act = with_header(act, "Content-Length", str(_length(gathered)))
        yield at, act, tokens
        yield from gathered


def wrong_length(steps: Steps, by: int, noted: Callable[[], None]) -> Steps:
    """Steps with a ``Content-Length`` that is off, and closed after the body."""
    for step in steps:
        at, act, tokens = step
        if not isinstance(act, Head):
            yield step
            continue
        noted()
        gathered = list(islice(steps, GATHERED_AT_MOST))
        length = max(_length(gathered) + by, 0)
        yield at, with_header(act, "Content-Length", str(length)), tokens
        for each in _chained(gathered, steps):
            yield (each[0], Close(), each[2]) if isinstance(each[1], Finish) else each


def _chained(gathered: list[Step], rest: Steps) -> Iterator[Step]:
    yield from gathered
    yield from rest


def _length(steps: list[Step]) -> int:
    return sum(len(act.data) for _, act, _ in steps if isinstance(act, Write))


def bad_gzip(steps: Steps, noted: Callable[[], None]) -> Steps:
    """Steps whose body says it is gzip, begins as such, and then is none."""
    packer = zlib.compressobj(wbits=_GZIP)
    is_sound = True
    is_headed = False
    for at, act, tokens in steps:
        match act:
            case Head():
                is_headed = True
                yield at, with_header(act, "Content-Encoding", "gzip"), tokens
            case Write(data=data) if is_headed:
                half = len(data) // 2 if is_sound else 0
                begun = packer.compress(data[:half]) + packer.flush(zlib.Z_SYNC_FLUSH)
                noted()
                is_sound = False
                yield at, Write(begun + _NO_BLOCK + data[half:], act.apart, act.token), tokens
            case _:
                yield at, act, tokens
