"""What is kept of a request while it may be asked about: references, and nothing made anew."""

from typing import Any

from msgspec import structs

from fakellm.journal.delivery import Delivery
from fakellm.model.content import Refusal, Text
from fakellm.model.prompt import Prompt, Received, Tool
from fakellm.model.reply import Failure, Reply, Usage
from fakellm.scenarios.book import Decision

_WEIGHT = 4000  # of a small request with its headers, as measured
_BYTES_A_TOKEN = 5
_TEXT_FIELDS = ("text", "url", "data", "arguments", "content", "transcript")


class Noted:
    """One request, as the engine knows it.

    Args:
        number: of the request.
        id: that its client is told.
        at: when it came, in seconds since the Unix epoch.
        received: it as it came in.
        dialect: the name of its dialect.
        session: it belongs to.
        delivery: notes what becomes of its answer.

    Attributes:
        prompt: what it asks, once that is understood.
        decision: of the rules, once there is one.
        answer: that was decided, if it was: what is said, or an error.
        usage: tokens of the answer, once known.
        faults: names of those that struck.
        body_bytes: bytes of the whole body.
        weight: bytes that it takes, about.
        told: whether the journal has been told of it.
        kept: whether it is in the journal.
    """

    __slots__ = (
        "answer", "at", "body_bytes", "decision", "delivery", "dialect", "faults", "id", "kept",
        "number", "prompt", "received", "session", "told", "usage", "weight",
    )  # fmt: skip

    def __init__(
        self,
        *,
        number: int,
        id: str,  # noqa: A002 -- what it is called in the record
        at: float,
        received: Received,
        dialect: str,
        session: str,
        delivery: Delivery,
    ) -> None:
        self.number = number
        self.id = id
        self.at = at
        self.received = received
        self.dialect = dialect
        self.session = session
        self.delivery = delivery
        self.prompt: Prompt | None = None
        self.decision: Decision | None = None
        self.answer: Reply | Failure | None = None
        self.usage: Usage | None = None
        self.faults: list[str] | None = None
        self.body_bytes = len(received.body)
        self.weight = 0
        self.told = False
        self.kept = False

    def struck_by(self, fault: str) -> None:
        """A fault strikes its answer."""
        if self.faults is None:
            self.faults = [fault]
        elif fault not in self.faults:
            self.faults.append(fault)

    @property
    def said(self) -> tuple[str, ...]:
        """The texts of its answer, as they were decided: before the prompt's bounds."""
        match self.answer:
            case Reply(choices=choices):
                return tuple(
                    part.text
                    for choice in choices
                    for part in choice.parts
                    if isinstance(part, Text | Refusal)
                )
            case Failure(message=message):
                return () if message is None else (message,)
        return ()

    def bound(self, body: int) -> None:
        """Keep no more of a large body, and of what was made of it, than so many bytes."""
        if self.body_bytes <= body:
            return
        self.received = structs.replace(self.received, body=self.received.body[:body])
        if self.prompt is not None:
            self.prompt = _bounded(self.prompt, self.received, body)

    def settle(self) -> None:
        """Keep no more than is told: the answer has ended."""
        if self.prompt is not None and self.prompt.wire is not None and self.prompt.form is None:
            self.prompt = structs.replace(self.prompt, wire=None)

    def weigh(self) -> int:
        """Work out anew how many bytes it takes, about; how many it is more than before."""
        before = self.weight
        self.weight = _WEIGHT + 2 * len(self.received.body) + self.delivery.weight
        if self.usage is not None:
            self.weight += _BYTES_A_TOKEN * self.usage.completion
        return self.weight - before


def _bounded(prompt: Prompt, received: Received, left: int) -> Prompt:
    messages = []
    for message in prompt.messages:
        parts = []
        for part in message.parts:
            part, left = _cut(part, left)  # noqa: PLW2901 -- the same, shorter
            parts.append(part)
        messages.append(structs.replace(message, parts=tuple(parts)))
        if left <= 0:
            break
    return structs.replace(
        prompt,
        messages=tuple(messages),
        tools=tuple(Tool(name=tool.name, kind=tool.kind) for tool in prompt.tools),
        format=structs.replace(prompt.format, schema=None),
        prediction=None,
        received=received,
        wire=None,
    )


def _cut(part: Any, left: int) -> tuple[Any, int]:
    """A part of which no more is kept than so many characters, and how many are left then."""
    changed: dict[str, str] = {}
    for name in _TEXT_FIELDS:
        text = getattr(part, name, None)
        if isinstance(text, str):
            if len(text) > left:
                changed[name] = text[:left]
            left = max(0, left - len(text))
    return (structs.replace(part, **changed) if changed else part), left
