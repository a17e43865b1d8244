"""Rules, compiled: conditions and replies that were written, in a file or in Python, made ready."""

import hashlib
import inspect
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred

from fakellm.model.prompt import Prompt
from fakellm.model.reply import Failure, Reply
from fakellm.scenarios import schema
from fakellm.scenarios.conduct import Conduct, compile_conduct
from fakellm.scenarios.loaded import LoadedRule
from fakellm.scenarios.matching import Matcher, Test, compile_when
from fakellm.scenarios.parts import BadReply, Path
from fakellm.scenarios.replies import Recipe, as_reply, compile_reply
from fakellm.scenarios.sessions import RuleKey
from fakellm.scenarios.speaking import Occasion, Surroundings
from fakellm.timing.pace import TimingSpec, compile_timing

ReplyFunction = Callable[[Prompt], Any]
"""A reply in Python: a function of the prompt that gives a reply, a text, a part or a list of them.

It may give it later (a coroutine, a Deferred). Its texts are said as they are: what is in braces is
no template.
"""


class FunctionRecipe:
    """A reply that a function gives, at once or later."""

    uses_attempts = False

    def __init__(self, function: ReplyFunction, surroundings: Surroundings) -> None:
        self._function = function
        self._surroundings = surroundings

    def render(self, occasion: Occasion) -> "Reply | Failure | Deferred[Reply | Failure]":
        """The reply to one request; what the function raises is let out.

        Raises:
            BadReply: it gave something else.
        """
        given = self._function(occasion.facts.prompt)
        if inspect.isawaitable(given):
            return ensureDeferred(_await(given)).addCallback(self._rendered, occasion)
        return self._rendered(given, occasion)

    def _rendered(self, given: object, occasion: Occasion) -> Reply | Failure:
        # A prompt may have braces in it, and a function says them back.
        recipe = compile_reply(as_reply(given), self._surroundings, no_file, verbatim=True)
        return recipe.render(occasion)


async def _await(given: Awaitable[object]) -> object:
    return await given


def no_file(file: str) -> schema.Reply:
    """What there is where no file can be.

    Raises:
        BadReply: always.
    """
    raise BadReply(f"only a scenario file can reply with a file, such as {file}")


class CompiledRule:
    """A rule, ready to answer.

    Attributes:
        rule: as it was written.
        id: what others name it by; that of a rule of a file stays while its key does.
        key: what its memory is kept under.
        title: the rule as a person would speak of it: ``rule 'weather' (weather.yml:3)``.
        where: ``file:line``, or empty for one made in Python.
        priority: rules of a higher one come first.
        matcher: its conditions.
        written: whether a user wrote it, rather than us.
        uses_attempts: whether it may look at the number of the attempt.
        set_state: the state of the conversation from then on, if it sets one.
        conduct: how its answers are given, if it says so.
    """

    def __init__(  # noqa: PLR0913 -- all that a rule is
        self,
        rule: schema.Rule,
        *,
        key: RuleKey,
        title: str,
        where: str,
        matcher: Matcher,
        recipes: Sequence[Recipe | FunctionRecipe],
        conduct: Conduct | None = None,
        written: bool = True,
        locate: Callable[[Path, int | None], str] | None = None,
        name: str | None = None,
    ) -> None:
        self.rule = rule
        self.key = key
        self.id = _id(key) if name is None else name
        self.title = f"{title} ({where})" if where else title
        self.where = where
        self.priority = rule.priority
        self.matcher = matcher
        self.written = written
        self.conduct = conduct
        self.uses_attempts = (
            rule.when.attempt is not None
            or any(recipe.uses_attempts for recipe in recipes)
            or (conduct is not None and conduct.uses_attempts)
        )
        self.set_state = rule.set_state
        self._recipes = recipes
        self._then = rule.then
        self._times = rule.times
        self._single = rule.reply is not None
        self._locate = locate

    def recipe(self, answered: int) -> tuple[int, Recipe | FunctionRecipe | None] | None:
        """Which of its replies is next.

        Args:
            answered: how often it has answered.

        Returns:
            The reply's number and the reply, which is ``None`` once an error is to come instead;
            or ``None`` where the rule does not answer any more.
        """
        if self._times is not None and answered >= self._times:
            return None
        last = len(self._recipes) - 1
        if answered <= last:
            return answered, self._recipes[answered]
        if self._single:
            return last, self._recipes[last]
        match self._then:
            case "loop":
                number = answered % len(self._recipes)
                return number, self._recipes[number]
            case "next_rule":
                return None
            case "error":
                return last, None
        return last, self._recipes[last]

    def position(self, number: int, path: Path, line: int | None) -> str:
        """Where something in one of its replies stands: ``file:line``, or empty."""
        if self._locate is None:
            return ""
        start: Path = ("reply",) if self._single else ("replies", number)
        return self._locate((*start, *path), line)

    def place(self, path: Path, line: int | None) -> str:
        """Where something in the rule is written, as ``file:line``; empty if not in a file."""
        return "" if self._locate is None else self._locate(path, line)


def compile_loaded(
    rules: Iterable[LoadedRule],
    surroundings: Surroundings,
    *,
    written: bool = True,
    reading: Hashable = None,
) -> list[CompiledRule]:
    """Compile the rules of files, which have been found to be in order.

    A rule is remembered by its name, so that its file can be edited while a sequence goes on; one
    that has none by its place among its like. What belongs to one ``reading`` is forgotten with it.
    """
    seen: dict[RuleKey, int] = {}
    numbers: dict[str, int] = {}
    compiled = []
    for loaded in rules:
        number = numbers[loaded.file] = numbers.get(loaded.file, 0) + 1
        name = loaded.file, loaded.rule.name
        seen[name] = seen.get(name, 0) + 1
        compiled.append(
            CompiledRule(
                loaded.rule,
                key=(*name, seen[name]) if reading is None else (*name, seen[name], reading),
                title=_title(loaded.rule, number),
                where=f"{loaded.file}:{loaded.line}",
                matcher=compile_when(loaded.rule.when),
                recipes=[
                    compile_reply(reply, surroundings, loaded.read_file, loaded.defaults)
                    for reply in _replies(loaded.rule)
                ],
                conduct=compile_conduct(loaded.rule, surroundings),
                written=written,
                locate=loaded.locate,
            )
        )
    return compiled


def compile_made(
    rule: schema.Rule,
    *,
    number: int,
    surroundings: Surroundings,
    test: Test | None = None,
    functions: Mapping[int, ReplyFunction] | None = None,
    name: str | None = None,
) -> CompiledRule:
    """Compile a rule made in Python, with functions for what a file has no words for.

    Args:
        rule: the rule.
        number: one that no other rule made in Python has.
        surroundings: what the server lends to replies.
        test: a function of the prompt that has to hold as well.
        functions: those of its replies that a function gives, by their index.
        name: its id; without it, one is made of the number.

    Raises:
        BadRule: a condition is wrong.
        BadReply: a reply is.
        BadTemplate: a template is.
        BadFault: a fault or a gate is.
        BadDuration: a timing is.
    """
    given = functions or {}
    if isinstance(rule.timing, TimingSpec):
        compile_timing(rule.timing)
    return CompiledRule(
        rule,
        key=("", number),
        title=_title(rule, number),
        where="",
        matcher=compile_when(rule.when, test),
        recipes=[
            FunctionRecipe(given[index], surroundings)
            if index in given
            else compile_reply(reply, surroundings, no_file)
            for index, reply in enumerate(_replies(rule))
        ],
        conduct=compile_conduct(rule, surroundings),
        name=f"r{number}" if name is None else name,
    )


def _id(key: RuleKey) -> str:
    return "f" + hashlib.blake2b(repr(key).encode(), digest_size=5).hexdigest()


def _title(rule: schema.Rule, number: int) -> str:
    return f"rule {number}" if rule.name is None else f"rule {rule.name!r}"


def _replies(rule: schema.Rule) -> Sequence[schema.Reply]:
    return rule.replies or (() if rule.reply is None else (rule.reply,))
