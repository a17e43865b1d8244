"""How a server conducts itself over its run: one regime at a time, by its phases.

Options come first, files override them key by key, and a phase overrides files. Everything is made
ready when files are read; what a request costs is finding its regime.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct, structs

from fakellm.faults.compile import compile_fault
from fakellm.faults.fault import Fault
from fakellm.faults.shorthand import parse_fault
from fakellm.faults.spec import FaultItem
from fakellm.model.framing import Framing
from fakellm.scenarios import schema
from fakellm.timing.choice import Profile, Timings
from fakellm.timing.conduct import FramingSpec, Late, LimitSpec, LoadSpec
from fakellm.timing.durations import parse_duration
from fakellm.timing.pace import TimingSpec, merged

ContextLength = int | Mapping[str, int] | None
"""Tokens: of every model, or by model, with ``*`` for all others."""


class Conducted(Struct, frozen=True, kw_only=True):
    """What a server's options say, where its files do not say otherwise."""

    timing: TimingSpec = TimingSpec()
    load: LoadSpec = LoadSpec()
    framing: FramingSpec = FramingSpec()
    late: Late | None = None
    limits: tuple[LimitSpec, ...] = ()
    context_length: ContextLength = None
    faults: tuple[FaultItem, ...] = ()


class Regime(Struct, frozen=True, kw_only=True):
    """How a server conducts itself for a time.

    Attributes:
        timings: chooses how long answers take.
        load: how many answers run at once, and what then.
        framing: which chunks stand alone.
        late: what a stream does that is behind its times.
        limits: of requests, tokens and answers at once.
        context_length: the tokens that prompt and answer of a model may have together, if bounded.
        faults: what goes wrong where a rule says nothing of it.
    """

    timings: Timings
    load: LoadSpec = LoadSpec()
    framing: Framing = Framing()
    late: Late = "catch_up"
    limits: tuple[LimitSpec, ...] = ()
    context_length: Callable[[str], int | None] = lambda _: None
    faults: tuple[Fault, ...] = ()

    @property
    def uses_attempts(self) -> bool:
        """Whether a fault depends on the number of the attempt."""
        return any(fault.on_attempt is not None for fault in self.faults)


class Course:
    """The regimes of a server.

    Args:
        options: what its options say.

    Attributes:
        regimes: all of them, in the order of time.
    """

    def __init__(self, options: Conducted | None = None) -> None:
        self._options = Conducted() if options is None else options
        self.replace()

    def replace(self, sections: schema.Sections | None = None) -> None:
        """Go by other files from now on; the time that has passed is not begun anew.

        Args:
            sections: what files say, found to be in order.

        Raises:
            BadFault: a fault of the options cannot be.
            BadDuration: a timing of the options cannot be.
        """
        said = schema.Sections() if sections is None else sections
        phases = said.phases or ()
        self._begins = [parse_duration(phase.after) for phase in phases]
        self.regimes: Sequence[Regime] = [
            _regime(self._options, said, phase) for phase in (None, *phases)
        ]

    def at(self, elapsed: float) -> Regime:
        """The regime so many seconds after the server's start."""
        return self.regimes[bisect_right(self._begins, elapsed)]

    @property
    def uses_attempts(self) -> bool:
        """Whether a fault of any regime depends on the number of the attempt."""
        return any(regime.uses_attempts for regime in self.regimes)


def _regime(options: Conducted, said: schema.Sections, phase: schema.Phase | None) -> Regime:
    """The regime of a phase; ``None`` is the time before the first."""
    over = schema.Phase(after=0) if phase is None else phase
    timings = Timings(options.timing)
    timings.replace(_timing(said, over), said.profiles)
    faults = _first(over.faults, said.faults, options.faults)
    return Regime(
        timings=timings,
        load=_over(options.load, _first(over.load, said.load)),
        framing=_framing(_over(options.framing, _first(over.framing, said.framing))),
        late=_first(over.late, said.late, options.late, "catch_up"),
        limits=_first(over.limits, said.limits, options.limits),
        context_length=_lengths(_first(said.context_length, options.context_length)),
        faults=tuple(map(_fault, faults)),
    )


def _first(*said: Any) -> Any:
    """The first that says something, or nothing."""
    return next((each for each in said if each is not None), None)


def _timing(said: schema.Sections, phase: schema.Phase) -> TimingSpec:
    timing = said.timing or TimingSpec()
    if phase.profile is not None:
        profiles: Mapping[str, Profile] = said.profiles or {}
        timing = merged(timing, profiles[phase.profile].timing)
    return timing if phase.timing is None else merged(timing, phase.timing)


_Record = TypeVar("_Record", bound=Struct)


def _over(base: _Record, over: _Record | None) -> _Record:
    """A record with what another gives instead, key by key."""
    given = {} if over is None else structs.asdict(over)
    return structs.replace(base, **{name: each for name, each in given.items() if each is not None})


def _framing(spec: FramingSpec) -> Framing:
    return Framing(
        role_alone=spec.role != "with_first_token",
        finish_alone=spec.finish != "with_last_token",
        head_at_once=spec.head != "with_first_token",
    )


def _lengths(said: ContextLength) -> Callable[[str], int | None]:
    if isinstance(said, Mapping):
        lengths, rest = said, said.get("*")
        return lambda model: lengths.get(model, rest)
    return lambda _: said


def _fault(item: FaultItem) -> Fault:
    return compile_fault(parse_fault(item) if isinstance(item, str) else item)
