"""Faults in what is said: they rewrite events before these are encoded, in every dialect alike.

Lazy generators over paced events; they look at what the encoder has put out so far, and must
gather nothing.
"""

from collections.abc import Callable, Iterator
from random import Random

from msgspec import structs

from fakellm.faults.fault import Fault, Position
from fakellm.faults.positions import time_of
from fakellm.model.content import Reasoning, SaidPart, Speech, Text
from fakellm.model.events import (
    Begin,
    ChoiceBegin,
    ChoiceEnd,
    End,
    Failed,
    PartBegin,
    PartEnd,
    Token,
)
from fakellm.model.reply import Failure, Usage
from fakellm.timing.pace import Paced

_WORDS = (" and", " so", " on", " it", " goes", " with", " ever", " more", " words")


class Progress:
    """What the encoder has put out so far, for faults that wait for it.

    Attributes:
        is_headed: whether the head has.
        is_over: nothing more that is said will be heard.
    """

    __slots__ = ("bytes", "chunks", "is_headed", "is_over", "tokens")

    def __init__(self) -> None:
        self.tokens = self.chunks = self.bytes = 0
        self.is_headed = False
        self.is_over = False

    def has_reached(self, position: Position) -> bool:
        """Whether a position that is none in time is reached."""
        match position.unit:
            case "tokens":
                return self.tokens >= position.amount
            case "chunks":
                return self.is_headed and self.chunks >= position.amount
            case "bytes":
                return self.is_headed and self.bytes >= position.amount
        return False


class _Point:
    """Where one fault strikes, and when."""

    def __init__(self, fault: Fault, progress: Progress, speed: float) -> None:
        self._position = fault.after
        self._progress = progress
        self._limit = None if fault.after is None else time_of(fault.after, speed)

    def before(self, at: float) -> float | None:
        """When it strikes before what is due at a time, if it does."""
        if self._position is None:
            return 0.0
        return self._limit if self._limit is not None and at >= self._limit else None

    def is_reached(self) -> bool:
        """Whether what has gone out has reached it."""
        return self._position is not None and self._progress.has_reached(self._position)


Noted = Callable[[], None]


def _unannounced(paced: Iterator[Paced]) -> Iterator[Paced]:
    """The answer without tokens that tell the finish reason beforehand, as it may change."""
    for at, event in paced:
        if isinstance(event, Token) and event.last is not None:
            yield at, structs.replace(event, last=None)
        else:
            yield at, event


def error(
    paced: Iterator[Paced], fault: Fault, failure: Failure, progress: Progress, speed: float,
    noted: Noted,
) -> Iterator[Paced]:  # fmt: skip
    """The answer up to an error, which comes before its end at the latest."""
    point = _Point(fault, progress, speed)
    last = 0.0
    for at, event in paced:
        strikes = point.before(at)
        if strikes is None and isinstance(event, End | Failed):
            strikes = at
        if strikes is not None:
            last = max(last, strikes)
            break
        last = at
        yield at, event
        if point.is_reached():
            break
    else:
        return
    noted()
    progress.is_over = True
    yield last, Failed(failure=failure)


def no_finish_reason(paced: Iterator[Paced], noted: Noted) -> Iterator[Paced]:
    """The answer without its finish reasons."""
    for at, event in _unannounced(paced):
        if isinstance(event, ChoiceEnd):
            noted()
        else:
            yield at, event


def content_filter(
    paced: Iterator[Paced], fault: Fault, progress: Progress, speed: float, noted: Noted
) -> Iterator[Paced]:
    """The answer up to a filter, which stops it before its last choice ends at the latest."""
    paced = _unannounced(paced)
    point = _Point(fault, progress, speed)
    said = _Said()
    last = 0.0
    for at, event in paced:
        begins = isinstance(event, Begin | ChoiceBegin)
        strikes = None if begins else point.before(at)
        ends = isinstance(event, ChoiceEnd) and len(said.open) == 1
        if strikes is not None or ends:
            last = at if strikes is None else max(last, strikes)
            break
        said.add(event)
        last = at
        yield at, event
        if isinstance(event, End | Failed):
            return
        if not begins and point.is_reached():
            break
    else:
        return
    noted()
    for choice, parts in said.open.items():
        for part in parts:
            yield last, PartEnd(choice=choice, part=part)
        yield last, ChoiceEnd(choice=choice, finish_reason="content_filter")
    progress.is_over = True
    yield last, End(usage=said.usage(paced))


class _Said:
    """What was said of an answer, and what of it is open: the parts of each choice."""

    def __init__(self) -> None:
        self.open: dict[int, dict[int, SaidPart]] = {}
        self._prompt = self._completion = self._reasoning = self._audio = 0

    def add(self, event: object) -> None:
        """One more event."""
        match event:
            case Begin(prompt_tokens=prompt):
                self._prompt = prompt
            case ChoiceBegin(choice=choice):
                self.open[choice] = {}
            case PartBegin(choice=choice, part=part, content=content):
                self.open[choice][part] = content
            case Token(choice=choice, part=part, tokens=tokens):
                self._completion += tokens
                content = self.open[choice][part]
                self._reasoning += tokens if isinstance(content, Reasoning) else 0
                self._audio += tokens if isinstance(content, Speech) else 0
            case PartEnd(choice=choice, part=part):
                del self.open[choice][part]
            case ChoiceEnd(choice=choice):
                del self.open[choice]

    def usage(self, rest: Iterator[Paced]) -> Usage:
        """What was used; the end of an answer, which nobody hears, knows what the prompt was."""
        usage = Usage(prompt=self._prompt)
        for _, event in rest:
            if isinstance(event, End):
                usage = Usage(prompt=event.usage.prompt, cached=event.usage.cached)
        return structs.replace(
            usage, completion=self._completion, reasoning=self._reasoning, audio=self._audio
        )


def oversized(
    paced: Iterator[Paced], tokens: int, progress: Progress, chance: Random, noted: Noted
) -> Iterator[Paced]:
    """The answer with so many tokens more in the last text of its first choice, at its pace."""
    grows: int | None = None
    first = last = later = 0.0
    said = 0
    added = 0
    for at, event in _unannounced(paced):
        match event:
            case ChoiceBegin(choice=0, parts=parts):
                texts = [index for index, part in enumerate(parts) if isinstance(part, Text)]
                grows = texts[-1] if texts else None
            case Token(choice=0):
                first, last = (first if said else at), at
                said += event.tokens
            case PartEnd(choice=0, part=part) if part == grows and not added:
                gap = (last - first) / (said - 1) if said > 1 else 0.0
                noted()
                while added < tokens and not progress.is_over:
                    added += 1
                    later = gap * added
                    yield at + later, Token(0, part, chance.choice(_WORDS))
            case End(usage=usage):
                grown = structs.replace(usage, completion=usage.completion + added)
                event = End(usage=grown)  # noqa: PLW2901 -- it is the event that goes on
            case _:
                pass
        yield at + later, event
