"""A response as one JSON object: the same events, encoded whole."""

from collections.abc import Iterable, Iterator

import msgspec
from zope.interface import implementer

from fakellm.dialects.openai.errors import document_acts, failure_acts
from fakellm.dialects.openai.responses.answer import Answer
from fakellm.dialects.openai.responses.output import Said
from fakellm.interfaces import IEncoder
from fakellm.model.events import Begin, ChoiceEnd, End, Event, Failed, PartBegin, Token
from fakellm.model.prompt import Prompt
from fakellm.model.stamp import Stamp
from fakellm.model.timeline import Act

_json = msgspec.json.Encoder()


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
