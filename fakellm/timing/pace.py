"""Pacing: when each event of an answer is due.

Pure: it stamps events with seconds since the request was received, and must never wait, read a
clock or gather an answer. An event is due no sooner than the one before, and times are absolute, so
that nothing drifts.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from itertools import accumulate, chain, repeat
from math import inf
from random import Random
from typing import Annotated, TypeVar

from msgspec import Meta, Struct, structs

from fakellm.model.events import Begin, ChoiceBegin, ChoiceEnd, End, Event, Failed, Token
from fakellm.timing.distributions import (
    Distribution,
    DurationSpec,
    ReadText,
    compile_duration,
    with_samples,
)
from fakellm.timing.durations import LONGEST, BadDuration, parse_rate

Paced = tuple[float, Event]
"""An event and when it is due, in seconds since the request was received."""

_Tick = Callable[[int], float]
"""The clock of one choice: says so many tokens more, and when the last of them is due."""


class TimingSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How long an answer takes; what is left out takes no time."""

    ttft: Annotated[
        DurationSpec | None, Meta(description="The time to the first token (TTFT).")
    ] = None
    itl: Annotated[
        DurationSpec | None,
        Meta(description="The time from one token to the next: the inter-token latency (ITL)."),
    ] = None
    tokens_per_second: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="The other way to say a constant ITL."),
    ] = None
    prefill: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="Prompt tokens read in a second; the time it takes adds to the TTFT."),
    ] = None
    chunk_tokens: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Tokens in a chunk, which come together when the last of them is due."),
    ] = None
    total: Annotated[
        DurationSpec | None,
        Meta(description="The time to the answer's end, which the tokens are spread over."),
    ] = None


class Timing(Struct, frozen=True, kw_only=True):
    """How long an answer takes, ready to draw from.

    ``prefill`` is in prompt tokens per second. ``chunk_tokens`` is for who cuts the answer.
    """

    ttft: Distribution
    itl: Distribution
    prefill: float | None = None
    chunk_tokens: int | None = None
    total: Distribution | None = None


def merged(base: TimingSpec, over: TimingSpec) -> TimingSpec:
    """``base`` with what ``over`` gives instead; an ITL and a rate replace each other."""
    given = {name: value for name, value in structs.asdict(over).items() if value is not None}
    if over.itl is not None or over.tokens_per_second is not None:
        base = structs.replace(base, itl=None, tokens_per_second=None)
    return structs.replace(base, **given)


Spec = TypeVar("Spec", bound=TimingSpec)


def with_files_read(spec: Spec, read_text: ReadText) -> Spec:
    """A timing that needs no file any more: samples of files are in it.

    Raises:
        BadDuration: a file cannot be read, or has no durations in it.
    """
    read = {
        name: with_samples(written, read_text)
        for name in ("ttft", "itl", "total")
        if (written := getattr(spec, name)) is not None
    }
    return structs.replace(spec, **read)


def compile_timing(spec: TimingSpec, read_text: ReadText | None = None) -> Timing:
    """A timing to pace with.

    Args:
        spec: the timing as it is written.
        read_text: as `compile_duration` has it.

    Raises:
        BadDuration: it cannot be; the text begins with the key that is wrong.
    """

    def duration(key: str, written: DurationSpec) -> Distribution:
        try:
            return compile_duration(written, read_text)
        except BadDuration as error:
            raise BadDuration(f"{key}: {error}") from None

    def rate(key: str, written: float) -> float:
        try:
            return parse_rate(written)
        except BadDuration as error:
            raise BadDuration(f"{key}: {error}") from None

    if spec.tokens_per_second is None:
        itl = duration("itl", 0 if spec.itl is None else spec.itl)
    elif spec.itl is None:
        itl = compile_duration(1 / rate("tokens_per_second", spec.tokens_per_second))
    else:
        raise BadDuration("itl and tokens_per_second are two ways to say one thing: give one")
    if spec.chunk_tokens is not None and spec.chunk_tokens < 1:
        raise BadDuration(f"chunk_tokens: must be at least 1, not {spec.chunk_tokens}")
    return Timing(
        ttft=duration("ttft", 0 if spec.ttft is None else spec.ttft),
        itl=itl,
        prefill=None if spec.prefill is None else rate("prefill", spec.prefill),
        chunk_tokens=spec.chunk_tokens,
        total=None if spec.total is None else duration("total", spec.total),
    )


def pace(
    events: Iterator[Event],
    timing: Timing,
    *,
    chance: Random,
    prompt_tokens: int,
    speed: float = 1.0,
    slowdown: float = 1.0,
    tokens: int | None = None,
) -> Iterator[Paced]:
    """Stamps the events of an answer, as they are drawn, with the time each is due.

    ``Begin`` is due at 0, and all else at the TTFT or later: the first token at the TTFT, and each
    further one an ITL after the one before, whether it is shown or hidden. An event that ends many
    tokens is due when the last of them is; one that ends none comes with the one before.

    Choices that begin together run side by side, on a clock each; their events are put in order of
    time, equal ones as they came. What a choice is ahead of the slowest one is held back, so for
    choices in turn little more than one event each; a choice that never ends holds back what comes
    after it until the answer ends. Choices are to begin together, before any token.

    A ``total`` is when ``End`` is due, and the last of ``tokens``. The TTFT is kept if that leaves
    it room, and else shortened as the rest is. Where ``tokens`` is ``None`` nothing can be
    stretched: tokens come as the ITL has it, and at the total at the latest. As their sum is needed
    at once, the ITLs of such an answer are drawn when it begins, and all choices share them.

    Args:
        events: the answer; drawn no earlier than needed.
        timing: how long it takes.
        chance: all draws follow from it.
        prompt_tokens: how many are read at the timing's ``prefill``.
        speed: what all times are divided by; 0 means that all is due at once.
        slowdown: what TTFT and ITL are multiplied by, but not a total.
        tokens: how many the longest choice has, the hidden ones too.

    Raises:
        ValueError: ``speed`` or ``slowdown`` is negative, or beyond `LONGEST` or its inverse.
    """
    if speed == 0:
        return zip(repeat(0.0), events)
    if not 1 / LONGEST <= speed <= LONGEST:
        raise ValueError(f"speed must be 0 or from {1 / LONGEST} to {LONGEST}, not {speed!r}")
    if not 0 <= slowdown <= LONGEST:
        raise ValueError(f"slowdown must be from 0 to {LONGEST}, not {slowdown!r}")
    factor = slowdown / speed
    first = timing.ttft.draw(chance)
    if timing.prefill is not None:
        first += prompt_tokens / timing.prefill
    first *= factor
    itl = timing.itl
    if timing.total is not None:
        total = timing.total.draw(chance) / speed
        first, clock = _stretched(first, itl, factor, chance, total, tokens)
    else:
        total = 0.0
        clock = _natural(first, itl, factor, chance)
        if first == 0 and itl.constant == 0:
            return zip(repeat(0.0), events)
    return _paced(events, first, total, clock)


def _natural(first: float, itl: Distribution, factor: float, chance: Random) -> Callable[[], _Tick]:
    if itl.constant is not None:
        gap = itl.constant * factor
        return lambda: _even(first, gap)
    return lambda: _drawn(first, itl.draw, factor, chance)


def _even(first: float, gap: float, tokens: float = inf, last: float = inf) -> _Tick:
    """Tokens at equal distance; the one that is number ``tokens`` is due at ``last`` exactly."""
    said = 0

    def tick(more: int) -> float:
        nonlocal said
        said += more
        if said >= tokens:
            return last
        return first + (said - 1) * gap if said else first

    return tick


def _drawn(first: float, draw: Callable[[Random], float], factor: float, chance: Random) -> _Tick:
    at = first
    has_begun = False

    def tick(more: int) -> float:
        nonlocal at, has_begun
        if more:
            for _ in range(more if has_begun else more - 1):
                at += draw(chance) * factor
            has_begun = True
        return at

    return tick


def _listed(times: list[float]) -> _Tick:
    """Tokens at these times; any more of them at the last."""
    said = 0

    def tick(more: int) -> float:
        nonlocal said
        said += more
        return times[min(max(said, 1), len(times)) - 1]

    return tick


def _at_most(last: float, clock: _Tick) -> _Tick:
    return lambda more: min(last, clock(more))


def _stretched(
    first: float,
    itl: Distribution,
    factor: float,
    chance: Random,
    total: float,
    tokens: int | None,
) -> tuple[float, Callable[[], _Tick]]:
    """When the first token is due, and clocks that end at the total."""
    if tokens is None:
        natural = _natural(first, itl, factor, chance)
        return min(first, total), lambda: _at_most(total, natural())
    gaps = max(tokens - 1, 0)
    offsets: list[float] = []
    if itl.constant is None:
        offsets = [0.0, *accumulate(itl.draw(chance) * factor for _ in range(gaps))]
        span = offsets[-1]
    else:
        span = itl.constant * factor * gaps
    if first > total:
        first = min(first * (total / (first + span)), total)
    room = total - first
    if not gaps:
        return first, lambda: _even(first, 0.0)
    if not offsets or not span:
        return first, lambda: _even(first, room / gaps, tokens, total)
    times = [min(first + offset / span * room, total) for offset in offsets]
    times[-1] = total
    return first, lambda: _listed(times)


def _paced(
    events: Iterator[Event], first: float, total: float, clock: Callable[[], _Tick]
) -> Iterator[Paced]:
    choices: dict[int, _Tick] = {}
    at = 0.0
    for event in events:
        if isinstance(event, ChoiceBegin):
            choices[event.choice] = clock()
            at = first
        elif not isinstance(event, Begin | Failed):
            break
        yield at, event
    else:
        return
    rest = chain((event,), events)
    if len(choices) > 1:
        yield from _side_by_side(rest, choices, clock, first, total)
    else:
        yield from _alone(rest, clock(), first, total)


def _alone(events: Iterable[Event], tick: _Tick, at: float, total: float) -> Iterator[Paced]:
    for event in events:
        if isinstance(event, Token):
            at = tick(event.tokens)
        elif isinstance(event, End):
            at = max(at, total)
        yield at, event


def _side_by_side(
    events: Iterable[Event],
    begun: dict[int, _Tick],
    clock: Callable[[], _Tick],
    first: float,
    total: float,
) -> Iterator[Paced]:
    ticks = defaultdict(clock, begun)
    reached = defaultdict(lambda: first, dict.fromkeys(begun, first))
    running = set(begun)
    low = at = first  # how far the slowest is of those that run
    slowest = len(running)  # how many are no further than that
    held: list[tuple[float, int, Event]] = []
    for number, event in enumerate(events):
        ends = False
        if isinstance(event, Token):
            was = reached[event.choice]
            due = reached[event.choice] = ticks[event.choice](event.tokens)
        elif isinstance(event, Begin | End | Failed):
            due = was = max([at, *(each[0] for each in held)])
            if isinstance(event, End):
                due = was = max(due, total)
            low = inf
        else:
            due = was = reached[event.choice]
            ends = isinstance(event, ChoiceEnd) and event.choice in running
            if ends:
                running.remove(event.choice)
        if was <= low and (ends or due > low):
            slowest -= 1
            if slowest <= 0:
                low = min((reached[each] for each in running), default=inf)
                slowest = sum(reached[each] <= low for each in running)
        heappush(held, (due, number, event))
        while held and held[0][0] <= low:
            due, _, event_due = heappop(held)
            at = max(at, due)
            yield at, event_due
    while held:
        due, _, event_due = heappop(held)
        at = max(at, due)
        yield at, event_due
