"""A reply being said: what it is said to, and the names that its templates see.

Pure: time, chance and the tokenizer are handed in. Nothing is worked out before it is asked for.
"""

import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from fakellm.interfaces import ITokenizer
from fakellm.lazy import lazy
from fakellm.model.content import ToolResult
from fakellm.model.prompt import Prompt
from fakellm.scenarios.facts import Facts
from fakellm.scenarios.made import Chances
from fakellm.scenarios.templates import TemplateFailed, functions


class Surroundings(Struct, frozen=True, kw_only=True):
    """What the server lends to every reply.

    ``seed`` is the server's; ``answer`` the text where nothing else decides.
    """

    tokenizer: ITokenizer
    seed: int = 0
    answer: str = "hello world"


class Occasion(Struct, frozen=True, kw_only=True):
    """One request that a rule answers.

    Attributes:
        facts: the request.
        groups: what the rule's regular expressions caught, by name.
        count: how often the rule has answered, this one too.
        now: seconds since the Unix epoch.
        chance: gives the generator of one choice's draws.
        speaker: the model that answers unless the reply names one.
        tool_result: the one that the rule is about, if there is any.
    """

    facts: Facts
    groups: Mapping[Any, str]
    count: int
    now: float
    chance: Callable[[int], random.Random]
    speaker: str
    tool_result: ToolResult | None = None


class ToolResultView:
    """A tool result as templates see it: ``json`` is its content, parsed."""

    def __init__(self, result: ToolResult) -> None:
        self.name = result.name
        self.id = result.call_id
        self.content = result.content

    @property
    def json(self) -> Any:
        """The content as JSON.

        Raises:
            TemplateFailed: it is none.
        """
        try:
            return msgspec.json.decode(self.content)
        except (ValueError, RecursionError):
            raise TemplateFailed("the tool result is not JSON") from None


class Speaking:
    """One choice of an answer, while it is put together."""

    def __init__(
        self,
        surroundings: Surroundings,
        occasion: Occasion,
        choice: int = 0,
        chances: Chances | None = None,
    ) -> None:
        self.surroundings = surroundings
        self.occasion = occasion
        self._choice = choice
        self._chances = chances or Chances(self.prompt, surroundings.seed)

    def other(self, choice: int) -> "Speaking":
        """Another choice of the same answer."""
        return Speaking(self.surroundings, self.occasion, choice, self._chances)

    @property
    def prompt(self) -> Prompt:
        """The request."""
        return self.occasion.facts.prompt

    def made(self) -> random.Random:
        """The generator of what is made from a schema: the same for the same request."""
        return self._chances.of(self._choice)

    @lazy
    def names(self) -> Mapping[str, Any]:
        """What a template may name; draws of one choice are draws of one generator."""
        occasion, facts = self.occasion, self.occasion.facts
        names: dict[str, Any] = {
            "user": facts.user,
            "system": facts.system,
            "messages": facts.prompt.messages,
            "model": facts.prompt.model,
            "turn": facts.turn,
            "step": facts.step,
            "attempt": facts.attempt,
            "match": occasion.groups,
            "tool_results": [ToolResultView(result) for result in facts.tool_results],
            "headers": facts.headers,
            "query": facts.query,
            "json": facts.body,
            "state": facts.state,
            "count": occasion.count,
            "answer": self.surroundings.answer,
        }
        if occasion.tool_result is not None:
            names["tool_result"] = ToolResultView(occasion.tool_result)
        chance = partial(occasion.chance, self._choice)
        return {**names, **functions(chance, occasion.now, self.surroundings.tokenizer)}
