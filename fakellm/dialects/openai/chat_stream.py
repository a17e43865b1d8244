"""A chat completion as server-sent events.

What chunks have in common is encoded once an answer, what the chunks of a part have in common once
a part; a token costs one JSON string and one join.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import structs
from zope.interface import implementer

from fakellm.dialects.framing import sse_event
from fakellm.dialects.openai import chat_fields as fields
from fakellm.dialects.openai.chat_request import ChatRequest
from fakellm.dialects.openai.errors import answer_headers, error_json, failure_acts, headed
from fakellm.dialects.openai.moderation import moderation_object
from fakellm.dialects.openai.obfuscation import noise
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
_UNFINISHED = b',"logprobs":null,"finish_reason":null}'


class _Said(msgspec.Struct, frozen=True, kw_only=True):
    """A part whose tokens are chunks: the bytes around the text of a token.

    ``before`` begins the chunk and ``after`` ends its delta; ``end`` ends all of it, where a token
    needs no more than its text. ``scores`` surround the log probabilities. ``words`` gathers what
    is said where it is spoken. ``token`` is as `Write` has it.
    """

    before: bytes
    after: bytes
    end: bytes | None
    scores: tuple[bytes, bytes]
    words: list[str] | None = None
    token: bool = False


class _Fresh(msgspec.Struct, frozen=True, kw_only=True):
    """A part whose beginning goes with its first token.

    ``begun`` is what is said of it if no token comes, ``first`` is around the first one, and
    ``rest`` around those after it.
    """

    begun: dict[str, Any]
    first: _Said
    rest: _Said


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
        self._fresh: dict[tuple[int, int], _Fresh] = {}
        self._roles: dict[int, dict[str, Any]] = {}  # which go with the first token
        self._finished: set[int] = set()
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
                return self._choice_end(event)
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
        if self._framing.role_alone:
            return [self._delta(event.choice, delta)]
        self._roles[event.choice] = delta
        return ()

    def _choice_end(self, event: ChoiceEnd) -> Iterable[Act]:
        choice = event.choice
        if choice in self._finished:
            return ()
        reason = fields.wire_finish_reason(event.finish_reason, self._request)
        role = self._roles.pop(choice, {})
        if role and self._framing.finish_alone:
            return [self._delta(choice, role), self._delta(choice, {}, finish_reason=reason)]
        return [self._delta(choice, role, finish_reason=reason)]

    def _part_begin(self, event: PartBegin) -> Iterable[Act]:
        choice, content = event.choice, event.content
        key = choice, event.part
        match content:
            case Text():
                return self._opened(key, content, {}, {"content": ""})
            case Refusal():
                return self._opened(key, content, {}, {"refusal": ""})
            case Speech():
                begun = {}
                if choice not in self._voices:
                    voice = self._voices[choice] = self._stamp.unique("audio_", 24)
                    begun = {"audio": {"id": voice, "transcript": ""}}
                return self._opened(key, content, begun, {"audio": {"transcript": ""}})
            case Reasoning() | HostedCall():
                return ()  # which the API keeps to itself
        return self._call_begin(key, content)

    def _call_begin(self, key: tuple[int, int], call: ToolCall) -> Iterable[Act]:
        index = self._calls.get(key[0], 0)
        self._calls[key[0]] = index + 1
        begun: dict[str, Any]
        rest: dict[str, Any]
        if self._request.functions:
            if index:
                return ()  # there was but one, in the days of functions
            begun = {"function_call": {"name": call.name, "arguments": ""}}
            rest = {"function_call": {"arguments": ""}}
        else:
            made = fields.tool_call_object(call, call.id or self._stamp.unique("call_", 24), "")
            said = (
                {"custom": {"input": ""}}
                if call.kind == "custom"
                else {"function": {"arguments": ""}}
            )
            begun = {"tool_calls": [{"index": index, **made}]}
            rest = {"tool_calls": [{"index": index, **said}]}
        return self._opened(key, call, begun, rest)

    def _opened(
        self,
        key: tuple[int, int],
        content: SaidPart,
        begun: dict[str, Any],
        rest: dict[str, Any],
    ) -> Iterable[Act]:
        """A part begins that is shown: with a delta of its own, if it has one, or a first token.

        ``begun`` is that delta, and ``rest`` that of a token; the text comes where the last empty
        string of a delta is.
        """
        words: list[str] | None = [] if isinstance(content, Speech) else None
        said = self._said(content, key[0], rest, words)
        role = self._roles.get(key[0])
        if self._framing.role_alone or not (role or begun):
            self._parts[key] = said
            return [self._delta(key[0], begun)] if begun else ()
        first = {**(role or {}), **(begun or rest)}
        self._fresh[key] = _Fresh(
            begun=begun, first=self._said(content, key[0], first, words), rest=said
        )
        return ()

    def _said(
        self, content: SaidPart, choice: int, delta: dict[str, Any], words: list[str] | None
    ) -> _Said:
        """The bytes around the text in a delta of a choice."""
        before, after = _json.encode(delta).rsplit(b'""', 1)
        scores = b'{"content":[', b'],"refusal":null}'
        if fields.logprobs_kind(content) == "refusal":
            scores = b'{"content":null,"refusal":[', b"]}"
        is_plain = self._noise is None and words is None
        return _Said(
            before=b'data: %b{"index":%d,"delta":%b' % (self._open, choice, before),
            after=after,
            end=b"%b%b%b}\n\n" % (after, _UNFINISHED, self._close) if is_plain else None,
            scores=scores,
            words=words,
            token=isinstance(content, Text | Refusal),
        )

    def _token(self, token: Token) -> Iterable[Act]:
        part = self._parts.get((token.choice, token.part))
        if part is None:
            return self._first_token(token)
        if part.end is None or token.logprob is not None or token.last is not None:
            return (self._token_chunk(part, token),)
        return (Write(part.before + _json.encode(token.text) + part.end, False, part.token),)

    def _first_token(self, token: Token) -> Iterable[Act]:
        """The first token of a part, if it is shown at all."""
        key = token.choice, token.part
        fresh = self._fresh.pop(key, None)
        if fresh is None:
            return ()
        self._roles.pop(token.choice, None)
        self._parts[key] = fresh.rest
        return (structs.replace(self._token_chunk(fresh.first, token), token=False),)

    def _token_chunk(self, part: _Said, token: Token) -> Write:
        """A token with more to it than its text."""
        finish = b"null"
        last = None if self._framing.finish_alone or part.words is not None else token.last
        if last is not None:
            self._finished.add(token.choice)
            finish = _json.encode(fields.wire_finish_reason(last, self._request))
        if part.words is not None:
            part.words.append(token.text)
        scores = b"null"
        if token.logprob is not None:
            opening, closing = part.scores
            entry = fields.logprob_entry(token.text, token.logprob)
            scores = opening + _json.encode(entry) + closing
        text = _json.encode(token.text)
        chunk = b'%b%b%b,"logprobs":%b,"finish_reason":%b}%b' % (
            part.before, text, part.after, scores, finish, self._close,
        )  # fmt: skip
        return Write(self._ended(chunk, len(token.text)), token=part.token and last is None)

    def _part_end(self, event: PartEnd) -> Iterable[Act]:
        choice, key = event.choice, (event.choice, event.part)
        acts: list[Act] = []
        fresh = self._fresh.pop(key, None)
        part = self._parts.pop(key, None)
        if fresh is not None:
            part = fresh.rest
            if fresh.begun:
                acts.append(self._delta(choice, {**self._roles.pop(choice, {}), **fresh.begun}))
        if part is None or part.words is None:
            return acts
        voice = self._voices[choice]
        for chunk in speak_pcm16("".join(part.words)):
            sound = {"id": voice, "data": fields.sound_data(chunk)}
            acts.append(self._delta(choice, {"audio": sound}))
        expires_at = self._stamp.created + fields.SPEECH_LASTS_SECONDS
        acts.append(self._delta(choice, {"audio": {"id": voice, "expires_at": expires_at}}))
        return acts

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
        begun = b"data: %b%b%b" % (self._open, _json.encode(body), self._close)
        return Write(self._ended(begun, 0))

    def _ended(self, begun: bytes, size: int) -> bytes:
        """A chunk, all but its end given; ``size`` is the length of its text."""
        if self._noise is None:
            return begun + b"}\n\n"
        # as the API does: short texts are padded, so that sizes tell nothing of them
        return b'%b,"obfuscation":"%b"}\n\n' % (begun, noise(self._noise, size))
