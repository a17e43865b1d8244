"""What Azure's content filter says of prompts and answers, added to what a codec encodes.

Source: "Content filtering" and its examples of annotations (learn.microsoft.com): four categories,
each with a severity; in a stream, of the prompt in a chunk of its own that comes first, and of the
text in the chunks that have any.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from zope.interface import implementer

from fakellm.dialects.framing import sse_event
from fakellm.dialects.openai.errors import document_acts
from fakellm.interfaces import IEncoder
from fakellm.model.events import Begin, ChoiceEnd, End, Event, Failed, Token
from fakellm.model.prompt import Prompt
from fakellm.model.stamp import Stamp
from fakellm.model.timeline import Act, Write

_CATEGORIES = ("hate", "self_harm", "sexual", "violence")
_CHOICE = b'"choices":[{'  # which no text can forge: within JSON's strings, quotes are escaped
_json = msgspec.json.Encoder()


def filter_results(*, filtered: bool = False) -> dict[str, Any]:
    """``content_filter_results``; what is ``filtered`` is so for violence."""
    results = {name: {"filtered": False, "severity": "safe"} for name in _CATEGORIES}
    if filtered:
        results["violence"] = {"filtered": True, "severity": "medium"}
    return results


def _prompt_results(prompts: int) -> list[dict[str, Any]]:
    return [
        {"prompt_index": index, "content_filter_results": filter_results()}
        for index in range(prompts)
    ]


def with_filter_results(encoder: IEncoder, prompt: Prompt, stamp: Stamp) -> IEncoder:
    """An encoder of completions, of chat or of text, that tells of the filter."""
    # a chat is one prompt, and texts are one each
    prompts = _prompt_results(len(prompt.messages) if prompt.plain else 1)
    if prompt.stream:
        return _Streamed(encoder, prompts)
    return _Whole(encoder, prompts, stamp)


@implementer(IEncoder)
class _Whole:
    def __init__(self, encoder: IEncoder, prompts: list[dict[str, Any]], stamp: Stamp) -> None:
        self._encoder = encoder
        self._prompts = prompts
        self._stamp = stamp
        self._headers: tuple[tuple[str, str], ...] = ()

    def encode(self, event: Event) -> Iterable[Act]:
        """See `IEncoder`."""
        acts = self._encoder.encode(event)
        if isinstance(event, Begin):
            self._headers = event.headers
        if not isinstance(event, End):
            return acts
        # head, body and finish, and before them what is kept
        *kept, _, body, _ = acts
        assert isinstance(body, Write)  # noqa: S101
        return [*kept, *document_acts(self._told(body.data), self._stamp, self._headers)]

    def _told(self, body: bytes) -> bytes:
        answer = msgspec.json.decode(body)
        for choice in answer["choices"]:
            filtered = choice["finish_reason"] == "content_filter"
            choice["content_filter_results"] = filter_results(filtered=filtered)
        answer["prompt_filter_results"] = self._prompts
        return _json.encode(answer)


_EMPTY = b'"choices":[{"content_filter_results":{},'
_SAFE = b'"choices":[{"content_filter_results":%b,' % _json.encode(filter_results())
_FILTERED = b'"choices":[{"content_filter_results":%b,' % _json.encode(
    filter_results(filtered=True)
)


@implementer(IEncoder)
class _Streamed:
    def __init__(self, encoder: IEncoder, prompts: list[dict[str, Any]]) -> None:
        self._encoder = encoder
        first = {"choices": [], "created": 0, "id": "", "model": "", "object": ""}
        first["prompt_filter_results"] = prompts
        self._first: Write | None = Write(sse_event(_json.encode(first)))

    def encode(self, event: Event) -> Iterable[Act]:
        """See `IEncoder`."""
        acts = self._encoder.encode(event)
        match event:
            case Failed():
                return acts
            case Token():
                return self._annotated(acts, _SAFE)
            case ChoiceEnd(finish_reason="content_filter"):
                return self._annotated(acts, _FILTERED)
        return self._annotated(acts, _EMPTY)

    def _annotated(self, acts: Iterable[Act], choice: bytes) -> Iterator[Act]:
        for act in acts:
            if not isinstance(act, Write):
                yield act
                continue
            if self._first is not None:  # with what comes first, as a head may wait for that
                yield self._first
                self._first = None
            yield Write(act.data.replace(_CHOICE, choice), apart=act.apart, token=act.token)
