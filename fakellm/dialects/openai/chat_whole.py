"""A chat completion as one JSON object: the same events, encoded whole."""

from collections.abc import Iterable
from typing import Any, cast

import msgspec
from zope.interface import implementer

from fakellm.dialects.openai import chat_fields as fields
from fakellm.dialects.openai.chat_request import AudioOutput, ChatRequest
from fakellm.dialects.openai.errors import document_acts, failure_acts
from fakellm.dialects.openai.moderation import moderation_object
from fakellm.interfaces import IEncoder
from fakellm.model.content import Reasoning, Refusal, SaidPart, Speech, Text, ToolCall
from fakellm.model.events import (
    Begin,
    ChoiceBegin,
    ChoiceEnd,
    End,
    Event,
    Failed,
    PartBegin,
    Token,
)
from fakellm.model.prompt import Prompt
from fakellm.model.reply import Usage
from fakellm.model.stamp import Stamp
from fakellm.model.timeline import Act
from fakellm.dialects.speech import speak

_json = msgspec.json.Encoder()
_SPEECH_LASTS_SECONDS = 3600


class _PartSoFar:
    """A part and what was said of it."""

    __slots__ = ("content", "tokens")

    def __init__(self, content: SaidPart) -> None:
        self.content = content
        self.tokens: list[Token] = []

    @property
    def text(self) -> str:
        return "".join([token.text for token in self.tokens])


class _ChoiceSoFar:
    __slots__ = ("finish_reason", "parts")

    def __init__(self) -> None:
        self.parts: list[_PartSoFar] = []
        self.finish_reason = "stop"


@implementer(IEncoder)
class ChatWholeEncoder:
    """Events in, one ``chat.completion`` out."""

    def __init__(self, prompt: Prompt, stamp: Stamp) -> None:
        self._request: ChatRequest = prompt.wire
        self._stamp = stamp
        self._model = ""
        self._choices: list[_ChoiceSoFar] = []

    def encode(self, event: Event) -> Iterable[Act]:
        """See `IEncoder`."""
        match event:
            case Token():
                self._choices[event.choice].parts[event.part].tokens.append(event)
            case PartBegin():
                self._choices[event.choice].parts.append(_PartSoFar(event.content))
            case ChoiceBegin():
                self._choices.append(_ChoiceSoFar())
            case ChoiceEnd():
                reason = fields.wire_finish_reason(event.finish_reason, self._request)
                self._choices[event.choice].finish_reason = reason
            case Begin():
                self._model = event.model
            case End():
                return self._end(event.usage)
            case Failed():
                return failure_acts(event.failure, self._stamp)
        return ()

    def _end(self, usage: Usage) -> Iterable[Act]:
        answer: dict[str, Any] = {
            "id": self._stamp.unique("chatcmpl-", 29),
            "object": "chat.completion",
            "created": self._stamp.created,
            "model": self._model,
            "choices": [self._choice(i, choice) for i, choice in enumerate(self._choices)],
            "usage": fields.usage_object(usage),
            "service_tier": fields.service_tier(self._request),
            "system_fingerprint": self._stamp.fingerprint,
        }
        if self._request.metadata is not None:
            answer["metadata"] = self._request.metadata
        if self._request.moderation is not None:
            answer["moderation"] = moderation_object(self._request.moderation.model)
        return document_acts(_json.encode(answer), self._stamp)

    def _choice(self, index: int, choice: _ChoiceSoFar) -> dict[str, Any]:
        return {
            "index": index,
            "message": self._message(choice),
            "logprobs": _logprobs(choice),
            "finish_reason": choice.finish_reason,
        }

    def _message(self, choice: _ChoiceSoFar) -> dict[str, Any]:
        texts: list[str] = []
        calls: list[dict[str, Any]] = []
        message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
        for part in choice.parts:
            match part.content:
                case Text():
                    texts.append(part.text)
                case Refusal():
                    message["refusal"] = part.text
                case ToolCall(id=call_id) as call:
                    call_id = call_id or self._stamp.unique("call_", 24)
                    calls.append(fields.tool_call_object(call, call_id, part.text))
                case Speech():
                    message["audio"] = self._speech(part.text)
                case Reasoning():
                    pass  # which the API keeps to itself
        if texts:
            message["content"] = "".join(texts)
        if calls and self._request.functions:
            message["function_call"] = calls[0]["function"]
        elif calls:
            message["tool_calls"] = calls
        message["annotations"] = []
        return message

    def _speech(self, transcript: str) -> dict[str, Any]:
        # the decoder lets nobody ask for speech without saying in which format
        audio = cast("AudioOutput", self._request.audio)
        (data,) = fields.sound_data([speak(transcript, audio.format)])
        return {
            "id": self._stamp.unique("audio_", 24),
            "data": data,
            "expires_at": self._stamp.created + _SPEECH_LASTS_SECONDS,
            "transcript": transcript,
        }


def _logprobs(choice: _ChoiceSoFar) -> dict[str, Any] | None:
    entries: dict[str, list[dict[str, Any]]] = {}
    for part in choice.parts:
        kind = "refusal" if isinstance(part.content, Refusal) else "content"
        for token in part.tokens:
            if token.logprob is not None:
                entries.setdefault(kind, []).append(fields.logprob_entry(token.text, token.logprob))
    return {"content": None, "refusal": None, **entries} if entries else None
