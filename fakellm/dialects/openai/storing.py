"""Chat completions that are kept as they are sent: ``store: true``.

The completion that is kept is the one the client was sent, streamed or not, under the same ids.
"""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct, structs
from zope.interface import implementer

from fakellm.dialects.openai.chat_request import ChatMessage, ChatRequest
from fakellm.dialects.openai.chat_whole import ChatWholeEncoder
from fakellm.interfaces import IEncoder
from fakellm.model.content import ToolCall
from fakellm.model.events import Begin, End, Event, PartBegin
from fakellm.model.prompt import Prompt
from fakellm.model.stamp import Stamp
from fakellm.model.timeline import Act, Keep

KIND = "chat.completion"


class Stored(Struct, frozen=True, kw_only=True):
    """A completion as it was sent, with its metadata, and the messages it answers."""

    completion: dict[str, Any]
    messages: tuple[ChatMessage, ...]


def stored(encoder: IEncoder, prompt: Prompt, stamp: Stamp) -> IEncoder:
    """An encoder whose answers are kept once they are whole."""
    return _Storing(encoder, prompt, stamp)


@implementer(IEncoder)
class _Storing:
    def __init__(self, encoder: IEncoder, prompt: Prompt, stamp: Stamp) -> None:
        self._encoder = encoder
        self._request: ChatRequest = prompt.wire
        self._stamp = stamp
        self._whole = ChatWholeEncoder(prompt, stamp)

    def encode(self, event: Event) -> Iterable[Act]:
        """See `IEncoder`."""
        event = self._named(event)
        acts = self._encoder.encode(event)
        if isinstance(event, End):
            return [self._keep(event), *acts]
        self._whole.encode(event)
        return acts

    def _named(self, event: Event) -> Event:
        """The event with ids of its own, so that all who encode it say the same."""
        match event:
            case Begin(id=None):
                return structs.replace(event, id=self._stamp.unique("chatcmpl-", 29))
            case PartBegin(content=ToolCall(id="") as call):
                named = structs.replace(call, id=self._stamp.unique("call_", 24))
                return structs.replace(event, content=named)
        return event

    def _keep(self, event: End) -> Keep:
        completion = self._whole.completion(event.usage)
        completion.setdefault("metadata", {})
        value = Stored(completion=completion, messages=tuple(self._request.messages))
        return Keep(KIND, completion["id"], value)
