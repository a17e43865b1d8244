"""The book of rules: what the model answers to what."""

from collections.abc import Sequence

from fakellm.model.content import Reasoning, SaidPart, Speech, Text
from fakellm.model.prompt import Prompt
from fakellm.model.reply import Choice, Failure, Reply
from fakellm.scenarios.made import chance_for, made_calls, made_json

REASONING_TOKENS = {
    "none": 0,
    "minimal": 16,
    "low": 64,
    "medium": 256,
    "high": 1024,
    "xhigh": 2048,
    "max": 4096,
}
"""Hidden tokens a choice thinks for, by the effort asked for; nobody asks, nobody thinks."""

_PROMPT_429 = "[429]"


class Book:
    """Decides answers: ``[429]`` fails, a contract is kept, all else gets the one answer.

    Args:
        answer: the text.
        models: the names of the models on offer; the first speaks for any that is not.
        echo_model: let the model asked for speak, whatever its name.
        seed: the server's seed.
    """

    def __init__(
        self, *, answer: str, models: Sequence[str], echo_model: bool = False, seed: int = 0
    ) -> None:
        self._answer = answer
        self._models = models
        self._echo_model = echo_model
        self._seed = seed

    def decide(self, prompt: Prompt) -> Reply | Failure:
        """The answer to a prompt.

        Raises:
            BadSchema: a schema in the prompt cannot be met.
        """
        if prompt.messages[-1].sole_text == _PROMPT_429:
            return Failure(status=429)
        choices = tuple(self._choice(prompt, index) for index in range(prompt.n))
        return Reply(choices=choices, model=self._speaker(prompt.model))

    def _speaker(self, asked: str) -> str:
        return asked if self._echo_model or asked in self._models else self._models[0]

    def _choice(self, prompt: Prompt, index: int) -> Choice:
        parts: list[SaidPart] = []
        thought = REASONING_TOKENS[prompt.reasoning_effort or "none"]
        if thought:
            parts.append(Reasoning(tokens=thought))
        if prompt.tool_choice.mode == "required":
            chance = chance_for(prompt, self._seed, index)
            parts.extend(made_calls(prompt, self._answer, chance))
        elif prompt.format.kind != "text":
            chance = chance_for(prompt, self._seed, index)
            parts.append(Text(text=made_json(prompt, self._answer, chance)))
        elif prompt.spoken:
            parts.append(Speech(transcript=self._answer))
        else:
            parts.append(Text(text=self._answer))
        return Choice(parts=tuple(parts))
