"""What the model answers: choices made of parts, or a failure."""

from typing import Literal

from msgspec import Struct

from fakellm.model.content import SaidPart

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class Choice(Struct, frozen=True, kw_only=True):
    """One of the answers asked for; without a ``finish_reason`` it follows from the parts."""

    parts: tuple[SaidPart, ...]
    finish_reason: FinishReason | None = None


class Reply(Struct, frozen=True, kw_only=True):
    """An answer: as many choices as the prompt asks for, said by ``model``."""

    choices: tuple[Choice, ...]
    model: str


class Failure(Struct, frozen=True, kw_only=True):
    """An answer that is an error.

    Fields that are ``None`` are worded by the dialect as its vendor words that status.
    """

    status: int
    message: str | None = None
    type: str | None = None
    code: str | None = None
    param: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


class Refused(Exception):
    """A request that gets a failure instead of an answer."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens of a whole answer; ``completion`` includes the ``reasoning`` and ``audio`` ones."""

    prompt: int = 0
    completion: int = 0
    reasoning: int = 0
    audio: int = 0
    prediction_accepted: int = 0
    prediction_rejected: int = 0
