"""A message as one JSON object: the same events, encoded whole."""

from collections.abc import Iterable
from typing import Any

import msgspec
from zope.interface import implementer

from fakellm.dialects.anthropic import message_fields as fields
from fakellm.dialects.anthropic.errors import document_acts, failure_acts
from fakellm.dialects.anthropic.partial_json import object_of
from fakellm.dialects.anthropic.request import MessagesRequest
from fakellm.interfaces import IEncoder
from fakellm.model.content import Refusal, SaidPart, Text, ToolCall
from fakellm.model.events import Begin, ChoiceEnd, End, Event, Failed, PartBegin, PartEnd, Token
from fakellm.model.prompt import Prompt
from fakellm.model.reply import Usage
from fakellm.model.stamp import Stamp
from fakellm.model.timeline import Act

_json = msgspec.json.Encoder()


@implementer(IEncoder)
class MessageWholeEncoder:
    """Events in, one ``message`` out."""

    def __init__(self, prompt: Prompt, stamp: Stamp) -> None:
        self._request: MessagesRequest = prompt.wire
        self._stamp = stamp
        self._begun = Begin(model="", prompt_tokens=0)
        self._id = ""
        self._part: SaidPart = Text(text="")
        self._said: list[str] = []
        self._content: list[dict[str, Any]] = []
        self._refusal: str | None = None
        self._stop = fields.OPEN_STOP

    def encode(self, event: Event) -> Iterable[Act]:
        """See `IEncoder`."""
        match event:
            case Token():
                self._said.append(event.text)
            case PartBegin():
                self._part, self._said = event.content, []
            case PartEnd():
                self._part_end()
            case ChoiceEnd():
                self._stop = fields.stop_fields(event, self._refusal)
            case Begin():
                self._begun = event
                self._id = event.id or fields.message_id(self._stamp)
            case End():
                return self._end(event.usage)
            case Failed():
                return failure_acts(event.failure, self._stamp)
        return ()

    def _part_end(self) -> None:
        content, said = self._part, "".join(self._said)
        kind = fields.shape(content, self._request)
        if isinstance(content, Refusal):
            self._refusal = (self._refusal or "") + said
        if kind is None or (kind == "text" and not said):
            return  # the API has no empty texts
        index = len(self._content)
        block = fields.new_block(kind, content, self._stamp, index)
        if kind == "text":
            block["text"] = said
        elif kind == "thinking":
            block["thinking"] = said
        elif isinstance(content, ToolCall):
            block["input"] = {"input": said} if content.kind == "custom" else object_of(said)
        if kind in ("thinking", "omitted"):
            block["signature"] = fields.signature(self._stamp, index)
        self._content.append(block)

    def _end(self, usage: Usage) -> Iterable[Act]:
        message = fields.message_object(
            id_=self._id,
            model=self._begun.model,
            content=self._content,
            stop=self._stop,
            usage=fields.usage_object(usage, self._request),
            request=self._request,
        )
        return document_acts(_json.encode(message), self._stamp, self._begun.headers)
