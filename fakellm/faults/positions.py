"""Where in an answer a fault strikes.

Works on steps, lazily: an act, when it is due, and how many tokens have been said when it has gone
out. It holds back no more than one chunk, to know which is the last.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from fakellm.faults.fault import Position
from fakellm.model.timeline import Act, Finish, Head, Write

Step = tuple[float, Act, int]
"""When, what, and how many tokens have been said once it has gone out."""

Steps = Iterator[Step]

Strike = Callable[[float, int, Steps], Iterable[Step]]
"""What becomes of an answer from a fault on: told when it strikes, the tokens so far, the rest."""

_SOON = 5e-324
"""The least time after 0: at speed 0 all that ever comes comes at 0."""

NEVER = Position(unit="chunks", amount=float("inf"))
"""A position that every answer ends before: so what is there is before its last chunk."""


def time_of(position: Position, speed: float) -> float | None:
    """The time of a position in seconds; ``None`` where it is none in time."""
    if position.unit != "seconds":
        return None
    if speed:
        return position.amount / speed
    return _SOON if position.amount else 0.0


def struck(
    steps: Steps,
    position: Position | None,
    strike: Strike,
    *,
    start: float,
    speed: float,
    picks: bool = False,
) -> Steps:
    """An answer up to a position, and what a fault makes of the rest.

    Args:
        steps: the answer.
        position: where; ``None`` is before all, at ``start``.
        strike: the fault. It is not called in an answer that breaks off sooner.
        start: when the answer begins, in seconds.
        speed: what a time is divided by.
        picks: it is about the chunk that comes next: none is cut, and there has to be one.
    """
    if position is None:
        yield from strike(start, 0, steps)
        return
    unit, amount, limit = position.unit, position.amount, time_of(position, speed)
    marked = _marked(steps)
    rest = (step for step, _ in marked)
    before, said = 0.0, 0
    is_headed = False
    chunks = size = 0
    for step, is_last in marked:
        at, act, tokens = step
        if limit is not None and at >= limit:
            yield from strike(max(before, limit), said, chain((step,), rest))
            return
        if isinstance(act, Write):
            chunks += 1
            size += len(act.data)
        is_headed = is_headed or isinstance(act, Head)
        reached = {"tokens": tokens, "chunks": chunks, "bytes": size, "seconds": -1}[unit]
        if is_last and (picks or reached < amount):
            yield from strike(before, said, chain((step,), rest))
            return
        over = int(size - amount) if unit == "bytes" and size > amount and not picks else 0
        if over and isinstance(act, Write):
            kept, left = cut(act, len(act.data) - over)
            yield at, kept, said
            yield from strike(at, said, chain(((at, left, tokens),), rest))
            return
        yield step
        before, said = at, tokens
        if reached >= amount and (is_headed or unit == "tokens"):
            yield from strike(at, tokens, rest)
            return


def cut(write: Write, at: int, *, apart: bool = False) -> tuple[Write, Write]:
    """A chunk in two, of which neither may be left out."""
    apart = apart or write.apart
    return (
        Write(write.data[:at], apart=apart),
        Write(write.data[at:], apart=apart),
    )


def shifted(steps: Steps, by: float) -> Steps:
    """Steps that are later by so many seconds."""
    for at, act, tokens in steps:
        yield at + by, act, tokens


def _marked(steps: Steps) -> Iterator[tuple[Step, bool]]:
    """Steps, and whether each is the last chunk, or the end of an answer without any."""
    held: list[Step] = []
    for step in steps:
        act = step[1]
        if isinstance(act, Write):
            for each in held:
                yield each, False
            held = [step]
        elif isinstance(act, Finish):
            for number, each in enumerate((*held, step)):
                yield each, not number
            held = []
        elif held:
            held.append(step)
        else:
            yield step, False
    for each in held:
        yield each, False
