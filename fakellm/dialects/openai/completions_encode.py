"""Text completions, whole and as server-sent events.

Source: ``CreateCompletionResponse`` of OpenAI's published schema; the order of fields is the API's
own. What a completion cannot say, as tool calls and hidden thinking, is left out.
"""

import re
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from zope.interface import implementer

from fakellm.dialects.framing import sse_event
from fakellm.dialects.openai.chat_fields import usage_object
from fakellm.dialects.openai.completions_request import Asked
from fakellm.dialects.openai.errors import (
    answer_headers,
    document_acts,
    error_json,
    failure_acts,
    headed,
)
from fakellm.dialects.openai.flavour import PLAIN, Flavour
from fakellm.dialects.openai.streams import DONE, STREAM_HEADERS
from fakellm.interfaces import IEncoder
from fakellm.model.content import Refusal, Speech, Text
from fakellm.model.events import (
    Begin,
    ChoiceBegin,
    ChoiceEnd,
    End,
    Event,
    Failed,
    Logprob,
    PartBegin,
    Token,
)
from fakellm.model.framing import DEFAULT_FRAMING, Framing
from fakellm.model.prompt import Prompt
from fakellm.model.reply import FinishReason, Usage
from fakellm.model.stamp import Stamp
from fakellm.model.timeline import Act, Finish, Head, Write

_json = msgspec.json.Encoder()
_WORD = re.compile(r"\s*\S+|\s+")
_SAID = (Text, Refusal, Speech)
_Scored = tuple[str, Logprob | None]


class _Choice:
    """A choice so far: which of its parts are said, and at what offset it is."""

    __slots__ = ("echo", "offset", "said")

    def __init__(self, asked: Asked, index: int, flavour: Flavour) -> None:
        place = index // asked.n
        texts, pieces = asked.input.texts, asked.input.pieces
        # a reply may have more choices than were asked for
        prompt = texts[min(place, len(texts) - 1)]
        self.said: set[int] = set()
        self.echo: Sequence[str] = ()
        self.offset = 0
        if asked.request.echo:
            self.echo = pieces[min(place, len(texts) - 1)] if pieces else _WORD.findall(prompt)
        elif not flavour.offsets_of_answer:
            self.offset = len(prompt)

    def echoed(self) -> list[_Scored]:
        """The prompt in tokens, as likely as such tokens are; the first follows on nothing."""
        return [
            (text, _likelihood(text, place) if place else None)
            for place, text in enumerate(self.echo)
        ]

    def scores(self, tokens: Iterable[_Scored]) -> dict[str, list[Any]]:
        """The ``logprobs`` of tokens that come next."""
        lists: dict[str, list[Any]] = {
            "tokens": [],
            "token_logprobs": [],
            "top_logprobs": [],
            "text_offset": [],
        }
        for text, logprob in tokens:
            lists["tokens"].append(text)
            lists["token_logprobs"].append(None if logprob is None else logprob.value)
            lists["top_logprobs"].append(
                None if logprob is None else {text: logprob.value, **dict(logprob.top)}
            )
            lists["text_offset"].append(self.offset)
            self.offset += len(text)
        return lists


def _likelihood(text: str, place: int) -> Logprob:
    draw = zlib.crc32(text.encode("utf-8", "surrogatepass"), place) / 2**32
    return Logprob(value=-round(0.01 + 4 * draw, 6))


def _reason(reason: FinishReason) -> str:
    """There are no tools here, so nothing ends for the sake of one."""
    return "stop" if reason == "tool_calls" else reason


class _Encoder:
    """What both have in common."""

    def __init__(self, prompt: Prompt, stamp: Stamp, flavour: Flavour) -> None:
        self._asked: Asked = prompt.wire
        self._scored = prompt.logprobs is not None
        self._stamp = stamp
        self._flavour = flavour
        self._choices: dict[int, _Choice] = {}

    def _common(self, event: Begin) -> dict[str, Any]:
        return {
            "id": event.id or self._stamp.unique("cmpl-", 29),
            "object": "text_completion",
            "created": self._stamp.created,
            "model": event.model,
            "system_fingerprint": event.system_fingerprint or self._stamp.fingerprint,
        }

    def _is_said(self, token: Token) -> bool:
        return token.part in self._choices[token.choice].said

    def _begin_part(self, event: PartBegin) -> None:
        if isinstance(event.content, _SAID):
            self._choices[event.choice].said.add(event.part)

    def _begin_choice(self, event: ChoiceBegin) -> _Choice:
        choice = _Choice(self._asked, event.choice, self._flavour)
        self._choices[event.choice] = choice
        return choice


@implementer(IEncoder)
class CompletionWholeEncoder(_Encoder):
    """Events in, one ``text_completion`` out."""

    def __init__(self, prompt: Prompt, stamp: Stamp, flavour: Flavour = PLAIN) -> None:
        super().__init__(prompt, stamp, flavour)
        self._begun = Begin(model="", prompt_tokens=0)
        self._tokens: dict[int, list[_Scored]] = {}
        self._reasons: dict[int, str] = {}

    def encode(self, event: Event) -> Iterable[Act]:
        """See `IEncoder`."""
        match event:
            case Token():
                if self._is_said(event):
                    self._tokens[event.choice].append((event.text, event.logprob))
            case PartBegin():
                self._begin_part(event)
            case ChoiceBegin():
                self._tokens[event.choice] = self._begin_choice(event).echoed()
            case ChoiceEnd():
                self._reasons[event.choice] = _reason(event.finish_reason)
            case Begin():
                self._begun = event
            case End():
                return self._end(event.usage)
            case Failed():
                return failure_acts(event.failure, self._stamp)
        return ()

    def _end(self, usage: Usage) -> Iterable[Act]:
        answer = self._common(self._begun)
        answer["choices"] = [
            {
                "text": "".join([text for text, _ in tokens]),
                "index": index,
                "logprobs": self._choices[index].scores(tokens) if self._scored else None,
                "finish_reason": self._reasons.get(index),
            }
            for index, tokens in sorted(self._tokens.items())
        ]
        answer["usage"] = usage_object(usage)
        return document_acts(_json.encode(answer), self._stamp, self._begun.headers)


@implementer(IEncoder)
class CompletionStreamEncoder(_Encoder):
    """Events in, ``text_completion`` server-sent events out."""

    def __init__(
        self,
        prompt: Prompt,
        stamp: Stamp,
        flavour: Flavour = PLAIN,
        framing: Framing = DEFAULT_FRAMING,
    ) -> None:
        super().__init__(prompt, stamp, flavour)
        self._framing = framing
        self._finished: set[int] = set()
        options = self._asked.request.stream_options
        self._usage = bool(options and options.include_usage)
        self._begun = False
        self._open = b""
        self._close = b""

    def encode(self, event: Event) -> Iterable[Act]:
        """See `IEncoder`."""
        match event:
            case Token():
                return self._token(event)
            case PartBegin():
                self._begin_part(event)
            case ChoiceBegin():
                return self._echo(event)
            case ChoiceEnd():
                if event.choice in self._finished:
                    return ()
                return (self._chunk(event.choice, "", (), _reason(event.finish_reason)),)
            case Begin():
                return self._begin(event)
            case End():
                return self._end(event.usage)
            case Failed():
                return self._failed(event)
        return ()

    def _begin(self, event: Begin) -> Iterable[Act]:
        self._open = b"data: " + _json.encode(self._common(event))[:-1] + b',"choices":['
        self._close = b'],"usage":null}\n\n' if self._usage else b"]}\n\n"
        self._begun = True
        return (Head(200, headed((*STREAM_HEADERS, *answer_headers(self._stamp)), event.headers)),)

    def _echo(self, event: ChoiceBegin) -> Iterable[Act]:
        prompt = self._begin_choice(event).echoed()
        if not prompt:
            return ()
        return (self._chunk(event.choice, "".join([text for text, _ in prompt]), prompt),)

    def _token(self, token: Token) -> Iterable[Act]:
        if not self._is_said(token):
            return ()
        if token.last is not None and not self._framing.finish_alone:
            self._finished.add(token.choice)
            scored = [(token.text, token.logprob)]
            return (self._chunk(token.choice, token.text, scored, _reason(token.last)),)
        if self._scored:
            return (self._chunk(token.choice, token.text, [(token.text, token.logprob)]),)
        data = b'%b{"text":%b,"index":%d,"logprobs":null,"finish_reason":null}%b' % (
            self._open,
            _json.encode(token.text),
            token.choice,
            self._close,
        )
        return (Write(data, token=True),)

    def _chunk(
        self, choice: int, text: str, tokens: Sequence[_Scored], reason: str | None = None
    ) -> Write:
        scores = self._choices[choice].scores(tokens) if self._scored and tokens else None
        body = {"text": text, "index": choice, "logprobs": scores, "finish_reason": reason}
        return Write(b"%b%b%b" % (self._open, _json.encode(body), self._close))

    def _end(self, usage: Usage) -> Iterable[Act]:
        acts: list[Act] = [Write(DONE), Finish()]
        if self._usage:
            told = _json.encode(usage_object(usage))
            acts.insert(0, Write(b'%b],"usage":%b}\n\n' % (self._open, told)))
        return acts

    def _failed(self, event: Failed) -> Iterable[Act]:
        if not self._begun:
            return failure_acts(event.failure, self._stamp)
        return (Write(sse_event(error_json(event.failure))), Finish())
