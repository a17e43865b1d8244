"""The book of rules: which of them answers a request, and with what."""

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec
from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure as TwistedFailure

from fakellm.model.prompt import Prompt
from fakellm.model.reply import Failure, Reply
from fakellm.model.stamp import Stamp
from fakellm.scenarios.conduct import RuleConduct
from fakellm.scenarios.facts import Facts
from fakellm.scenarios.index import RuleIndex
from fakellm.scenarios.made import BadSchema
from fakellm.scenarios.matching import Failed
from fakellm.scenarios.parts import BadReply
from fakellm.scenarios.replies import Recipe, ReplyFailed
from fakellm.scenarios.rules import CompiledRule, FunctionRecipe
from fakellm.scenarios.sessions import DEFAULT_SESSION, START, Memory, RuleKey
from fakellm.scenarios.speaking import Occasion, Speaking, Surroundings
from fakellm.scenarios.templates import Template, TemplateFailed, compile_template
from fakellm.scenarios.text_tests import Groups

FAULT_HEADER = "x-fakellm-fault"
"""The header that asks for a fault, whose attempts count; in lower case."""


COUNTED_AT_MOST = 100_000
"""Rules whose answers are counted; of those that are gone, too, as they may come back."""


class BookSettings(Struct, frozen=True, kw_only=True):
    """What holds for all rules.

    Attributes:
        models: the names of the models on offer; the first speaks for any that is not.
        echo_model: let the model asked for speak, whatever its name.
        conversation: a template that names the conversation a state belongs to, within its
            session; without it, a session is one conversation.
        uses_attempts: count attempts, whether rules look at them or not.
    """

    models: tuple[str, ...] = ("fake-model",)
    echo_model: bool = False
    conversation: str | None = None
    uses_attempts: bool = False


class Decision(Struct, frozen=True, kw_only=True):
    """What is answered, and how it is given.

    Attributes:
        answer: a reply or a failure, perhaps later.
        conduct: what the rule says of how it is given, if it says anything; it holds for a failure
            as well.
        attempt: which attempt at this conversation it is, from 1; always 1 where none counts them.
        by: the rule that answers, if one does.
        state: of the conversation, before the rule set another.
    """

    answer: "Reply | Failure | Deferred[Reply | Failure]"
    conduct: RuleConduct | None = None
    attempt: int = 1
    by: CompiledRule | None = None
    state: str = START

    @property
    def rule(self) -> str | None:
        """The title of the rule that answers."""
        return None if self.by is None else self.by.title


class Miss(Struct, frozen=True, kw_only=True):
    """A rule that did not answer, and why.

    ``failed`` is the first condition that does not hold, and ``held`` how many do; where all hold,
    the rule has answered as often as it may.
    """

    rule: CompiledRule
    held: int
    failed: Failed | None = None

    def __str__(self) -> str:
        return "it has answered as often as it may" if self.failed is None else str(self.failed)


class Explanation(Struct, frozen=True, kw_only=True):
    """What would answer a request: the rule, if any does, and the rules before it."""

    misses: tuple[Miss, ...]
    rule: CompiledRule | None


_Try = tuple[Callable[[Facts], Groups | None], CompiledRule]
"""What tells whether a rule's conditions hold, and the rule."""


class _Shelf:
    """Rules in the order in which they are tried, and what tells which of them are worth it."""

    def __init__(self, rules: Iterable[CompiledRule]) -> None:
        # a stable sort: those of one priority stay in the order of reading
        self.rules: Sequence[CompiledRule] = sorted(rules, key=lambda rule: -rule.priority)
        self.index = RuleIndex([rule.matcher for rule in self.rules])
        self._tries: Sequence[_Try] = [(rule.matcher.match, rule) for rule in self.rules]
        self.uses_attempts = any(rule.uses_attempts for rule in self.rules)

    def candidates(self, facts: Facts) -> Iterator[_Try]:
        """Those worth trying, in order."""
        return map(self._tries.__getitem__, self.index.candidates(facts))


class Book:
    """Decides answers.

    A session may have rules of its own: they are tried before all others, whatever the priorities
    of those.

    Args:
        rules: in the order of reading; higher priorities go first, whatever the order.
        settings: what holds for all of them.
        surroundings: what replies are made with.

    Attributes:
        rules: in the order in which they are tried; those of sessions are not among them.
        counts: how often each rule has answered, in all sessions, by its key.
    """

    def __init__(
        self,
        rules: Iterable[CompiledRule],
        *,
        settings: BookSettings,
        surroundings: Surroundings,
    ) -> None:
        self._log = Logger()
        self._memory = Memory()
        self._own: dict[str, _Shelf] = {}
        self.counts: dict[RuleKey, int] = {}
        self._surroundings = surroundings
        self.replace(rules, settings=settings)

    def replace(self, rules: Iterable[CompiledRule], *, settings: BookSettings) -> None:
        """Have other rules from now on; what is remembered is kept, by the keys of rules."""
        self._shared = _Shelf(rules)
        self.rules = self._shared.rules
        self._settings = settings
        self._conversation: Template | None = None
        self._uses_attempts = settings.uses_attempts or self._shared.uses_attempts
        if settings.conversation is not None:
            self._conversation = compile_template(settings.conversation)
            self._uses_attempts |= "attempt" in settings.conversation

    def replace_own(self, session: str, rules: Iterable[CompiledRule]) -> None:
        """Have other rules of a session's own from now on; what is remembered is kept."""
        own = _Shelf(rules)
        if own.rules:
            self._own[session] = own
        else:
            self._own.pop(session, None)

    def rules_for(self, session: str) -> Sequence[CompiledRule]:
        """All the rules of a session, its own first, in the order in which they are tried."""
        own = self._own.get(session)
        return self.rules if own is None else [*own.rules, *self.rules]

    def states(self, session: str) -> Mapping[str, str]:
        """The states that the conversations of a session are in, by conversation."""
        return self._memory.states.of(session)

    def set_state(self, session: str, state: str, conversation: str = "") -> None:
        """Put a conversation of a session in a state."""
        self._memory.states.set(session, conversation, state)

    def answered(self, session: str, rule: CompiledRule) -> int:
        """How often a rule has answered in a session, as far as that is remembered."""
        return self._memory.answered.of(session).get(rule.key, 0)

    def reset(self) -> None:
        """Let all sessions start afresh, and count from nothing; the rules stay."""
        self._memory = Memory()
        self.counts.clear()

    def _count(self, rule: CompiledRule) -> None:
        self.counts[rule.key] = self.counts.get(rule.key, 0) + 1
        if len(self.counts) > COUNTED_AT_MOST:
            del self.counts[next(iter(self.counts))]

    def decide(
        self, prompt: Prompt, *, stamp: Stamp, now: float, session: str = DEFAULT_SESSION
    ) -> Decision:
        """The answer to a prompt, at once, or later where a rule's function takes its time.

        What goes wrong in a rule is an answer too: a failure of status 500 that names the rule.

        Args:
            prompt: what is asked.
            stamp: chance.
            now: seconds since the Unix epoch.
            session: whose positions and states it goes by.

        Raises:
            BadSchema: a schema in the prompt cannot be met; a Deferred fails with it.
        """
        memory = self._memory
        attempt = self._attempt(prompt, session)
        try:
            conversation = self._conversation_of(prompt, attempt, stamp, now)
        except TemplateFailed as failed:
            answer = self._failed("the setting 'conversation'", failed.reason)
            return Decision(answer=answer, attempt=attempt)
        state = memory.states.get(session, conversation)
        facts = Facts(prompt, state=state, attempt=attempt)
        for match, rule in self._candidates(facts, session):
            try:
                groups = match(facts)
            except Exception as error:  # noqa: BLE001 -- a condition of the user's may raise any
                answer = self._function_failed(rule, TwistedFailure(error))
                return Decision(answer=answer, attempt=attempt, by=rule, state=state)
            if groups is None:
                continue
            answered = memory.answered.get(session, rule.key)
            chosen = rule.recipe(answered)
            if chosen is None:
                continue
            memory.answered.set(session, rule.key, answered + 1)
            self._count(rule)
            if rule.set_state is not None:
                memory.states.set(session, conversation, rule.set_state)
            number, recipe = chosen
            if recipe is None:
                answer = self._failed(rule.title, "all its replies have been given (then: error)")
                return Decision(answer=answer, attempt=attempt, by=rule, state=state)
            if rule.conduct is None and isinstance(recipe, Recipe):
                known = recipe.known(prompt, self._speaker(prompt.model))
                if known is not None:
                    return Decision(answer=known, attempt=attempt, by=rule, state=state)
            occasion = self._occasion(facts, groups, answered + 1, stamp, now, rule)
            return self._decision(rule, number, recipe, occasion)
        return Decision(answer=self._unmatched(facts, session), attempt=attempt, state=state)

    def explain(self, prompt: Prompt, *, session: str = DEFAULT_SESSION) -> Explanation:
        """Which rule would answer a prompt now, and why none before it does; nothing is counted.

        The prompt is taken for one that has not been asked before, in a conversation of no state.
        """
        facts = Facts(prompt)
        misses: list[Miss] = []
        for rule in self.rules_for(session):
            miss = self._miss(rule, facts, session)
            if miss is None:
                return Explanation(misses=tuple(misses), rule=rule)
            misses.append(miss)
        return Explanation(misses=tuple(misses), rule=None)

    def forget(self, session: str) -> None:
        """Let a session start afresh; the rules of its own stay."""
        self._memory.forget(session)

    def _candidates(self, facts: Facts, session: str) -> Iterator[_Try]:
        own = self._own.get(session)
        shared = self._shared.candidates(facts)
        return shared if own is None else chain(own.candidates(facts), shared)

    def _counts_attempts(self, prompt: Prompt, session: str) -> bool:
        own = self._own.get(session)
        return (
            self._uses_attempts
            or FAULT_HEADER in prompt.received.headers
            or (own is not None and own.uses_attempts)
        )

    def _attempt(self, prompt: Prompt, session: str) -> int:
        if not self._counts_attempts(prompt, session):
            return 1
        asked = hashlib.blake2b(msgspec.json.encode(prompt.messages), digest_size=16).digest()
        attempt = self._memory.attempts.get(session, asked) + 1
        self._memory.attempts.set(session, asked, attempt)
        return attempt

    def _conversation_of(self, prompt: Prompt, attempt: int, stamp: Stamp, now: float) -> str:
        if self._conversation is None:
            return ""
        occasion = self._occasion(Facts(prompt, attempt=attempt), {}, 0, stamp, now)
        return self._conversation.render(Speaking(self._surroundings, occasion).names)

    def _occasion(
        self,
        facts: Facts,
        groups: Mapping[Any, str],
        count: int,
        stamp: Stamp,
        now: float,
        rule: CompiledRule | None = None,
    ) -> Occasion:
        def chance(choice: int) -> random.Random:
            return stamp.chance(f"reply{choice}")

        return Occasion(
            facts=facts,
            groups=groups,
            count=count,
            now=now,
            chance=chance,
            speaker=self._speaker(facts.prompt.model),
            tool_result=None if rule is None else rule.matcher.tool_result(facts),
        )

    def _speaker(self, asked: str) -> str:
        """The model that answers where another is asked for, unless a reply names one."""
        settings = self._settings
        return asked if settings.echo_model or asked in settings.models else settings.models[0]

    def _decision(
        self,
        rule: CompiledRule,
        number: int,
        recipe: Recipe | FunctionRecipe,
        occasion: Occasion,
    ) -> Decision:
        attempt = occasion.facts.attempt
        conduct = None
        try:
            if rule.conduct is not None:
                conduct = rule.conduct.render(occasion)
        except TemplateFailed as failed:
            answer = self._conduct_failed(rule, failed)
            return Decision(answer=answer, attempt=attempt, by=rule, state=occasion.facts.state)
        return Decision(
            answer=self._given(rule, number, recipe, occasion),
            conduct=conduct,
            attempt=attempt,
            by=rule,
            state=occasion.facts.state,
        )

    def _conduct_failed(self, rule: CompiledRule, failed: TemplateFailed) -> Failure:
        if not rule.written:  # a prompt command that cannot be obeyed
            message = f"This prompt command is none: {failed.reason}"
            return Failure(status=400, message=message, code="invalid_command")
        where = rule.place(failed.path, failed.line)
        return self._failed(rule.title, f"{where}: {failed.reason}" if where else failed.reason)

    def _given(
        self,
        rule: CompiledRule,
        number: int,
        recipe: Recipe | FunctionRecipe,
        occasion: Occasion,
    ) -> "Reply | Failure | Deferred[Reply | Failure]":
        try:
            if isinstance(recipe, Recipe):
                return recipe.render(occasion)
            return self._called(rule, recipe, occasion)
        except ReplyFailed as failed:
            where = rule.position(number, failed.path, failed.line)
            return self._failed(rule.title, f"{where}: {failed.reason}" if where else failed.reason)

    def _called(
        self, rule: CompiledRule, recipe: FunctionRecipe, occasion: Occasion
    ) -> "Reply | Failure | Deferred[Reply | Failure]":
        try:
            given = recipe.render(occasion)
        except (BadSchema, ReplyFailed):
            raise
        except Exception as error:  # noqa: BLE001 -- a function of the user's may raise anything
            return self._function_failed(rule, TwistedFailure(error))
        if isinstance(given, Deferred):
            given.addErrback(self._later_failed, rule)
        return given

    def _later_failed(self, failure: TwistedFailure, rule: CompiledRule) -> Any:
        if failure.check(BadSchema, CancelledError):
            return failure
        if failure.check(ReplyFailed):
            return self._failed(rule.title, failure.getErrorMessage())
        return self._function_failed(rule, failure)

    def _function_failed(self, rule: CompiledRule, failure: TwistedFailure) -> Failure:
        if failure.check(BadReply):
            return self._failed(rule.title, f"its function gave no reply: {failure.value}")
        self._log.failure("A function of {rule} raised.", failure, rule=rule.title)
        raised = failure.type.__name__ if failure.type else "something"
        return _rule_failed(f"{rule.title}: its function raised {raised}: {failure.value}")

    def _failed(self, what: str, reason: str) -> Failure:
        message = f"{what}: {reason}"
        self._log.error("{what}: {reason}", what=what, reason=reason)
        return _rule_failed(message)

    def _unmatched(self, facts: Facts, session: str) -> Failure:
        message = "No rule matches this request."
        rules = self.rules_for(session)
        misses = (self._miss(rule, facts, session) for rule in rules if rule.written)
        nearest = max(filter(None, misses), key=lambda miss: miss.held, default=None)
        if nearest is not None:  # the first of those of which most conditions hold
            message += f" The nearest is {nearest.rule.title}: {nearest}."
        return Failure(status=404, message=message, code="no_rule_matches")

    def _miss(self, rule: CompiledRule, facts: Facts, session: str) -> Miss | None:
        """Why a rule does not answer, if it does not."""
        failed = rule.matcher.failure(facts)
        answers = rule.recipe(self._memory.answered.get(session, rule.key)) is not None
        if failed is None and answers:
            return None
        return Miss(rule=rule, held=rule.matcher.score(facts), failed=failed)


def _rule_failed(message: str) -> Failure:
    return Failure(status=500, message=message, code="rule_failed")
