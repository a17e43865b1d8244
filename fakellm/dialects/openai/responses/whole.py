"""A response as one JSON object: the same events, encoded whole."""

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from zope.interface import implementer

from fakellm.dialects.openai.errors import document_acts, failure_acts
from fakellm.dialects.openai.responses import fields, keeping
from fakellm.dialects.openai.responses.decode import Asking
from fakellm.dialects.openai.responses.input_items import ID_LENGTH, as_kept
from fakellm.dialects.openai.responses.output import Output, Said
from fakellm.dialects.openai.responses.stored import Item, Log
from fakellm.interfaces import IEncoder
from fakellm.model.events import Begin, ChoiceEnd, End, Event, Failed, PartBegin, Token
from fakellm.model.prompt import Prompt
from fakellm.model.reply import FinishReason
from fakellm.model.stamp import Stamp
from fakellm.model.timeline import Act

_json = msgspec.json.Encoder()


class Answer:
    """What a response has come to, whichever way it is sent.

    Args:
        prompt: what it answers.
        stamp: makes ids, always in the same order.

    Attributes:
        asking: the request.
        response: the object, without its output until it has ended.
        output: the items.
        given: the items of the request, as they are kept.
        reason: why it ended.
    """

    def __init__(self, prompt: Prompt, stamp: Stamp) -> None:
        self.asking: Asking = prompt.wire
        self.output = Output(self.asking, stamp)
        self.response: dict[str, Any] = {}
        self.given: tuple[Item, ...] = ()
        self.reason: FinishReason = "stop"
        self._prompt = prompt
        self._stamp = stamp
        self._unused = copy.copy(stamp)
        self._keeps = self.asking.stored or self.asking.conversation is not None
        self._events: list[Event] = []

    def note(self, event: Event) -> None:
        """Remember an event, if the response is going to be kept."""
        if self._keeps:
            self._events.append(event)

    def begin(self, event: Begin) -> None:
        """Give the response an identity."""
        self.response = fields.common_fields(
            self.asking,
            response_id=event.id or self._stamp.unique("resp_", ID_LENGTH),
            created=self._stamp.created,
            model=event.model,
        )
        if self._keeps:
            self.given = as_kept(self.asking.given, self._stamp)

    def end(self, told: dict[str, Any]) -> Iterator[Act]:
        """Complete the response with what is told of its end, and keep it if it is to be kept."""
        self.response = {**self.response, **told, "output": self.output.objects()}
        if not self._keeps:
            return iter(())
        log = Log(self._prompt, self._unused, self._events)
        return keeping.ended(self.asking, self.response, self.given, log)

    def ended(self, event: End) -> Iterator[Act]:
        """Complete a response that is whole."""
        created = self._stamp.created
        return self.end(fields.ended_fields(self.reason, event.usage, created))

    def last_status(self) -> str:
        """How the last item ends."""
        return "incomplete" if self.reason in ("length", "content_filter") else "completed"


@implementer(IEncoder)
class ResponseWholeEncoder:
    """Events in, one ``response`` out."""

    def __init__(self, prompt: Prompt, stamp: Stamp) -> None:
        self._stamp = stamp
        self._answer = Answer(prompt, stamp)
        self._headers: tuple[tuple[str, str], ...] = ()
        self._parts: dict[int, Said] = {}

    def encode(self, event: Event) -> Iterable[Act]:
        """See `IEncoder`."""
        self._answer.note(event)
        match event:
            case Token():
                part = self._parts.get(event.part)
                if part is not None:
                    part.add(event)
            case PartBegin():
                _, said = self._answer.output.begin(event)
                if said is not None:
                    self._parts[event.part] = said
            case ChoiceEnd():
                self._answer.reason = event.finish_reason
            case Begin():
                self._headers = event.headers
                self._answer.begin(event)
            case End():
                return self._end(event)
            case Failed():
                return failure_acts(event.failure, self._stamp)
        return ()

    def _end(self, event: End) -> Iterator[Act]:
        items = self._answer.output.items
        for item in items:
            item.status = "completed"
        if items:
            items[-1].status = self._answer.last_status()
        yield from self._answer.ended(event)
        yield from document_acts(_json.encode(self._answer.response), self._stamp, self._headers)
