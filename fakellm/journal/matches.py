"""Which requests of a journal are meant: the conditions of rules, and what only a journal knows."""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct

from fakellm.journal.noted import Noted
from fakellm.journal.records import Ended
from fakellm.model.prompt import Prompt
from fakellm.scenarios.facts import Facts
from fakellm.scenarios.matching import Condition, compile_when
from fakellm.scenarios.schema import NumberRule, TextRule, When
from fakellm.scenarios.sessions import START
from fakellm.scenarios.text_tests import compile_number, compile_text, quoted


class Match(When, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Conditions on a request in the journal; all must hold, and none means any request.

    Those of a rule are all here, by the same names. Where no prompt was understood, they look at an
    empty one.
    """

    session: Annotated[str | None, Meta(description="The session it belongs to.")] = None
    id: Annotated[str | None, Meta(description="Its id.")] = None
    path: Annotated[TextRule | None, Meta(description="The path it went to.")] = None
    text: Annotated[
        TextRule | None,
        Meta(description="The text of any message, or of the answer."),
    ] = None
    rule: Annotated[
        TextRule | None,
        Meta(description="The title of the rule that answered, or its id, or its name."),
    ] = None
    status: Annotated[NumberRule | None, Meta(description="The status that was sent.")] = None
    fault: Annotated[TextRule | None, Meta(description="A fault that struck its answer.")] = None
    ended: Annotated[
        Ended | tuple[Ended, ...] | None, Meta(description="Who ended its answer.")
    ] = None
    after: Annotated[int | None, Meta(description="It came after the request of this number.")] = (
        None
    )


class Missed(Struct, frozen=True, kw_only=True):
    """How far a request is from a match: conditions that hold, and the first that does not."""

    held: int
    name: str
    expected: str
    found: str


class _Subject:
    """A request as a match looks at it."""

    __slots__ = ("facts", "noted")

    def __init__(self, noted: Noted) -> None:
        self.noted = noted
        decision = noted.decision
        self.facts = Facts(
            noted.prompt or _nothing(noted),
            state=START if decision is None else decision.state,
            attempt=1 if decision is None else decision.attempt,
        )


def _nothing(noted: Noted) -> Prompt:
    return Prompt(
        dialect=noted.dialect, endpoint="", model="", messages=(), received=noted.received
    )


class _Check(Struct, frozen=True, kw_only=True):
    name: str
    expected: str
    holds: Callable[[_Subject], bool]
    found: Callable[[_Subject], str]


class CompiledMatch:
    """A match, ready; see `compile_match`.

    Attributes:
        session: the only session whose requests fit, if there is one.
        id: of the only request that fits, if there is one.
    """

    def __init__(self, match: Match, checks: tuple[_Check, ...]) -> None:
        self.session = match.session
        self.id = match.id
        self._checks = checks

    def fits(self, noted: Noted) -> bool:
        """Whether a request does."""
        if not self._checks:
            return True
        subject = _Subject(noted)
        return all(check.holds(subject) for check in self._checks)

    def missed(self, noted: Noted) -> Missed | None:
        """How far a request is from it; ``None`` if it fits."""
        subject = _Subject(noted)
        held = [check.holds(subject) for check in self._checks]
        if all(held):
            return None
        check = self._checks[held.index(False)]
        return Missed(
            held=sum(held), name=check.name, expected=check.expected, found=check.found(subject)
        )


def compile_match(match: Match) -> CompiledMatch:
    """Compile a match.

    Raises:
        fakellm.scenarios.text_tests.BadRule: a condition is impossible; its ``path`` leads there.
    """
    own = [
        check
        for name, make in _COMPILERS.items()
        if (wanted := getattr(match, name)) is not None
        for check in make(name, wanted)
    ]
    return CompiledMatch(match, (*own, *map(_of_rule, compile_when(match).conditions)))


def _of_rule(condition: Condition) -> _Check:
    match, found = condition.match, condition.found
    return _Check(
        name=condition.name,
        expected=condition.expected,
        holds=lambda subject: match(subject.facts) is not None,
        found=lambda subject: found(subject.facts),
    )


_Compiler = Callable[[str, Any], Iterator[_Check]]


def _same(get: Callable[[Noted], str | None]) -> _Compiler:
    def make(name: str, wanted: Any) -> Iterator[_Check]:
        choices = wanted if isinstance(wanted, tuple) else (wanted,)
        yield _Check(
            name=name,
            expected=("is " if len(choices) == 1 else "any of ") + ", ".join(map(repr, choices)),
            holds=lambda subject: get(subject.noted) in choices,
            found=lambda subject: quoted(get(subject.noted)),
        )

    return make


def _texts(get: Callable[[_Subject], tuple[str, ...]]) -> _Compiler:
    """A test that one of several texts passes; where there is none, ``None`` has to."""

    def make(name: str, wanted: TextRule) -> Iterator[_Check]:
        check = compile_text(wanted, (name,))
        yield _Check(
            name=name,
            expected=check.words,
            holds=lambda subject: any(map(check.test, get(subject) or (None,))),
            found=lambda subject: ", ".join(map(quoted, get(subject))) or "nothing",
        )

    return make


def _status(name: str, wanted: NumberRule) -> Iterator[_Check]:
    check = compile_number(wanted, (name,))

    def holds(subject: _Subject) -> bool:
        status = subject.noted.delivery.status
        return status is not None and check.test(status)

    yield _Check(
        name=name,
        expected=check.words,
        holds=holds,
        found=lambda subject: str(subject.noted.delivery.status or "nothing yet"),
    )


def _after(name: str, wanted: int) -> Iterator[_Check]:
    yield _Check(
        name=name,
        expected=f"more than {wanted}",
        holds=lambda subject: subject.noted.number > wanted,
        found=lambda subject: str(subject.noted.number),
    )


def _rule(subject: _Subject) -> tuple[str, ...]:
    decision = subject.noted.decision
    if decision is None or decision.by is None:
        return ()
    by = decision.by
    return tuple(filter(None, (by.title, by.id, by.rule.name)))


def _all_texts(subject: _Subject) -> tuple[str, ...]:
    return (*subject.facts.texts, *subject.noted.said)


_COMPILERS: Mapping[str, _Compiler] = {
    "session": _same(lambda noted: noted.session),
    "id": _same(lambda noted: noted.id),
    "after": _after,
    "path": _texts(lambda subject: (subject.noted.received.path,)),
    "status": _status,
    "rule": _texts(_rule),
    "fault": _texts(lambda subject: tuple(subject.noted.faults or ())),
    "ended": _same(lambda noted: noted.delivery.how),
    "text": _texts(_all_texts),
}
"""How what only a journal knows is compiled."""
