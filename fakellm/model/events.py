"""What happens in an answer, in order, in words that no vendor owns.

``Begin (ChoiceBegin (PartBegin Token* PartEnd)* ChoiceEnd)* End``, where choices interleave; or
``Failed``, alone or in mid-stream, after which nothing comes.
"""

from msgspec import Struct

from fakellm.model.content import SaidPart
from fakellm.model.reply import Failure, FinishReason, Usage


class Begin(Struct, frozen=True, kw_only=True):
    """An answer begins; ``prompt_tokens`` is what was read, the rest is as `Reply` has it."""

    model: str
    prompt_tokens: int
    id: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    system_fingerprint: str | None = None


class ChoiceBegin(Struct, frozen=True, kw_only=True):
    """A choice begins; ``parts`` are the ones it will have."""

    choice: int
    parts: tuple[SaidPart, ...]


class PartBegin(Struct, frozen=True, kw_only=True):
    """Part number ``part`` of a choice begins; ``content`` is all of it, before any cut."""

    choice: int
    part: int
    content: SaidPart


class Logprob(Struct, frozen=True, kw_only=True):
    """The natural logarithm of a token's probability, and of its likeliest alternatives."""

    value: float
    top: tuple[tuple[str, float], ...] = ()


class Token(Struct, frozen=True, gc=False):
    """Text of a part, which ends so many ``tokens``; hidden reasoning is one event without text.

    The ``last`` token event of a choice that ends with it may tell the finish reason beforehand;
    ``ChoiceEnd`` tells it all the same.
    """

    choice: int
    part: int
    text: str
    tokens: int = 1
    logprob: Logprob | None = None
    last: FinishReason | None = None


class PartEnd(Struct, frozen=True, kw_only=True):
    """A part ends."""

    choice: int
    part: int


class ChoiceEnd(Struct, frozen=True, kw_only=True):
    """A choice ends; ``stop`` is the stop sequence that cut it, if one did."""

    choice: int
    finish_reason: FinishReason
    stop: str | None = None


class End(Struct, frozen=True, kw_only=True):
    """The answer is whole."""

    usage: Usage


class Failed(Struct, frozen=True, kw_only=True):
    """The answer is an error from here on."""

    failure: Failure


Event = Begin | ChoiceBegin | PartBegin | Token | PartEnd | ChoiceEnd | End | Failed
