"""A chat completion as server-sent events.

What chunks have in common is encoded once an answer, what the chunks of a part have in common once
a part; a token costs one JSON string and one join.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from zope.interface import implementer

from fakellm.dialects.framing import sse_event
from fakellm.dialects.openai import chat_fields as fields
from fakellm.dialects.openai.chat_request import ChatRequest
from fakellm.dialects.openai.errors import answer_headers, error_json, failure_acts
from fakellm.dialects.openai.moderation import moderation_object
from fakellm.interfaces import IEncoder
from fakellm.model.content import Reasoning, Refusal, Speech, Text, ToolCall
from fakellm.model.events import (
    Begin,
    ChoiceBegin,
    ChoiceEnd,
    End,
    Event,
    Failed,
    PartBegin,
    PartEnd,
    Token,
)
from fakellm.model.prompt import Prompt
from fakellm.model.stamp import Stamp
from fakellm.model.timeline import Act, Finish, Head, Write
from fakellm.dialects.speech import speak_pcm16

_json = msgspec.json.Encoder()
_HEADERS = (
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-cache"),
    # nginx and its like buffer a stream unless they are told not to
    ("X-Accel-Buffering", "no"),
)
_DONE = sse_event(b"[DONE]")
_SPEECH_LASTS_SECONDS = 3600
_OBFUSCATED_TO = 16


class _Hidden(msgspec.Struct, frozen=True):
    """A part that the API keeps to itself."""


class _Said(msgspec.Struct, frozen=True):
    """A part whose tokens are chunks: the bytes around a token's text.

    ``before`` begins the chunk and ``after`` ends the delta; ``rest`` is ``after`` and all that
    follows it in a chunk with nothing else to say. ``logprobs`` is what its tokens are called.
    """

    before: bytes
    after: bytes
    rest: bytes
    logprobs: str


class _Spoken(msgspec.Struct, frozen=True):
    """A spoken part, whose sound is made of the words that were said when it ends."""

    said: _Said
    id: str
    words: list[str]


@implementer(IEncoder)
class ChatStreamEncoder:
    """Events in, ``chat.completion.chunk`` events out."""

    def __init__(self, prompt: Prompt, stamp: Stamp) -> None:
        self._request: ChatRequest = prompt.wire
        self._stamp = stamp
        options = self._request.stream_options
        self._usage = bool(options and options.include_usage)
        self._obfuscated = bool(options and options.include_obfuscation)
        self._begun = False
        self._chance = stamp.chance("obfuscation")
        self._parts: dict[tuple[int, int], _Said | _Spoken | _Hidden] = {}
        self._calls: dict[int, int] = {}
        self._open = b""
        self._close = b""

    def encode(self, event: Event) -> Iterable[Act]:
        """See `IEncoder`."""
        match event:
            case Token():
                return self._token(event)
            case PartBegin():
                return self._part_begin(event)
            case PartEnd():
                return self._part_end(event)
            case ChoiceBegin():
                return self._choice_begin(event)
            case ChoiceEnd():
                reason = fields.wire_finish_reason(event.finish_reason, self._request)
                return [self._delta(event.choice, {}, finish_reason=reason)]
            case Begin():
                return self._begin(event)
            case End():
                return self._end(event)
            case Failed():
                return self._failed(event)

    def _begin(self, event: Begin) -> Iterable[Act]:
        common = {
            "id": self._stamp.unique("chatcmpl-", 29),
            "object": "chat.completion.chunk",
            "created": self._stamp.created,
            "model": event.model,
            "service_tier": fields.service_tier(self._request),
            "system_fingerprint": self._stamp.fingerprint,
        }
        self._open = _json.encode(common)[:-1] + b',"choices":['
        self._close = b'],"usage":null' if self._usage else b"]"
        self._begun = True
        return [Head(200, (*_HEADERS, *answer_headers(self._stamp)))]

    def _choice_begin(self, event: ChoiceBegin) -> Iterable[Act]:
        worded = any(isinstance(part, Text) for part in event.parts)
        delta = {"role": "assistant", "content": "" if worded else None, "refusal": None}
        return [self._delta(event.choice, delta)]

    def _part_begin(self, event: PartBegin) -> Iterable[Act]:
        key = event.choice, event.part
        match event.content:
            case Text():
                self._parts[key] = self._said(event.choice, ("content",))
            case Refusal():
                self._parts[key] = self._said(event.choice, ("refusal",), logprobs="refusal")
            case Speech():
                said = self._said(event.choice, ("audio", "transcript"))
                spoken = self._parts[key] = _Spoken(said, self._stamp.unique("audio_", 24), [])
                return [self._delta(event.choice, {"audio": {"id": spoken.id}})]
            case ToolCall():
                return [self._call_begin(key, event.content)]
            case Reasoning():
                self._parts[key] = _Hidden()
        return ()

    def _call_begin(self, key: tuple[int, int], call: ToolCall) -> Act:
        choice = key[0]
        if self._request.functions:
            self._parts[key] = self._said(choice, ("function_call", "arguments"))
            return self._delta(choice, {"function_call": {"name": call.name, "arguments": ""}})
        index = self._calls.get(choice, 0)
        self._calls[choice] = index + 1
        path = ("custom", "input") if call.kind == "custom" else ("function", "arguments")
        self._parts[key] = self._said(choice, path, call=index)
        begun = fields.tool_call_object(call, call.id or self._stamp.unique("call_", 24), "")
        return self._delta(choice, {"tool_calls": [{"index": index, **begun}]})

    def _said(
        self,
        choice: int,
        path: tuple[str, ...],
        *,
        call: int | None = None,
        logprobs: str = "content",
    ) -> _Said:
        """The bytes of a chunk around the text at a path in its delta."""
        before = b"".join(b'{"%b":' % name.encode() for name in path)
        after = b"}" * len(path)
        if call is not None:
            before, after = b'{"tool_calls":[{"index":%d,%b' % (call, before[1:]), after + b"]}"
        before = b'data: %b{"index":%d,"delta":%b' % (self._open, choice, before)
        rest = b'%b,"logprobs":null,"finish_reason":null}%b}\n\n' % (after, self._close)
        return _Said(before, after, rest, logprobs)

    def _token(self, token: Token) -> Iterable[Act]:
        part = self._parts[token.choice, token.part]
        if isinstance(part, _Spoken):
            part.words.append(token.text)
            part = part.said
        if isinstance(part, _Hidden):
            return ()
        text = _json.encode(token.text)
        if token.logprob is None and not self._obfuscated:
            return (Write(part.before + text + part.rest),)
        logprobs = b"null"
        if token.logprob is not None:
            entries = [fields.logprob_entry(token.text, token.logprob)]
            logprobs = _json.encode(fields.logprobs_object(entries, part.logprobs))
        tail = b'%b,"logprobs":%b,"finish_reason":null}' % (part.after, logprobs)
        return (self._chunk(part.before + text + tail, len(token.text)),)

    def _part_end(self, event: PartEnd) -> Iterator[Act]:
        part = self._parts.pop((event.choice, event.part))
        if isinstance(part, _Spoken):
            for data in fields.sound_data(speak_pcm16("".join(part.words))):
                yield self._delta(event.choice, {"audio": {"id": part.id, "data": data}})
            expires_at = self._stamp.created + _SPEECH_LASTS_SECONDS
            yield self._delta(event.choice, {"audio": {"id": part.id, "expires_at": expires_at}})

    def _end(self, event: End) -> Iterator[Act]:
        moderation = self._request.moderation
        if moderation is not None:
            verdict = _json.encode(moderation_object(moderation.model))
            yield Write(b'data: %b%b,"moderation":%b}\n\n' % (self._open, self._close, verdict))
        if self._usage:
            usage = _json.encode(fields.usage_object(event.usage))
            yield Write(b'data: %b],"usage":%b}\n\n' % (self._open, usage))
        yield Write(_DONE)
        yield Finish()

    def _failed(self, event: Failed) -> Iterable[Act]:
        if not self._begun:
            return failure_acts(event.failure, self._stamp)
        return [Write(sse_event(error_json(event.failure))), Finish()]

    def _delta(
        self, choice: int, delta: dict[str, Any], *, finish_reason: str | None = None
    ) -> Write:
        body = {
            "index": choice,
            "delta": delta,
            "logprobs": None,
            "finish_reason": finish_reason,
        }
        return self._chunk(b"data: %b%b" % (self._open, _json.encode(body)), 0)

    def _chunk(self, begun: bytes, size: int) -> Write:
        last = b""
        if self._obfuscated:
            # as the API does: short texts are padded, so that sizes tell nothing of them
            noise = "".join(self._chance.choices(_NOISE, k=max(1, _OBFUSCATED_TO - size)))
            last = b',"obfuscation":' + _json.encode(noise)
        return Write(b"%b%b%b}\n\n" % (begun, self._close, last))


_NOISE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
