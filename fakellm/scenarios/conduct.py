"""What a rule says of how its answer is given: its time, its faults, its gates.

Compiled once, when the rule is; only what has templates in it is made ready for each answer. Pure:
whether a fault applies is not decided here.
"""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct, structs

from fakellm.faults.compile import compile_fault, compile_hold
from fakellm.faults.fault import Fault
from fakellm.faults.shorthand import parse_fault
from fakellm.faults.spec import BadFault, ErrorFault, FaultItem, HoldItem, HoldSpec
from fakellm.scenarios import schema
from fakellm.scenarios.parts import Fill, Path, Texts
from fakellm.scenarios.speaking import Occasion, Speaking, Surroundings
from fakellm.scenarios.templates import TemplateFailed
from fakellm.timing.choice import RuleTiming


class RuleConduct(Struct, frozen=True, kw_only=True):
    """How a rule has its answers given.

    Attributes:
        timing: a timing, the name of a profile, or nothing.
        faults: what goes wrong; ``None`` where the rule says nothing, and the settings' faults
            apply.
        holds: gates where the answer stands still.
    """

    timing: RuleTiming = None
    faults: tuple[Fault, ...] | None = None
    holds: tuple[Fault, ...] = ()


_Ready = Callable[[Speaking], Fault]


class Conduct:
    """What a rule says of it, compiled.

    Attributes:
        uses_attempts: it may depend on the number of the attempt.
    """

    def __init__(
        self,
        timing: RuleTiming,
        faults: Sequence[Fault | _Ready] | None,
        holds: Sequence[Fault | _Ready],
        surroundings: Surroundings,
        *,
        uses_attempts: bool,
    ) -> None:
        self.uses_attempts = uses_attempts
        self._surroundings = surroundings
        self._faults = faults
        self._holds = holds
        self._fixed: RuleConduct | None = None
        self._base = RuleConduct(timing=timing)
        if all(isinstance(each, Fault) for each in (*(faults or ()), *holds)):
            self._fixed = self._with(lambda each: each)

    def render(self, occasion: Occasion) -> RuleConduct:
        """How one answer is given.

        Raises:
            TemplateFailed: something cannot be filled in, or makes no fault; ``path`` says which,
                as keys within the rule.
        """
        if self._fixed is not None:
            return self._fixed
        speaking = Speaking(self._surroundings, occasion)
        return self._with(lambda each: each if isinstance(each, Fault) else each(speaking))

    def _with(self, ready: Callable[[Any], Fault]) -> RuleConduct:
        faults = None if self._faults is None else tuple(map(ready, self._faults))
        return structs.replace(self._base, faults=faults, holds=tuple(map(ready, self._holds)))


def compile_conduct(rule: schema.Rule, surroundings: Surroundings) -> Conduct | None:
    """Compile what a rule says; ``None`` where it says nothing.

    Raises:
        BadFault: a fault or a gate cannot be.
        BadTemplate: a template in one has a mistake in it.
    """
    if rule.timing is None and rule.faults is None and rule.hold is None:
        return None
    texts = Texts()
    faults = None
    if rule.faults is not None:
        faults = [_fault(each, path, texts) for path, each in listed(rule.faults, ("faults",))]
    holds = [_hold(each, path, texts) for path, each in listed(rule.hold, ("hold",))]
    return Conduct(
        rule.timing,
        faults,
        holds,
        surroundings,
        uses_attempts=any("attempt" in text for text in texts.filled)
        or any(isinstance(each, Fault) and each.on_attempt is not None for each in faults or ())
        or any(_names_attempts(each) for _, each in listed(rule.faults, ())),
    )


def _names_attempts(item: FaultItem) -> bool:
    return not isinstance(item, str) and item.on_attempt is not None


def listed(items: Any, path: Path) -> Sequence[tuple[Path, Any]]:
    """One item, or each of a list of them, and where it is; none where there is nothing."""
    if items is None:
        return ()
    if isinstance(items, tuple):
        return [((*path, index), each) for index, each in enumerate(items)]
    return [(path, items)]


def _fault(item: FaultItem, path: Path, texts: Texts) -> Fault | _Ready:
    if isinstance(item, str):
        text = _template(item, path, texts)
        if text is None:
            return compile_fault(parse_fault(item))
        return lambda speaking: _made(lambda: compile_fault(parse_fault(text(speaking))), path)
    error = item.error
    message = error.message if isinstance(error, ErrorFault) else None
    fill = _template(message or "", (*path, "error", "message"), texts)
    fault = compile_fault(item)
    failure = fault.failure
    if fill is None or failure is None:
        return fault

    def ready(speaking: Speaking) -> Fault:
        return structs.replace(fault, failure=structs.replace(failure, message=fill(speaking)))

    return ready


def _hold(item: HoldItem, path: Path, texts: Texts) -> Fault | _Ready:
    spec = HoldSpec(gate=item) if isinstance(item, str) else item
    at = path if isinstance(item, str) else (*path, "gate")
    gate = _template(spec.gate, at, texts)
    if gate is None:
        return compile_hold(spec)
    compile_hold(spec)  # all else in it is told at once
    return lambda speaking: _made(
        lambda: compile_hold(structs.replace(spec, gate=gate(speaking))), at
    )


def _template(text: str, path: Path, texts: Texts) -> Fill | None:
    """What fills a text in; ``None`` where there is nothing to fill in."""
    before = len(texts.filled)
    fill = texts.text(text, path)
    return fill if len(texts.filled) > before else None


def _made(make: Callable[[], Fault], path: Path) -> Fault:
    try:
        return make()
    except BadFault as error:
        raise TemplateFailed(str(error), None, path) from None
