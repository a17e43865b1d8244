"""Answers as a client got them: checked whole, and of streams the time each token arrived.

Done when the run is over, so that it costs the run nothing. It must never let a wrong answer pass.
"""

from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate, count, cycle, islice
from typing import Any

import msgspec

from benchmarks.load import Answer

_MARK = "#########"
"""As long as the number that comes in its place."""
_WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india")


class WrongAnswer(Exception):
    """An answer is not complete, or not what was asked for."""


class Delta(msgspec.Struct):
    """What a chunk adds."""

    content: str | None = None


class Choice(msgspec.Struct):
    """The choice of a chunk."""

    delta: Delta
    finish_reason: str | None = None


class Chunk(msgspec.Struct):
    """A chunk, as far as it is looked at."""

    choices: list[Choice]


class Completion(msgspec.Struct):
    """An answer that is no stream, as far as it is looked at."""

    choices: list["WholeChoice"]


class WholeChoice(msgspec.Struct):
    """Its choice."""

    message: Delta
    finish_reason: str


_decode_whole = msgspec.json.Decoder(Completion).decode
_decode = msgspec.json.Decoder(Chunk).decode


def words(tokens: int) -> str:
    """A text of so many words, each of which is a token of the default tokenizer."""
    return " ".join(islice(cycle(_WORDS), tokens))


def arrivals(answer: Answer, tokens: int, text: str | None) -> list[float]:
    """When each token arrived, in seconds of `time.perf_counter`.

    Args:
        answer: what came.
        tokens: how many chunks with text it must have.
        text: what they must say together; ``None`` for anything.

    Raises:
        WrongAnswer: it is not that, or not a whole streamed answer with status 200.
    """
    raw = b"".join(answer.pieces)
    if not raw:
        raise WrongAnswer("closed unanswered" if answer.times else "nothing came in time")
    head, found, _ = raw.partition(b"\r\n\r\n")
    status = head.partition(b"\r\n")[0]
    if not found or not status.startswith(b"HTTP/1.1 200"):
        raise WrongAnswer(f"the answer begins with {raw[:300]!r}")
    if b"transfer-encoding: chunked" not in head.lower():
        raise WrongAnswer("the answer is not in chunked coding")
    body, begins, places = _body(raw, len(head) + 4)
    came = list(accumulate(map(len, answer.pieces)))
    times: list[float] = []
    said: list[str] = []
    finished = done = False
    at = 0
    while at < len(body):
        end = body.find(b"\n\n", at)
        if end < 0 or not body.startswith(b"data: ", at) or done:
            raise WrongAnswer(f"not an event: {bytes(body[at : at + 300])!r}")
        data = body[at + 6 : end]
        at = end + 2
        if data == b"[DONE]":
            done = True
            continue
        try:
            chunk = _decode(data)
        except msgspec.DecodeError as error:
            raise WrongAnswer(f"not a chunk ({error}): {bytes(data[:300])!r}") from None
        for choice in chunk.choices:
            finished = finished or choice.finish_reason == "stop"
            if choice.delta.content:
                said.append(choice.delta.content)
                piece = bisect_left(begins, at) - 1
                times.append(answer.times[bisect_left(came, places[piece] + at - begins[piece])])
    if len(said) != tokens:
        raise WrongAnswer(f"{len(said)} tokens instead of {tokens}: {''.join(said)[:100]!r}")
    if text is not None and "".join(said) != text:
        raise WrongAnswer(f"the text is another: {''.join(said)[:100]!r}")
    if not (finished and done):
        raise WrongAnswer("no finish_reason, or no [DONE]")
    return times


def check_whole(answer: Answer, text: str) -> None:
    """See that an answer that is no stream is there in full, and says ``text``.

    Raises:
        WrongAnswer: it is not.
    """
    raw = b"".join(answer.pieces)
    head, _, body = raw.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200") or not answer.ended:
        raise WrongAnswer(f"not a whole answer: {raw[:300]!r}")
    if b"transfer-encoding: chunked" in head.lower():
        body = bytes(_body(raw, len(head) + 4)[0])
    try:
        (choice,) = _decode_whole(body).choices
    except (msgspec.DecodeError, ValueError) as error:
        raise WrongAnswer(f"not a completion ({error}): {body[:300]!r}") from None
    if (choice.message.content, choice.finish_reason) != (text, "stop"):
        raise WrongAnswer(f"another answer: {body[:300]!r}")


def _behind_trailers(raw: bytes, at: int) -> int:
    """Where the fields end that may come behind the last chunk."""
    while not raw.startswith(b"\r\n", at):
        end = raw.find(b"\r\n", at)
        if end < 0 or b":" not in raw[at:end]:
            raise WrongAnswer(f"not a trailer: {raw[at : at + 60]!r}")
        at = end + 2
    return at


def _body(raw: bytes, at: int) -> tuple[bytearray, list[int], list[int]]:
    """The body, where in it each HTTP chunk begins, and where that is in ``raw``."""
    body = bytearray()
    begins: list[int] = []
    places: list[int] = []
    while True:
        end = raw.find(b"\r\n", at)
        try:
            size = int(raw[at:end], 16) if end >= 0 else -1
        except ValueError:
            size = -1
        begin = end + 2
        if not size:
            begin = _behind_trailers(raw, begin)
        at = begin + size + 2
        if size < 0 or raw[begin + size : at] != b"\r\n":
            raise WrongAnswer(f"chunked coding is broken at {raw[at - 2 : at + 60]!r}")
        if not size:
            break
        begins.append(len(body))
        places.append(begin)
        body += raw[begin : begin + size]
    if at != len(raw):
        raise WrongAnswer(f"bytes after the end: {raw[at : at + 60]!r}")
    return body, begins, places


def request(
    message: str, host: str, headers: dict[str, str] | None = None, *, stream: bool = True
) -> bytes:
    """A request for an answer to ``message``, streamed or not."""
    asked: dict[str, Any] = {
        "model": "benchmark",
        "stream": stream,
        "messages": [{"role": "user", "content": message}],
    }
    body = msgspec.json.encode(asked)
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        f"Host: {host}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def varied(host: str, *, stream: bool) -> Callable[[], bytes]:
    """What makes requests of which no two are alike, at the least cost."""
    before, after = request(f"Question {_MARK}: is anybody there?", host, stream=stream).split(
        _MARK.encode()
    )
    numbers = count(1)
    return lambda: b"%b%09d%b" % (before, next(numbers), after)
