"""Answers for the tests of faults: what is said, and what faults make of it."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from random import Random
from typing import Any

from fakellm.dialects.openai.chat import OpenAIChat
from fakellm.faults.afflict import afflicted, afflicted_acts
from fakellm.faults.compile import compile_fault
from fakellm.faults.fault import Fault
from fakellm.faults.shorthand import parse_faults
from fakellm.model.content import Text
from fakellm.model.events import Event, Token
from fakellm.model.framing import DEFAULT_FRAMING, Framing
from fakellm.model.timeline import Abort, Act, Close, Cue, Finish, Head, Write
from fakellm.timing.pace import Paced
from tests.dialects.openai.answering import answer, choice, stamp
from tests.dialects.openai.requests import prompt_of

WORDS = ("Hi", " é", " there", " you", "!")
AT_MOST = 5_000


def said(words: Iterable[str] = WORDS) -> list[Event]:
    words = list(words)
    return answer(choice((Text(text="".join(words)), words)))


def paced(events: Iterable[Event]) -> Iterator[Paced]:
    """A token each second, the first at 1."""
    at = 0.0
    for event in events:
        at += isinstance(event, Token)
        yield at, event


def faults_of(text: str) -> tuple[Fault, ...]:
    return tuple(compile_fault(spec) for spec in parse_faults(text))


class Told:
    """An answer with faults, as its cues and what they come to."""

    def __init__(self, cues: Iterable[Cue], noted: list[str], at_most: int = AT_MOST) -> None:
        self.cues = list(islice(cues, at_most))
        self.noted = noted
        self.acts = [act for _, act in self.cues]
        self.end = self.acts[-1]
        self.ended_at = self.cues[-1][0]

    @property
    def head(self) -> Head:
        return next(act for act in self.acts if isinstance(act, Head))

    @property
    def headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.head.headers}

    @property
    def writes(self) -> list[bytes]:
        return [act.data for act in self.acts if isinstance(act, Write)]

    @property
    def body(self) -> bytes:
        return b"".join(self.writes)

    @property
    def kinds(self) -> list[str]:
        return [type(act).__name__ for act in self.acts]

    def is_whole(self) -> bool:
        return isinstance(self.end, Finish | Close | Abort)


def told(
    faults: str | Iterable[Fault],
    *,
    stream: bool = True,
    events: Iterable[Event] | None = None,
    speed: float = 1.0,
    seed: int = 0,
    pace: Callable[[Iterable[Event]], Iterator[Paced]] = paced,
    framing: Framing = DEFAULT_FRAMING,
) -> Told:
    noted: list[str] = []
    options: dict[str, Any] = (
        {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    )
    asked = prompt_of(**options)
    cues = afflicted(
        pace(said() if events is None else events),
        OpenAIChat().encoder(asked, stamp(), framing),
        faults_of(faults) if isinstance(faults, str) else tuple(faults),
        streamed=stream,
        chance=Random(seed),
        speed=speed,
        noted=noted.append,
    )
    return Told(cues, noted)


def told_acts(acts: Iterable[Act], faults: str, *, at: float = 0.0) -> Told:
    noted: list[str] = []
    cues = afflicted_acts(acts, at, faults_of(faults), speed=1.0, noted=noted.append)
    return Told(cues, noted)
