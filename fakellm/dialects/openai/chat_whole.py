"""A chat completion as one JSON object: the same events, encoded whole."""

from collections.abc import Iterable
from typing import Any

import msgspec
from zope.interface import implementer

from fakellm.dialects.openai import chat_fields as fields
from fakellm.dialects.openai.chat_request import ChatRequest
from fakellm.dialects.openai.errors import document_acts, failure_acts
from fakellm.dialects.openai.moderation import moderation_object
from fakellm.dialects.speech import speak
from fakellm.interfaces import IEncoder
from fakellm.model.content import Refusal, SaidPart, Speech, Text, ToolCall
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

_json = msgspec.json.Encoder()


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
        self.finish_reason: str | None = None

    def said(self, kind: type[SaidPart]) -> str | None:
        """The words of all parts of a kind; ``None`` where there is none."""
        words = [part.text for part in self.parts if isinstance(part.content, kind)]
        return "".join(words) if words else None


@implementer(IEncoder)
class ChatWholeEncoder:
    """Events in, one ``chat.completion`` out."""

    def __init__(self, prompt: Prompt, stamp: Stamp) -> None:
        self._request: ChatRequest = prompt.wire
        self._stamp = stamp
        self._begun = Begin(model="", prompt_tokens=0)
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
                self._begun = event
            case End():
                return self._end(event.usage)
            case Failed():
                return failure_acts(event.failure, self._stamp)
        return ()

    def _end(self, usage: Usage) -> Iterable[Act]:
        answer = _json.encode(self.completion(usage))
        return document_acts(answer, self._stamp, self._begun.headers)

    def completion(self, usage: Usage) -> dict[str, Any]:
        """The completion, of all events but the last, which has its ``usage``."""
        answer: dict[str, Any] = {
            "id": self._begun.id or self._stamp.unique("chatcmpl-", 29),
            "object": "chat.completion",
            "created": self._stamp.created,
            "model": self._begun.model,
            "choices": [self._choice(i, choice) for i, choice in enumerate(self._choices)],
            "usage": fields.usage_object(usage),
            "service_tier": fields.service_tier(self._request),
            "system_fingerprint": self._begun.system_fingerprint or self._stamp.fingerprint,
        }
        if self._request.metadata is not None:
            answer["metadata"] = self._request.metadata
        if self._request.moderation is not None:
            answer["moderation"] = moderation_object(self._request.moderation.model)
        return answer

    def _choice(self, index: int, choice: _ChoiceSoFar) -> dict[str, Any]:
        return {
            "index": index,
            "message": self._message(choice),
            "logprobs": _logprobs(choice),
            "finish_reason": choice.finish_reason,
        }

    def _message(self, choice: _ChoiceSoFar) -> dict[str, Any]:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": choice.said(Text),
            "refusal": choice.said(Refusal) or None,  # of no words, it is none, as streamed
        }
        transcript = choice.said(Speech)
        if transcript is not None:
            message["audio"] = self._speech(transcript)
        calls = [
            fields.tool_call_object(call, call.id or self._stamp.unique("call_", 24), part.text)
            for part in choice.parts
            if isinstance(call := part.content, ToolCall)
        ]
        if calls and self._request.functions:
            message["function_call"] = calls[0]["function"]
        elif calls:
            message["tool_calls"] = calls
        message["annotations"] = []
        return message

    def _speech(self, transcript: str) -> dict[str, Any]:
        audio = self._request.audio
        sound = speak(transcript, "wav" if audio is None else audio.format)  # or said unasked
        return {
            "id": self._stamp.unique("audio_", 24),
            "data": fields.sound_data(sound),
            "expires_at": self._stamp.created + fields.SPEECH_LASTS_SECONDS,
            "transcript": transcript,
        }


def _logprobs(choice: _ChoiceSoFar) -> dict[str, Any] | None:
    entries: dict[str, list[dict[str, Any]]] = {}
    for part in choice.parts:
        scores = [
            fields.logprob_entry(token.text, token.logprob)
            for token in part.tokens
            if token.logprob is not None
        ]
        if scores:
            entries.setdefault(fields.logprobs_kind(part.content), []).extend(scores)
    return {"content": None, "refusal": None, **entries} if entries else None
