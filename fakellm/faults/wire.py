"""Faults in how an answer reaches its client: from each fault, a stage that steps pass through.

Lazy, but where a length is to be known before the body. Nothing here may look at what was meant:
that is `fakellm.faults.semantic`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from math import inf

from fakellm.faults import frames, heads, sse
from fakellm.faults.fault import Fault, Position
from fakellm.faults.positions import NEVER, Step, Steps, Strike, shifted, struck
from fakellm.faults.throttle import throttled
from fakellm.model.timeline import Abort, Act, Close, Head, Hold, Nothing, Raw, Shut, Write

Noted = Callable[[], None]

_BROKEN_SIZE = b"this is no chunk size\r\n"
_AFTER_HEAD = Position(unit="chunks", amount=0)


class Stages:
    """Makes the stages of one answer, in order.

    Args:
        speed: what durations are divided by; at 0 there is no waiting but for ever.
        streamed: whether the answer is a stream.
        noted: told the name of a fault when it strikes, once a fault.
    """

    def __init__(self, speed: float, noted: Callable[[str], None], *, streamed: bool) -> None:
        self._speed = speed
        self._streamed = streamed
        self._noted = noted
        self._start = 0.0
        self._delays: list[Noted] = []  # what made the start as late as it is

    def apply(self, steps: Steps, faults: Sequence[Fault]) -> Steps:
        """Steps through all faults that are not semantic."""
        for fault in _ordered(faults):
            stage = _STAGES.get(fault.name)
            if stage is not None:
                steps = stage(self, steps, fault, self.once(fault))
        return steps

    def once(self, fault: Fault) -> Noted:
        """What notes a fault the first time."""
        is_noted = False

        def note() -> None:
            nonlocal is_noted
            if not is_noted:
                is_noted = True
                self._noted(fault.name)

        return note

    def real(self, seconds: float | None) -> float:
        """How long a duration really takes."""
        if not seconds or seconds == inf:
            return seconds or 0.0
        return seconds / self._speed if self._speed else 0.0

    def _struck(self, steps: Steps, fault: Fault, strike: Strike, *, picks: bool = False) -> Steps:
        if fault.before_end:
            return self._at(steps, NEVER, strike)
        return self._at(steps, fault.after, strike, picks=picks)

    def _at(
        self, steps: Steps, position: Position | None, strike: Strike, *, picks: bool = False
    ) -> Steps:
        if self._start == inf and position is None:
            return steps  # it never begins
        delays = () if position is not None else tuple(self._delays)

        def strike_late(at: float, tokens: int, rest: Steps) -> Iterable[Step]:
            for noted in delays:
                noted()
            return strike(at, tokens, rest)

        return struck(
            steps, position, strike_late, start=self._start, speed=self._speed, picks=picks
        )

    def _instead(self, steps: Steps, fault: Fault, noted: Noted, *acts: Act) -> Steps:
        """The rest of an answer replaced."""

        def strike(at: float, tokens: int, _rest: Steps) -> Iterator[Step]:
            noted()
            for act in acts:
                yield at, act, tokens

        return self._struck(steps, fault, strike)

    def hang(self, steps: Steps, fault: Fault, noted: Noted) -> Steps:
        """No answer at all."""
        del fault
        if self._start == inf:
            return steps  # nothing comes already

        def silence(_at: float, tokens: int, _rest: Steps) -> Iterator[Step]:
            noted()
            yield inf, Nothing(), tokens

        hung = self._at(steps, None, silence)
        self._start = inf
        return hung

    def stall(self, steps: Steps, fault: Fault, noted: Noted) -> Steps:
        """Silence, and what follows is later."""
        lasts = self.real(fault.seconds)

        def strike(_at: float, tokens: int, rest: Steps) -> Iterator[Step]:
            noted()
            if lasts == inf:
                return iter([(inf, Nothing(), tokens)])
            return shifted(rest, lasts)

        stalled = self._struck(steps, fault, strike)
        if fault.after is None:
            self._start += lasts
            self._delays.append(noted)
        return stalled

    def slow_head(self, steps: Steps, fault: Fault, noted: Noted) -> Steps:
        """Status and headers in pieces."""
        over = self.real(fault.seconds)
        for at, act, tokens in steps:
            if isinstance(act, Head):
                noted()
                yield at, Head(act.status, act.headers, act.over + over), tokens
                yield from shifted(steps, over)
            else:
                yield at, act, tokens

    def hold(self, steps: Steps, fault: Fault, noted: Noted) -> Steps:
        """A gate."""

        def strike(at: float, tokens: int, rest: Steps) -> Iterator[Step]:
            noted()
            return chain(((at, Hold(fault.text), tokens),), rest)

        return self._struck(steps, fault, strike)

    def close(self, steps: Steps, fault: Fault, noted: Noted) -> Steps:
        """The connection closed."""
        return self._instead(steps, fault, noted, Close())

    def reset(self, steps: Steps, fault: Fault, noted: Noted) -> Steps:
        """The connection reset."""
        return self._instead(steps, fault, noted, Abort())

    def hang_up(self, steps: Steps, fault: Fault, noted: Noted) -> Steps:
        """The connection closed, and the next ones too."""
        shut = Shut(self.real(fault.seconds), False, fault.connections)
        return self._instead(steps, fault, noted, shut, Close())

    def refuse(self, steps: Steps, fault: Fault, noted: Noted) -> Steps:
        """The connection reset, and nobody there for a while."""
        return self._instead(steps, fault, noted, Shut(self.real(fault.seconds), True), Abort())

    def broken_chunks(self, steps: Steps, fault: Fault, noted: Noted) -> Steps:
        """Garbage in place of the size of an HTTP chunk, so behind the head at the earliest."""
        stream = frames.Stream()

        def strike(at: float, tokens: int, rest: Steps) -> Iterator[Step]:
            while not stream.is_headed:
                step = next(rest, None)
                if step is None:
                    return
                yield step
                at, _, tokens = step
            noted()
            yield at, Raw(_BROKEN_SIZE), tokens
            yield at, Close(), tokens

        unsized = heads.rewritten(
            steps, lambda head: heads.with_header(head, "Content-Length", None)
        )
        return stream.watched(self._at(unsized, fault.after or _AFTER_HEAD, strike))

    def no_end(self, steps: Steps, fault: Fault, noted: Noted) -> Steps:
        """A stream without its last event, a document without its last byte."""
        del fault

        def strike(_at: float, _tokens: int, rest: Steps) -> Iterator[Step]:
            for at, act, tokens in rest:
                if not isinstance(act, Write):
                    yield at, act, tokens
                    continue
                noted()
                if not self._streamed:
                    yield at, Write(act.data[:-1], act.apart, act.token), tokens

        return heads.true_length(self._at(steps, NEVER, strike))

    def missing(self, steps: Steps, fault: Fault, noted: Noted) -> Steps:
        """A chunk left out."""
        return self._picked(steps, fault, lambda rest: frames.missing(rest, noted))

    def doubled(self, steps: Steps, fault: Fault, noted: Noted) -> Steps:
        """A chunk twice."""
        return self._picked(steps, fault, lambda rest: frames.doubled(rest, noted))

    def swapped(self, steps: Steps, fault: Fault, noted: Noted) -> Steps:
        """Two chunks in the wrong order."""
        return self._picked(steps, fault, lambda rest: frames.swapped(rest, noted))

    def malformed(self, steps: Steps, fault: Fault, noted: Noted) -> Steps:
        """JSON that ends too early."""
        stream = frames.Stream()
        return self._picked(
            stream.watched(steps),
            fault,
            lambda rest: frames.malformed(rest, lambda: stream.is_events, noted, every=fault.all),
        )

    def _picked(self, steps: Steps, fault: Fault, change: Callable[[Steps], Steps]) -> Steps:
        return heads.true_length(
            self._struck(steps, fault, lambda _at, _tokens, rest: change(rest), picks=True)
        )

    def split(self, steps: Steps, fault: Fault, noted: Noted) -> Steps:
        """A chunk in two segments."""
        gap = self.real(fault.seconds)
        at_byte = None if fault.number is None else int(fault.number)
        return self._struck(
            steps,
            fault,
            lambda _at, _tokens, rest: frames.in_two(rest, at_byte, gap, noted, every=fault.all),
            picks=True,
        )

    def comments(self, steps: Steps, fault: Fault, noted: Noted) -> Steps:
        """Comments in an event stream."""
        every = None if fault.seconds is None else self.real(fault.seconds)
        return sse.comments(steps, fault.text, every, noted)

    def throttle(self, steps: Steps, fault: Fault, noted: Noted) -> Steps:
        """A slow link; at speed 0 it takes no time."""
        rate = (fault.number or 0.0) * self._speed
        return throttled(steps, rate, noted) if rate else steps

    def content_type(self, steps: Steps, fault: Fault, noted: Noted) -> Steps:
        """A wrong content type."""

        def rewrite(head: Head) -> Head:
            noted()
            return heads.with_header(head, "Content-Type", fault.text)

        return heads.rewritten(steps, rewrite)


def _ordered(faults: Sequence[Fault]) -> list[Fault]:
    """The faults, with a byte order mark behind all comments, or it would not be at the start."""
    ordered = [fault for fault in faults if fault.name != "bom"]
    marks = [index for index, fault in enumerate(faults) if fault.name == "bom"]
    if marks:
        behind = [number for number, fault in enumerate(ordered) if fault.name == "comments"]
        ordered.insert(max(marks[0], behind[-1] + 1 if behind else 0), faults[marks[0]])
    return ordered


_Stage = Callable[[Stages, Steps, Fault, Noted], Steps]

_STAGES: dict[str, _Stage] = {
    "hang": Stages.hang,
    "delay": Stages.stall,
    "slow_head": Stages.slow_head,
    "hang_up": Stages.hang_up,
    "refuse": Stages.refuse,
    "stall": Stages.stall,
    "close": Stages.close,
    "reset": Stages.reset,
    "hold": Stages.hold,
    "no_end": Stages.no_end,
    "missing": Stages.missing,
    "doubled": Stages.doubled,
    "swapped": Stages.swapped,
    "malformed": Stages.malformed,
    "split": Stages.split,
    "byte_by_byte": lambda stages, steps, fault, noted: frames.byte_by_byte(
        steps, stages.real(fault.seconds), noted
    ),
    "split_characters": lambda stages, steps, fault, noted: frames.split_characters(
        steps, stages.real(fault.seconds), noted
    ),
    "line_ends": lambda _, steps, fault, noted: sse.line_ends(steps, fault.text, noted),
    "comments": Stages.comments,
    "no_space": lambda _, steps, __, noted: sse.framed(steps, sse.no_space, noted),
    "multi_line": lambda _, steps, __, noted: sse.framed(steps, sse.multi_line, noted),
    "unknown_fields": lambda _, steps, __, noted: sse.framed(steps, sse.unknown_fields, noted),
    "bom": lambda _, steps, __, noted: heads.true_length(sse.bom(steps, noted)),
    "content_type": Stages.content_type,
    "content_length": lambda _, steps, fault, noted: heads.wrong_length(
        steps, int(fault.number or 0), noted
    ),
    "broken_chunks": Stages.broken_chunks,
    "bad_gzip": lambda _, steps, __, noted: heads.true_length(heads.bad_gzip(steps, noted)),
    "throttle": Stages.throttle,
}
