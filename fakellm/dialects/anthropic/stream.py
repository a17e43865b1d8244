"""A message as server-sent events.

What the deltas of a block have in common is encoded once a block; a token costs one JSON string and
one join.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from zope.interface import implementer

from fakellm.dialects.anthropic import message_fields as fields
from fakellm.dialects.anthropic.errors import answer_headers, error_json, failure_acts, headed
from fakellm.dialects.anthropic.request import MessagesRequest
from fakellm.dialects.framing import sse_event
from fakellm.interfaces import IEncoder
from fakellm.model.content import Refusal, SaidPart, ToolCall
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
from fakellm.model.reply import Usage
from fakellm.model.stamp import Stamp
from fakellm.model.timeline import Act, Finish, Head, Write

_json = msgspec.json.Encoder()
_HEADERS = (
    ("Content-Type", "text/event-stream; charset=utf-8"),
    ("Cache-Control", "no-cache"),
    # nginx and its like buffer a stream unless they are told not to
    ("X-Accel-Buffering", "no"),
)
_DELTAS = {
    "text": (b"text_delta", b"text"),
    "thinking": (b"thinking_delta", b"thinking"),
    "tool_use": (b"input_json_delta", b"partial_json"),
}
_PING = sse_event(b'{"type":"ping"}', event=b"ping")


class _Open(msgspec.Struct, frozen=True, kw_only=True):
    """A block that has begun: the bytes around the text of a delta, where it has deltas.

    ``escaped`` says that the text is put into a JSON string, of which the deltas are pieces.
    """

    index: int
    kind: fields.Shape
    before: bytes = b""
    escaped: bool = False


@implementer(IEncoder)
class MessageStreamEncoder:
    """Events in, ``message_start`` to ``message_stop`` out.

    Each event of this format is a frame of its own; what a framing can choose is when the first
    ones are sent.
    """

    def __init__(self, prompt: Prompt, stamp: Stamp, framing: Framing = DEFAULT_FRAMING) -> None:
        self._request: MessagesRequest = prompt.wire
        self._stamp = stamp
        self._framing = framing
        self._sent_head = False
        self._held: list[Act] = []  # what goes out with what is said first
        self._part: SaidPart | None = None
        self._block: _Open | None = None
        self._blocks = 0
        self._refusal: list[str] | None = None
        self._stop = fields.OPEN_STOP

    def encode(self, event: Event) -> Iterable[Act]:
        """See `IEncoder`."""
        match event:
            case Token():
                acts = self._token(event)
            case PartBegin():
                acts = self._part_begin(event)
            case PartEnd():
                acts = self._part_end()
            case Begin():
                return self._begin(event)
            case ChoiceBegin():
                return ()
            case ChoiceEnd():
                words = None if self._refusal is None else "".join(self._refusal)
                self._stop = fields.stop_fields(event, words)
                return ()
            case Failed():
                return self._failed(event)
            case _:
                acts = self._end(event)
        if not self._held or not acts:
            return acts
        held, self._held = self._held, []
        self._sent_head = True
        return [*held, *acts]

    def _begin(self, event: Begin) -> Iterable[Act]:
        usage = Usage(
            prompt=event.prompt_tokens,
            cached=event.cached_tokens,
            completion=min(1, self._request.max_tokens),
        )
        message = fields.message_object(
            id_=event.id or fields.message_id(self._stamp),
            model=event.model,
            content=[],
            stop=fields.OPEN_STOP,
            usage=fields.usage_object(usage, self._request),
            request=self._request,
        )
        headers = headed((*_HEADERS, *answer_headers(self._stamp)), event.headers)
        acts: list[Act] = [Head(200, headers), _event("message_start", message=message)]
        now = 0
        if self._framing.head_at_once:
            self._sent_head = True
            now = 2 if self._framing.role_alone else 1
        self._held = acts[now:]
        return acts[:now]

    def _part_begin(self, event: PartBegin) -> list[Act]:
        self._part = event.content
        kind = fields.shape(event.content, self._request)
        if isinstance(event.content, Refusal):
            self._refusal = self._refusal or []
        # a text is a block only once it has words: the API has no empty ones
        if kind is None or kind == "text":
            return []
        self._block, acts = self._open(kind, event.content)
        return acts

    def _open(self, kind: fields.Shape, content: SaidPart) -> tuple[_Open, list[Act]]:
        index = self._blocks
        self._blocks += 1
        escaped = isinstance(content, ToolCall) and content.kind == "custom"
        before = b""
        if kind in _DELTAS:
            before = (
                b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
                % (index)
                + b'"delta":{"type":"%b","%b":' % _DELTAS[kind]
            )
        opened = _Open(index=index, kind=kind, before=before, escaped=escaped)
        block = fields.new_block(kind, content, self._stamp, index)
        acts: list[Act] = [_event("content_block_start", index=index, content_block=block)]
        if index == 0:
            acts.append(Write(_PING))
        if kind == "tool_use":
            acts.append(self._delta(opened, '{"input":"' if escaped else ""))
        return opened, acts

    def _token(self, token: Token) -> list[Act]:
        part, block = self._part, self._block
        if part is None or not token.text:
            return []
        acts: list[Act] = []
        if block is None:
            if fields.shape(part, self._request) != "text":
                return []
            block, acts = self._open("text", part)
            self._block = block
        if not block.before:
            return []
        text = token.text
        if self._refusal is not None and isinstance(part, Refusal):
            self._refusal.append(text)
        if block.escaped:
            text = _json.encode(text)[1:-1].decode()
        return [*acts, self._delta(block, text, token=True)]

    def _delta(self, block: _Open, text: str, *, token: bool = False) -> Write:
        return Write(block.before + _json.encode(text) + b"}}\n\n", token=token)

    def _part_end(self) -> list[Act]:
        block, self._part, self._block = self._block, None, None
        if block is None:
            return []
        acts: list[Act] = []
        if block.escaped:
            acts.append(self._delta(block, '"}'))
        if block.kind in ("thinking", "omitted"):
            proof = {
                "type": "signature_delta",
                "signature": fields.signature(self._stamp, block.index),
            }
            acts.append(_event("content_block_delta", index=block.index, delta=proof))
        return [*acts, _event("content_block_stop", index=block.index)]

    def _end(self, event: End) -> list[Act]:
        usage = fields.delta_usage_object(event.usage)
        return [
            _event("message_delta", delta=self._stop, usage=usage),
            _event("message_stop"),
            Finish(),
        ]

    def _failed(self, event: Failed) -> Iterable[Act]:
        if not self._sent_head:
            return failure_acts(event.failure, self._stamp)
        body = error_json(event.failure, self._stamp)
        return [Write(sse_event(body, event=b"error")), Finish()]


def _event(kind: str, **content: Any) -> Write:
    data = _json.encode({"type": kind, **content})
    return Write(sse_event(data, event=kind.encode()))
