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
from fakellm.dialects.openai.errors import answer_headers, error_json, failure_acts, headed
from fakellm.dialects.openai.moderation import moderation_object
from fakellm.dialects.speech import speak_pcm16
from fakellm.interfaces import IEncoder
from fakellm.model.content import (
    HostedCall,
    Reasoning,
    Refusal,
    SaidPart,
    Speech,
    Text,
    ToolCall,
)
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
from fakellm.model.framing import DEFAULT_FRAMING, Framing
from fakellm.model.prompt import Prompt
from fakellm.model.stamp import Stamp
from fakellm.model.timeline import Act, Finish, Head, Write

_json = msgspec.json.Encoder()
_HEADERS = (
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-cache"),
    # nginx and its like buffer a stream unless they are told not to
    ("X-Accel-Buffering", "no"),
)
_DONE = sse_event(b"[DONE]")
_OBFUSCATED_TO = 16


class _Said(msgspec.Struct, frozen=True, kw_only=True):
    """A part whose tokens are chunks: the bytes around the text of a token.

    ``before`` begins the chunk and ``after`` ends it. With log probabilities, ``scores`` and
    ``scored`` surround those in place of ``after``, and the end of the chunk is still to come.
    ``words`` gathers what is said where it is spoken.
    """

    before: bytes
    after: bytes
    scores: bytes
    scored: bytes
    words: list[str] | None = None


@implementer(IEncoder)
class ChatStreamEncoder:
    """Events in, ``chat.completion.chunk`` events out."""

    def __init__(self, prompt: Prompt, stamp: Stamp, framing: Framing = DEFAULT_FRAMING) -> None:
        self._request: ChatRequest = prompt.wire
        self._framing = framing
        self._stamp = stamp
        options = self._request.stream_options
        self._usage = bool(options and options.include_usage)
        obfuscated = options is not None and options.include_obfuscation
        self._noise = stamp.chance("obfuscation") if obfuscated else None
        self._begun = False
        self._parts: dict[tuple[int, int], _Said] = {}  # but those the API keeps to itself
        self._calls: dict[int, int] = {}
        self._voices: dict[int, str] = {}
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
        return self._failed(event)

    def _begin(self, event: Begin) -> Iterable[Act]:
        common = {
            "id": event.id or self._stamp.unique("chatcmpl-", 29),
            "object": "chat.completion.chunk",
            "created": self._stamp.created,
            "model": event.model,
            "service_tier": fields.service_tier(self._request),
            "system_fingerprint": event.system_fingerprint or self._stamp.fingerprint,
        }
        self._open = _json.encode(common)[:-1] + b',"choices":['
        self._close = b'],"usage":null' if self._usage else b"]"
        self._begun = True
        return [Head(200, headed((*_HEADERS, *answer_headers(self._stamp)), event.headers))]

    def _choice_begin(self, event: ChoiceBegin) -> Iterable[Act]:
        worded = any(isinstance(part, Text) for part in event.parts)
        delta = {"role": "assistant", "content": "" if worded else None, "refusal": None}
        return [self._delta(event.choice, delta)]

    def _part_begin(self, event: PartBegin) -> Iterable[Act]:
        choice, content = event.choice, event.content
        key = choice, event.part
        match content:
            case Text():
                self._parts[key] = self._said(content, choice, ("content",))
                return ()
            case Refusal():
                self._parts[key] = self._said(content, choice, ("refusal",))
                return ()
            case Speech():
                self._parts[key] = self._said(content, choice, ("audio", "transcript"), words=[])
                if choice in self._voices:
                    return ()
                voice = self._voices[choice] = self._stamp.unique("audio_", 24)
                return [self._delta(choice, {"audio": {"id": voice, "transcript": ""}})]
            case Reasoning() | HostedCall():
                return ()  # which the API keeps to itself
        return self._call_begin(key, content)

    def _call_begin(self, key: tuple[int, int], call: ToolCall) -> Iterable[Act]:
        choice = key[0]
        index = self._calls.get(choice, 0)
        self._calls[choice] = index + 1
        if self._request.functions:
            if index:
                return ()  # there was but one, in the days of functions
            self._parts[key] = self._said(call, choice, ("function_call", "arguments"))
            return [self._delta(choice, {"function_call": {"name": call.name, "arguments": ""}})]
        path = ("custom", "input") if call.kind == "custom" else ("function", "arguments")
        self._parts[key] = self._said(call, choice, path, call=index)
        begun = fields.tool_call_object(call, call.id or self._stamp.unique("call_", 24), "")
        return [self._delta(choice, {"tool_calls": [{"index": index, **begun}]})]

    def _said(
        self,
        content: SaidPart,
        choice: int,
        path: tuple[str, ...],
        *,
        call: int | None = None,
        words: list[str] | None = None,
    ) -> _Said:
        """The bytes around the text at a path in the delta of a choice."""
        before = b"".join(b'{"%b":' % name.encode() for name in path)
        after = b"}" * len(path)
        if call is not None:
            before, after = b'{"tool_calls":[{"index":%d,%b' % (call, before[1:]), after + b"]}"
        lists = b'{"content":[%b],"refusal":null}'
        if fields.logprobs_kind(content) == "refusal":
            lists = b'{"content":null,"refusal":[%b]}'
        opening, closing = lists.split(b"%b")
        return _Said(
            before=b'data: %b{"index":%d,"delta":%b' % (self._open, choice, before),
            after=b'%b,"logprobs":null,"finish_reason":null}%b' % (after, self._close),
            scores=b'%b,"logprobs":%b' % (after, opening),
            scored=b'%b,"finish_reason":null}%b' % (closing, self._close),
            words=words,
        )

    def _token(self, token: Token) -> Iterable[Act]:
        part = self._parts.get((token.choice, token.part))
        if part is None:
            return ()
        if part.words is not None:
            part.words.append(token.text)
        chunk = part.before + _json.encode(token.text)
        if token.logprob is None:
            chunk += part.after
        else:
            entry = fields.logprob_entry(token.text, token.logprob)
            chunk += part.scores + _json.encode(entry) + part.scored
        return (self._chunk(chunk, len(token.text)),)

    def _part_end(self, event: PartEnd) -> Iterable[Act]:
        part = self._parts.pop((event.choice, event.part), None)
        if part is None or part.words is None:
            return ()
        choice, voice = event.choice, self._voices[event.choice]
        sound = [
            self._delta(choice, {"audio": {"id": voice, "data": fields.sound_data(chunk)}})
            for chunk in speak_pcm16("".join(part.words))
        ]
        expires_at = self._stamp.created + fields.SPEECH_LASTS_SECONDS
        return [*sound, self._delta(choice, {"audio": {"id": voice, "expires_at": expires_at}})]

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
        return self._chunk(b"data: %b%b%b" % (self._open, _json.encode(body), self._close), 0)

    def _chunk(self, begun: bytes, size: int) -> Write:
        """A chunk to which its end is still to come; ``size`` is the length of its text."""
        if self._noise is None:
            return Write(begun + b"}\n\n")
        # as the API does: short texts are padded, so that sizes tell nothing of them
        noise = "".join(self._noise.choices(_NOISE, k=max(1, _OBFUSCATED_TO - size)))
        return Write(b'%b,"obfuscation":"%b"}\n\n' % (begun, noise.encode()))


_NOISE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
