"""Whole answers, encoded once: of a plate they are printed, each with its own ids and times.

Most answers of a fake are the same but for an id, a timestamp and the size of the prompt. Such an
answer is encoded with marks in those places, and cut at them. A plate is only taken if it prints,
for the request at hand, byte for byte what the dialect's encoder says: so whatever else an answer
may depend on, it is never printed wrong. Printing must stay a few joins.
"""

import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

from msgspec import Struct, structs

from fakellm.interfaces import IDialect, ITokenizer
from fakellm.model.events import Event
from fakellm.model.framing import Framing
from fakellm.model.prompt import Form, Prompt
from fakellm.model.reply import Reply, Usage
from fakellm.model.stamp import Stamp
from fakellm.model.timeline import Act, Cue, Finish, Head, Whole, Write
from fakellm.timing.counting import prompt_tokens
from fakellm.timing.pace import Timing, pace
from fakellm.timing.unfold import Unfolded, unfold

BYTES_AT_MOST = 64 * 1024
"""Bodies of more are written piece by piece, as their clients read them."""

_PLATES_AT_MOST = 500
_BYTES_OF_ALL_AT_MOST = 8 * 1024**2
_SEEN_AT_MOST = 10_000
_SHORTEST_MARK = 12

# Marks are numbers that no answer has by chance; what is added to one is found by the difference.
_CREATED = 7_411_000_000_000
_PROMPT = 7_422_000_000_000
_REQUEST = b"q7Q-request"
_LENGTH = b"q7Q-length"


_Asked = tuple[Form, Reply, Framing]


class _NoPlate(Exception):
    """An answer that is more than its bytes."""


class _Marking(Stamp):
    """A stamp whose ids are marks.

    Attributes:
        ids: the length of what was asked for, by the mark that was given.
    """

    __slots__ = ("ids",)

    def __init__(self, fingerprint: str) -> None:
        super().__init__(seed=0, number=0, created=_CREATED, fingerprint=fingerprint)
        self.ids: dict[bytes, int] = {}
        self.request_id = _REQUEST.decode()

    def unique(self, prefix: str, length: int) -> str:
        """See `Stamp`."""
        if length < _SHORTEST_MARK:
            raise _NoPlate
        mark = f"q7Q{len(self.ids):04d}".ljust(length, "Q")
        self.ids[mark.encode()] = length
        return prefix + mark

    def chance(self, purpose: str) -> random.Random:  # noqa: ARG002 -- whatever it is
        """See `Stamp`: what is drawn by chance is another thing each time."""
        raise _NoPlate


class _Time(Struct, frozen=True):
    """A place for a time, so many seconds after the answer was made."""

    after: int


_Piece = bytes | int | _Time
"""Bytes as they are, the place of a value by its number, or the place of a time."""


class _Marks:
    """What the marks of an answer stand for: values, by number.

    Args:
        ids: marks of ids, in the order in which the ids are made.

    Attributes:
        added: what is added to the prompt's tokens, for each value that they are.
    """

    def __init__(self, ids: Iterable[bytes]) -> None:
        self._numbers = {mark: number for number, mark in enumerate((*ids, _REQUEST, _LENGTH))}
        self._mark = re.compile(
            rb"(%b|74(?:11|22)[0-9]{9})" % b"|".join(map(re.escape, self._numbers))
        )
        self.added: list[int] = []

    def pieces(self, data: bytes) -> Iterator[_Piece]:
        """Bytes, cut at their marks."""
        for at, piece in enumerate(self._mark.split(data)):
            if at % 2 == 0:
                yield piece
            elif piece in self._numbers:
                yield self._numbers[piece]
            else:
                yield self._number(int(piece))

    def _number(self, number: int) -> _Piece:
        if number < _PROMPT:
            return _Time(number - _CREATED)
        if number - _PROMPT not in self.added:
            self.added.append(number - _PROMPT)
        return len(self._numbers) + self.added.index(number - _PROMPT)


class _Sheet:
    """Bytes with places in them to be filled in.

    The first id is in every chunk of a stream: what is between its places is joined by it.

    Args:
        pieces: of it, in order.
    """

    __slots__ = ("_created", "_fixed", "_open", "_runs")

    def __init__(self, pieces: Iterable[_Piece]) -> None:
        self._runs: list[list[_Piece]] = [[]]
        for piece in pieces:
            if piece == 0 and isinstance(piece, int):
                self._runs.append([])
            else:
                self._runs[-1].append(piece)
        self._created = -1
        self._fixed: list[bytes] = []
        self._open: list[tuple[int, list[bytes | int]]] = []

    def printed(self, created: int, values: Sequence[bytes]) -> bytes:
        """The bytes, with values by their numbers."""
        if created != self._created:  # once a second
            self._date(created)
        fixed = self._fixed
        if self._open:
            fixed = fixed.copy()
            for at, pieces in self._open:
                fixed[at] = b"".join(
                    [values[piece] if type(piece) is int else piece for piece in pieces]  # type: ignore[misc]
                )
        return fixed[0] if len(fixed) == 1 else values[0].join(fixed)

    def around(self, created: int) -> Sequence[bytes] | None:
        """What is around the places of the first id; ``None`` where there are others."""
        self._date(created)
        return None if self._open or len(self._fixed) == 1 else self._fixed

    def _date(self, created: int) -> None:
        self._created = created
        dated = [
            [
                b"%d" % (created + piece.after) if isinstance(piece, _Time) else piece
                for piece in run
            ]
            for run in self._runs
        ]
        self._open = [
            (at, run) for at, run in enumerate(dated) if any(isinstance(p, int) for p in run)
        ]
        filled_later = {at for at, _ in self._open}
        self._fixed = [
            b"" if at in filled_later else b"".join(cast("list[bytes]", run))
            for at, run in enumerate(dated)
        ]


class _Chunk(Struct, frozen=True):
    """A write of an answer: its bytes, the event it comes of, by number, and `Write.token`."""

    sheet: _Sheet
    event: int
    token: bool


class Plate:
    """An answer, ready to be printed.

    Args:
        acts: of the answer, with marks in them, and the numbers of the events they come of.
        said: the answer as events; its usage has a mark in it.
        events: the same events.
        ids: the lengths of its ids, by their marks.

    Attributes:
        chunks: pieces that the body is written in.
        has_token: whether one of them is a token of a stream.
        size: bytes of the body, about.
    """

    __slots__ = (
        "_added", "_between", "_body", "_chunks", "_created", "_dated", "_events", "_lengths",
        "_lines", "_paced", "_status", "_tokens", "_usage", "chunks", "has_token", "size",
    )  # fmt: skip

    def __init__(
        self,
        acts: "Sequence[tuple[int, Act]]",
        said: Unfolded,
        events: tuple[Event, ...],
        ids: Mapping[bytes, int],
    ) -> None:
        head, writes = _parts(acts)
        self._between = acts[0][0], acts[-1][0]  # the events of the head and of the end
        body = b"".join([write.data for _, write in writes])
        marks = _Marks(ids)
        self._body = _Sheet(marks.pieces(body))
        self._chunks = [
            _Chunk(_Sheet(marks.pieces(write.data)), event, write.token) for event, write in writes
        ]
        fields = [
            (name, _LENGTH.decode() if _is_length(name, value, body) else value)
            for name, value in head.headers
        ]
        self._lines = _Sheet(marks.pieces(_lines(fields)))
        self._added = tuple(marks.added)
        self._lengths = tuple(ids.values())
        self._status = head.status
        self._usage = said.usage
        self._events = events
        self._tokens = said.tokens
        self._paced: tuple[Timing, float, float, list[float]] | None = None
        self._created = -1
        self._dated: Sequence[tuple[_Chunk, Sequence[bytes] | None]] = ()
        self.chunks = len(writes)
        self.has_token = any(write.token for _, write in writes)
        self.size = len(body)

    def printed(self, stamp: Stamp, prompt_tokens: int) -> Whole:
        """The answer to one request."""
        values = self._values(stamp, prompt_tokens)
        body = self._body.printed(stamp.created, values)
        return Whole(self._status, self._head(stamp, values, len(body)), body)

    def cues(
        self, stamp: Stamp, prompt_tokens: int, timing: Timing, *, speed: float, slowdown: float
    ) -> Iterator[Cue]:
        """The answer to one request, as it is told in time.

        Args:
            stamp: its identity, and the chance of its times.
            prompt_tokens: of its prompt.
            timing: how long it takes.
            speed: what all times are divided by.
            slowdown: what they are multiplied by.
        """
        values = self._values(stamp, prompt_tokens)
        # only an answer that is one chunk tells its length
        length = len(self._body.printed(stamp.created, values)) if self.chunks == 1 else 0
        whole = Whole(self._status, self._head(stamp, values, length), b"")
        head = Head(whole.status, tuple(whole.headers))
        times = self._times(stamp, prompt_tokens, timing, speed, slowdown)
        return self._told(head, times, stamp.created, values)

    def usage(self, prompt_tokens: int) -> Usage:
        """Its tokens, for a prompt of so many."""
        usage = self._usage
        return structs.replace(usage, prompt=prompt_tokens) if usage.prompt == _PROMPT else usage

    def _values(self, stamp: Stamp, prompt_tokens: int) -> list[bytes]:
        """What is filled in, in the order of its numbers; the length is not known yet."""
        values = [stamp.unique("", length).encode() for length in self._lengths]
        values += (stamp.request_id.encode(), b"")
        for added in self._added:
            values.append(b"%d" % (prompt_tokens + added))
        return values

    def _head(self, stamp: Stamp, values: list[bytes], length: int) -> bytes:
        values[len(self._lengths) + 1] = b"%d" % length
        return self._lines.printed(stamp.created, values)

    def _told(
        self, head: Head, times: Iterable[float], created: int, values: Sequence[bytes]
    ) -> Iterator[Cue]:
        due = iter(times)
        begins, ends = self._between
        at, passed = 0.0, -1
        while passed < begins:
            at = next(due)
            passed += 1
        yield at, head
        first = values[0]
        for chunk, pieces in self._dated_chunks(created):
            while passed < chunk.event:
                at = next(due)
                passed += 1
            data = chunk.sheet.printed(created, values) if pieces is None else first.join(pieces)
            yield at, Write(data, False, chunk.token)
        while passed < ends:
            at = next(due)
            passed += 1
        yield at, Finish()

    def _dated_chunks(self, created: int) -> Sequence[tuple[_Chunk, Sequence[bytes] | None]]:
        """The chunks, with what the first id joins where nothing else is to be filled in."""
        if created != self._created:  # once a second
            self._created = created
            self._dated = [(each, each.sheet.around(created)) for each in self._chunks]
        return self._dated

    def _times(
        self, stamp: Stamp, prompt_tokens: int, timing: Timing, speed: float, slowdown: float
    ) -> Iterable[float]:
        """When each event is due."""
        kept = self._paced
        if kept is not None and kept[0] is timing and kept[1:3] == (speed, slowdown):
            return kept[3]
        paced = pace(
            iter(self._events),
            timing,
            chance=stamp.chance("timing"),
            prompt_tokens=prompt_tokens,
            speed=speed,
            slowdown=slowdown,
            tokens=self._tokens,
        )
        times = (at for at, _ in paced)
        drawn = timing.ttft.constant is None or timing.itl.constant is None
        if drawn or timing.prefill is not None or timing.total is not None:
            return times
        listed = list(times)
        self._paced = timing, speed, slowdown, listed
        return listed


class Plates:
    """The plates of a server.

    Args:
        tokenizer: cuts answers into tokens, and counts prompts.
    """

    def __init__(self, tokenizer: ITokenizer) -> None:
        self._tokenizer = tokenizer
        self._plates: dict[_Asked, Plate | None] = {}
        self._bytes = 0
        self._seen: set[int] = set()  # once: most replies that were made never come again

    def plate(
        self, dialect: IDialect, prompt: Prompt, reply: Reply, framing: Framing, stamp: Stamp
    ) -> Plate | None:
        """The plate of an answer, if it has one.

        Args:
            dialect: that it is in.
            prompt: what is answered.
            reply: by what.
            framing: which chunks stand alone.
            stamp: the identity of the answer; it is not used up.
        """
        if prompt.form is None:
            return None
        asked = prompt.form, reply, framing
        try:
            known = hash(asked)
        except TypeError:  # parts of some replies are dictionaries
            return None
        if asked in self._plates:
            return self._plates[asked]
        if known not in self._seen:
            if len(self._seen) >= _SEEN_AT_MOST:
                self._seen.clear()
            self._seen.add(known)
            return None
        plate = self._made(dialect, prompt, prompt.form.prompt, reply, framing, stamp)
        self._bytes += 0 if plate is None else plate.size
        if len(self._plates) >= _PLATES_AT_MOST or self._bytes > _BYTES_OF_ALL_AT_MOST:
            self._plates.clear()  # clients may ask ever new things
            self._bytes = 0
        self._plates[asked] = plate
        return plate

    def count(self, prompt: Prompt) -> int:
        """The tokens of a prompt."""
        return prompt_tokens(prompt, self._tokenizer)

    def _made(
        self,
        dialect: IDialect,
        prompt: Prompt,
        form: Prompt,
        reply: Reply,
        framing: Framing,
        stamp: Stamp,
    ) -> Plate | None:
        marking = _Marking(stamp.fingerprint)
        marked = structs.replace(form, given_tokens=_PROMPT)
        try:
            said = unfold(marked, reply, self._tokenizer)
            if said.tokens * len(reply.choices) > BYTES_AT_MOST:
                return None
            events = tuple(said.events)
            plate = Plate(
                _acts(dialect, marked, marking, framing, events), said, events, marking.ids
            )
            meant = unfold(prompt, reply, self._tokenizer)
            head, writes = _parts(_acts(dialect, prompt, stamp.anew(), framing, meant.events))
        except Exception:  # noqa: BLE001 -- whoever answers at length will find the same
            return None
        body = b"".join([write.data for _, write in writes])
        is_so = plate.printed(stamp.anew(), meant.prompt_tokens) == Whole(
            head.status, _lines(head.headers), body
        )
        is_so = is_so and plate.usage(meant.prompt_tokens) == meant.usage
        return plate if is_so and len(body) <= BYTES_AT_MOST else None


def _acts(
    dialect: IDialect, prompt: Prompt, stamp: Stamp, framing: Framing, events: Iterable[Event]
) -> "list[tuple[int, Act]]":
    """An answer, with the numbers of the events that its acts come of."""
    encoder = dialect.encoder(prompt, stamp, framing)
    return [(number, act) for number, event in enumerate(events) for act in encoder.encode(event)]


def _parts(acts: "Sequence[tuple[int, Act]]") -> "tuple[Head, list[tuple[int, Write]]]":
    """The head and the writes of an answer that is nothing else.

    Raises:
        _NoPlate: it is more.
    """
    match acts:
        case [(_, Head(over=0.0) as head), *middle, (_, Finish())]:
            writes = [(event, act) for event, act in middle if isinstance(act, Write)]
            if len(writes) == len(middle) and not any(write.apart for _, write in writes):
                return head, writes
    raise _NoPlate


def _is_length(name: str, value: str, body: bytes) -> bool:
    return name.lower() == "content-length" and value == str(len(body))


def _lines(fields: Iterable[tuple[str, str]]) -> bytes:
    """Fields as lines.

    Raises:
        _NoPlate: one would be more than a line.
    """
    lines = [f"\r\n{name}: {value}" for name, value in fields]
    if any(len(line.splitlines()) != 2 for line in lines):  # noqa: PLR2004 -- it begins with an end
        raise _NoPlate
    return "".join(lines).encode("utf-8", "replace")
