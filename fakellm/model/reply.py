"""What the model answers: choices made of parts, or a failure."""

from typing import Literal

from msgspec import Struct

from fakellm.model.content import SaidPart

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


Chunks = Literal["token", "word", "character"] | int | tuple[str, ...]
"""How a stream cuts text: a token each, a word, a character, so many tokens, or these pieces."""


class Choice(Struct, frozen=True, kw_only=True, gc=False):
    """One of the answers asked for; without a ``finish_reason`` it follows from the parts."""

    parts: tuple[SaidPart, ...]
    finish_reason: FinishReason | None = None
    chunks: Chunks = "token"


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


class UsageOverride(Struct, frozen=True, kw_only=True):
    """Token counts to report instead of the true ones; ``None`` leaves one as it is."""

    prompt: int | None = None
    completion: int | None = None
    reasoning: int | None = None
    cached: int | None = None


class Reply(Struct, frozen=True, kw_only=True, gc=False):
    """An answer: as many choices as the prompt asks for, said by ``model``.

    What is ``None`` is as the dialect would have it. ``headers`` go out beside the dialect's own.
    With a ``failure`` the answer breaks off after its parts, with an error.
    """

    choices: tuple[Choice, ...]
    model: str
    id: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    system_fingerprint: str | None = None
    usage: UsageOverride | None = None
    failure: Failure | None = None


class Refused(Exception):
    """A request that gets a failure instead of an answer."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens of a whole answer.

    ``prompt`` includes those that were ``cached``, and ``completion`` the ``reasoning`` and
    ``audio`` ones.
    """

    prompt: int = 0
    cached: int = 0
    completion: int = 0
    reasoning: int = 0
    audio: int = 0
    prediction_accepted: int = 0
    prediction_rejected: int = 0
