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
from fakellm.model.timeline import Act, Finish, Head, Whole, Write
from fakellm.timing.counting import prompt_tokens
from fakellm.timing.unfold import unfold

BYTES_AT_MOST = 64 * 1024
"""Bodies of more are written piece by piece, as their clients read them."""

_PLATES_AT_MOST = 500
_SHORTEST_MARK = 12

# Marks are numbers that no answer has by chance; what is added to one is found by the difference.
_CREATED = 7_411_000_000_000
_PROMPT = 7_422_000_000_000
_REQUEST = b"q7Q-request"
_LENGTH = b"q7Q-length"


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


class Plate:
    """An answer, ready to be printed.

    Args:
        head: of the answer, with marks in it.
        writes: of its body, with marks in them.
        usage: as it is told, with a mark in it.
        ids: the lengths of its ids, by their marks.

    Attributes:
        chunks: pieces that the body is written in.
        has_token: whether one of them is a token of a stream.
    """

    __slots__ = (
        "_added",
        "_body",
        "_lengths",
        "_lines",
        "_status",
        "_usage",
        "chunks",
        "has_token",
    )

    def __init__(
        self, head: Head, writes: Sequence[Write], usage: Usage, ids: Mapping[bytes, int]
    ) -> None:
        body = b"".join([write.data for write in writes])
        marks = _Marks(ids)
        self._body = _Sheet(marks.pieces(body))
        fields = [
            (name, _LENGTH.decode() if _is_length(name, value, body) else value)
            for name, value in head.headers
        ]
        self._lines = _Sheet(marks.pieces(_lines(fields)))
        self._added = tuple(marks.added)
        self._lengths = tuple(ids.values())
        self._status = head.status
        self._usage = usage
        self.chunks = len(writes)
        self.has_token = any(write.token for write in writes)

    def printed(self, stamp: Stamp, prompt_tokens: int) -> Whole:
        """The answer to one request."""
        values = [stamp.unique("", length).encode() for length in self._lengths]
        values += (stamp.request_id.encode(), b"")
        for added in self._added:
            values.append(b"%d" % (prompt_tokens + added))
        body = self._body.printed(stamp.created, values)
        values[len(self._lengths) + 1] = b"%d" % len(body)
        return Whole(self._status, self._lines.printed(stamp.created, values), body)

    def usage(self, prompt_tokens: int) -> Usage:
        """Its tokens, for a prompt of so many."""
        usage = self._usage
        return structs.replace(usage, prompt=prompt_tokens) if usage.prompt == _PROMPT else usage


class Plates:
    """The plates of a server.

    Args:
        tokenizer: cuts answers into tokens, and counts prompts.
    """

    def __init__(self, tokenizer: ITokenizer) -> None:
        self._tokenizer = tokenizer
        # with what they are known by, so that its id stays its own
        self._plates: dict[tuple[int, int, int], tuple[Form, Reply, Framing, Plate | None]] = {}

    def plate(
        self, dialect: IDialect, prompt: Prompt, reply: Reply, framing: Framing, stamp: Stamp
    ) -> Plate | None:
        """The plate of an answer that takes no time; ``None`` where it has none.

        Args:
            dialect: that it is in.
            prompt: what is answered.
            reply: by what; the same object whenever it is the same.
            framing: which chunks stand alone.
            stamp: the identity of the answer; it is not used up.
        """
        form = prompt.form
        if form is None:
            return None
        key = id(form), id(reply), id(framing)
        found = self._plates.get(key)
        if found is None:
            if len(self._plates) >= _PLATES_AT_MOST:
                self._plates.clear()  # clients may ask ever new things
            plate = self._made(dialect, prompt, form, reply, framing, stamp)
            found = self._plates[key] = form, reply, framing, plate
        return found[3]

    def count(self, prompt: Prompt) -> int:
        """The tokens of a prompt."""
        return prompt_tokens(prompt, self._tokenizer)

    def _made(
        self,
        dialect: IDialect,
        prompt: Prompt,
        form: Form,
        reply: Reply,
        framing: Framing,
        stamp: Stamp,
    ) -> Plate | None:
        marking = _Marking(stamp.fingerprint)
        marked = structs.replace(form.prompt, given_tokens=_PROMPT)
        try:
            said = unfold(marked, reply, self._tokenizer)
            head, writes = _whole(dialect, marked, marking, framing, said.events)
            plate = Plate(head, writes, said.usage, marking.ids)
            meant = unfold(prompt, reply, self._tokenizer)
            shown = _whole(dialect, prompt, stamp.anew(), framing, meant.events)
        except Exception:  # noqa: BLE001 -- whoever answers at length will find the same
            return None
        printed = plate.printed(stamp.anew(), meant.prompt_tokens)
        head, writes = shown
        body = b"".join([write.data for write in writes])
        is_so = printed == Whole(head.status, _lines(head.headers), body)
        is_so = is_so and plate.usage(meant.prompt_tokens) == meant.usage
        return plate if is_so and len(printed.body) <= BYTES_AT_MOST else None


def _whole(
    dialect: IDialect, prompt: Prompt, stamp: Stamp, framing: Framing, events: Iterable[Event]
) -> tuple[Head, list[Write]]:
    """The head and the writes of an answer that is nothing else.

    Raises:
        _NoPlate: it is more.
    """
    encoder = dialect.encoder(prompt, stamp, framing)
    acts: list[Act] = [act for event in events for act in encoder.encode(event)]
    match acts:
        case [Head(over=0.0) as head, *middle, Finish()]:
            writes = [act for act in middle if isinstance(act, Write) and not act.apart]
            if len(writes) == len(middle):
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
