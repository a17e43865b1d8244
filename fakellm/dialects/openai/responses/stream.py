"""A response as server-sent events.

What the events of the tokens of a part have in common is encoded once a part; a token costs one
JSON string and one join.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from zope.interface import implementer

from fakellm.dialects.openai.errors import (
    answer_headers,
    document_acts,
    error_body,
    failure_acts,
    headed,
)
from fakellm.dialects.openai.obfuscation import noise
from fakellm.dialects.openai.responses import fields, keeping
from fakellm.dialects.openai.responses.answer import Answer
from fakellm.dialects.openai.responses.hosted import begun_item, hosted_events
from fakellm.dialects.openai.responses.output import OutputItem, Said
from fakellm.dialects.openai.responses.stored import Live
from fakellm.interfaces import IEncoder
from fakellm.model.events import (
    Begin,
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
from fakellm.model.reply import Failure
from fakellm.model.stamp import Stamp
from fakellm.model.timeline import Act, Amend, Finish, Head, Keep, Nothing, Write

_json = msgspec.json.Encoder()
HEADERS = (
    ("Content-Type", "text/event-stream; charset=utf-8"),
    ("Cache-Control", "no-cache"),
    # nginx and its like buffer a stream unless they are told not to
    ("X-Accel-Buffering", "no"),
)
_ENDS = {"completed": "response.completed", "incomplete": "response.incomplete"}


class _Saying(msgspec.Struct, frozen=True):
    """A part whose tokens are events: the bytes around the sequence number and the text."""

    part: Said
    before: bytes
    between: bytes
    after: bytes
    scored: bytes


@implementer(IEncoder)
class ResponseStreamEncoder:
    """Events in, typed events out, with sequence numbers from 0 on."""

    def __init__(self, prompt: Prompt, stamp: Stamp, framing: Framing = DEFAULT_FRAMING) -> None:
        self._stamp = stamp
        self._answer = Answer(prompt, stamp)
        self._waiting: list[Act] | None = None if framing.head_at_once else []
        self._number = 0
        self._begun = False
        self._says: dict[int, _Saying] = {}
        self._open: OutputItem | None = None
        self.live = Live() if self._answer.asking.request.background else None
        options = self._answer.asking.request.stream_options
        obfuscated = options is not None and options.include_obfuscation
        self._noise = stamp.chance("obfuscation") if obfuscated else None

    @property
    def response(self) -> Mapping[str, Any]:
        """The response, as far as it is settled."""
        return self._answer.response

    def encode(self, event: Event) -> Iterable[Act]:
        """See `IEncoder`."""
        if self.live is not None and self.live.cancelled:
            return self._cancelled(self.live)
        self._answer.note(event)
        acts = self._encoded(event)
        if self._waiting is None:
            return acts
        return self._held_back(event, acts, self._waiting)

    def _held_back(self, event: Event, acts: Iterable[Act], waiting: list[Act]) -> Iterable[Act]:
        """Acts, once the first token comes; no earlier is the head to be sent."""
        if isinstance(event, Failed):
            self._waiting = None
            return acts
        waiting += acts
        if not isinstance(event, Token | End):
            return ()
        self._waiting = None
        return waiting

    def _encoded(self, event: Event) -> Iterable[Act]:
        match event:
            case Token():
                return self._token(event)
            case PartBegin():
                return self._part_begin(event)
            case PartEnd():
                return self._part_end(event)
            case ChoiceEnd():
                self._answer.reason = event.finish_reason
                return self._close(self._answer.last_status())
            case Begin():
                return self._begin(event)
            case End():
                return self._end(event)
            case Failed():
                return self._failed(event.failure)
        return ()

    def _begin(self, event: Begin) -> Iterator[Act]:
        self._answer.begin(event)
        self._begun = True
        if self.live is not None:
            yield keeping.begun(
                self.response, (*self._answer.asking.earlier, *self._answer.given), self.live
            )
        yield Head(200, headed((*HEADERS, *answer_headers(self._stamp)), event.headers))
        begun = msgspec.Raw(_json.encode(self.response))
        if self.live is None:
            yield self._event("response.created", {"response": begun})
        else:
            queued = {"response": {**self.response, "status": "queued"}}
            yield self._event("response.created", queued)
            yield self._event("response.queued", queued)
        yield self._event("response.in_progress", {"response": begun})

    def _part_begin(self, event: PartBegin) -> Iterator[Act]:
        before = len(self._answer.output.items)
        item, part = self._answer.output.begin(event)
        if item.index >= before:
            yield from self._close("completed")
            self._open = item
            added = begun_item(item.hosted) if item.hosted else self._without(item, part)
            yield self._event(
                "response.output_item.added", {"output_index": item.index, "item": added}
            )
        if item.hosted:
            place = {"item_id": item.id, "output_index": item.index}
            for kind, more in hosted_events(item.hosted):
                yield self._event(kind, {**place, **more})
        if part is not None:
            yield from self._said_begin(event.part, item, part)

    def _without(self, item: OutputItem, part: Said | None) -> Mapping[str, Any]:
        """An item that nothing is said of yet, not even that it has a part."""
        added = item.as_object()
        if part is not None and item.kind == "message":
            return {**added, "content": []}
        return {**added, "summary": []} if item.kind == "reasoning" else added

    def _said_begin(self, number: int, item: OutputItem, part: Said) -> Iterator[Act]:
        place: dict[str, Any] = {"item_id": item.id, "output_index": item.index}
        after = b""
        match item.kind:
            case "message":
                place["content_index"] = part.index
                yield self._event("response.content_part.added", {**place, "part": part.content()})
                kind = "response.refusal" if part.refused else "response.output_text"
                after = b"" if part.refused else b',"logprobs":[]'
            case "reasoning":
                place["summary_index"] = part.index
                yield self._event(
                    "response.reasoning_summary_part.added", {**place, "part": part.summary()}
                )
                kind = "response.reasoning_summary_text"
            case "custom_tool_call":
                kind = "response.custom_tool_call_input"
            case _:
                kind = "response.function_call_arguments"
        name = f"{kind}.delta".encode()
        self._says[number] = _Saying(
            part,
            b'event: %b\ndata: {"type":"%b","sequence_number":' % (name, name),
            b',%b,"delta":' % _json.encode(place)[1:-1],
            after,
            b',"logprobs":[',
        )

    def _token(self, token: Token) -> Iterable[Act]:
        saying = self._says.get(token.part)
        if saying is None:
            return ()
        entry = saying.part.add(token)
        number = b"%d" % self._number
        self._number += 1
        after = saying.after
        if entry is not None:
            after = b"%b%b]" % (saying.scored, _json.encode(entry))
        if self._noise is not None:
            # as the API does: short texts are padded, so that sizes tell nothing of them
            after += b',"obfuscation":"%b"' % noise(self._noise, len(token.text))
        text = _json.encode(token.text)
        frame = b"".join((saying.before, number, saying.between, text, after, b"}\n\n"))
        if self.live is not None:
            self.live.frames.append(frame)
        return (Write(frame, token=True),)

    def _part_end(self, event: PartEnd) -> Iterator[Act]:
        saying = self._says.pop(event.part, None)
        if saying is None:
            return
        part, item = saying.part, saying.part.item
        place: dict[str, Any] = {"item_id": item.id, "output_index": item.index}
        match item.kind:
            case "message":
                place["content_index"] = part.index
                if part.refused:
                    yield self._event("response.refusal.done", {**place, "refusal": part.text})
                else:
                    done = {**place, "text": part.text, "logprobs": part.scores}
                    yield self._event("response.output_text.done", done)
                yield self._event("response.content_part.done", {**place, "part": part.content()})
            case "reasoning":
                place["summary_index"] = part.index
                done = {**place, "text": part.text}
                yield self._event("response.reasoning_summary_text.done", done)
                yield self._event(
                    "response.reasoning_summary_part.done", {**place, "part": part.summary()}
                )
            case "custom_tool_call":
                done = {**place, "input": part.text}
                yield self._event("response.custom_tool_call_input.done", done)
            case _:
                name = item.call.name if item.call else ""
                done = {**place, "name": name, "arguments": part.text}
                yield self._event("response.function_call_arguments.done", done)

    def _close(self, status: str) -> Iterator[Act]:
        """End the item that is open; how, is not known before the next one begins."""
        item, self._open = self._open, None
        if item is not None:
            item.status = status
            done = {"output_index": item.index, "item": item.as_object()}
            yield self._event("response.output_item.done", done)

    def _end(self, event: End) -> Iterator[Act]:
        yield from self._close(self._answer.last_status())  # open where no choice has ended
        yield from self._answer.ended(event)
        kind = _ENDS[self.response["status"]]
        yield self._event(kind, {"response": self.response}, last=True)
        yield Finish()

    def _failed(self, failure: Failure) -> Iterable[Act]:
        if not self._begun or self._waiting is not None:
            return failure_acts(failure, self._stamp)
        return self._broken_off(failure)

    def _broken_off(self, failure: Failure) -> Iterator[Act]:
        words = error_body(failure)
        told = {"code": words.code or words.type, "message": words.message, "param": words.param}
        yield self._event("error", told)
        yield from self._answer.end(fields.failed_fields(failure, words.message))
        yield self._event("response.failed", {"response": self.response}, last=True)
        yield Finish()

    def _cancelled(self, live: Live) -> Iterable[Act]:
        """The stream of a response that was cancelled just ends, once."""
        if live.ended:
            return ()
        live.ended = True
        return (Finish(),)

    def _event(self, kind: str, told: Mapping[str, Any], *, last: bool = False) -> Write:
        data = _json.encode({"type": kind, "sequence_number": self._number, **told})
        self._number += 1
        frame = b"event: %b\ndata: %b\n\n" % (kind.encode(), data)
        if self.live is not None:
            self.live.frames.append(frame)
            self.live.ended = last
        return Write(frame)


@implementer(IEncoder)
class BackgroundEncoder:
    """Events in; out comes a response that is queued, at once, and later what is to be kept.

    Its timeline goes on after its ``Finish``: the prompt is a lasting one.
    """

    def __init__(self, prompt: Prompt, stamp: Stamp) -> None:
        self._stamp = stamp
        self._streamed = ResponseStreamEncoder(prompt, stamp)
        self._begun = False

    def encode(self, event: Event) -> Iterable[Act]:
        """See `IEncoder`."""
        acts = self._streamed.encode(event)
        if not self._begun and isinstance(event, Failed):
            return acts
        kept = [act for act in acts if isinstance(act, Keep | Amend)]
        if not isinstance(event, Begin):
            return [*kept, Nothing()]  # so that the next event is not drawn before its time
        self._begun = True
        queued = _json.encode({**self._streamed.response, "status": "queued"})
        return [*kept, *document_acts(queued, self._stamp, event.headers)]
