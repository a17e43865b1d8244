"""OpenAI's moderations: the codec.

A reply that is a JSON object with ``flagged`` says which categories are flagged, for all inputs
(``{"flagged": ["violence"]}``) or input by input (``{"flagged": [["violence"], []]}``). After any
other reply a small list of words decides. Source: ``CreateModerationRequest`` and
``CreateModerationResponse`` of OpenAI's published schema.
"""

import zlib
from collections.abc import Collection, Iterable, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from zope.interface import implementer

from fakellm.dialects.openai.base import OpenAIBase
from fakellm.dialects.openai.bodies import decode_body
from fakellm.dialects.openai.errors import document_acts, failure_acts, shown
from fakellm.dialects.openai.inputs import TEXTS_AT_MOST, invalid_input
from fakellm.dialects.openai.moderation import CATEGORIES
from fakellm.dialects.openai.moderation_words import flagged_by_words
from fakellm.interfaces import IDialect, IEncoder
from fakellm.model.asked import Kept
from fakellm.model.content import Image, Part, Text
from fakellm.model.events import Begin, ChoiceBegin, End, Event, Failed
from fakellm.model.framing import DEFAULT_FRAMING, Framing
from fakellm.model.prompt import Message, Prompt, Received
from fakellm.model.reply import Failure
from fakellm.model.stamp import Stamp
from fakellm.model.timeline import Act

_DEFAULT = "omni-moderation-latest"
_MODELS = {
    "omni-moderation-latest": "omni-moderation-2024-09-26",
    "text-moderation-latest": "text-moderation-007",
    "text-moderation-stable": "text-moderation-007",
}
"""What answers call the models that are names for others."""

_SEEN_IN_IMAGES = frozenset(
    name for name in CATEGORIES if name.startswith(("self-harm", "violence")) or name == "sexual"
)
"""Source: ``category_applied_input_types`` of the schema."""

_json = msgspec.json.Encoder()


class _TextPart(Struct, frozen=True, kw_only=True, tag_field="type", tag="text"):
    text: str


class _ImageUrl(Struct, frozen=True, kw_only=True):
    url: str


class _ImagePart(Struct, frozen=True, kw_only=True, tag_field="type", tag="image_url"):
    image_url: _ImageUrl


class ModerationRequest(Struct, frozen=True, kw_only=True):
    """The whole body; parts together are one input."""

    input: str | Annotated[list[str | _TextPart | _ImagePart], Meta(max_length=TEXTS_AT_MOST)]
    model: Annotated[str, Meta(min_length=1)] | None = None


@implementer(IDialect)
class OpenAIModerations(OpenAIBase):
    """``POST /v1/moderations``."""

    def decode(self, received: Received, *, strict: bool, kept: Kept) -> Prompt:  # noqa: ARG002
        """See `IDialect`. Of a reply, no token is wanted: it takes the time of its first."""
        request, unknown = decode_body(
            received.body, ModerationRequest, strict=strict, flavour=self.flavour
        )
        inputs = _inputs(request.input)
        return Prompt(
            dialect=self.name,
            endpoint="moderations",
            model=request.model or _DEFAULT,
            messages=tuple(Message(role="user", parts=parts) for parts in inputs),
            max_tokens=0,
            plain=True,
            unknown=unknown,
            api_key=self.api_key(received),
            received=received,
            wire=inputs,
        )

    def encoder(
        self,
        prompt: Prompt,
        stamp: Stamp,
        framing: Framing = DEFAULT_FRAMING,  # noqa: ARG002 -- there is no stream
    ) -> IEncoder:
        """See `IDialect`."""
        return ModerationEncoder(prompt, stamp)


_Inputs = tuple[tuple[Part, ...], ...]


def _inputs(given: str | list[Any]) -> _Inputs:
    if isinstance(given, str):
        return ((Text(text=given),),)
    texts = [each for each in given if isinstance(each, str)]
    if not given or len(texts) not in (0, len(given)):
        raise invalid_input("input")
    if texts:
        return tuple((Text(text=text),) for text in texts)
    parts = (
        Text(text=part.text) if isinstance(part, _TextPart) else Image(url=part.image_url.url)
        for part in given
    )
    return (tuple(parts),)


@implementer(IEncoder)
class ModerationEncoder:
    """Events in, one verdict on all inputs out."""

    def __init__(self, prompt: Prompt, stamp: Stamp) -> None:
        self._inputs: _Inputs = prompt.wire
        self._model = _MODELS.get(prompt.model, prompt.model)
        self._stamp = stamp
        self._begun = Begin(model="", prompt_tokens=0)
        self._reply = ""

    def encode(self, event: Event) -> Iterable[Act]:
        """See `IEncoder`."""
        match event:
            case Begin():
                self._begun = event
            case ChoiceBegin(choice=0, parts=parts):
                self._reply = "".join([part.text for part in parts if isinstance(part, Text)])
            case End():
                return self._end()
            case Failed():
                return failure_acts(event.failure, self._stamp)
        return ()

    def _end(self) -> Iterable[Act]:
        flagged = self._flagged()
        strange = {name for names in flagged for name in names}.difference(CATEGORIES)
        if strange:
            message = (
                f"The reply flags '{shown(min(strange))}', which is no category of moderation: "
                f"{', '.join(CATEGORIES)}."
            )
            return failure_acts(Failure(status=500, message=message), self._stamp)
        body = {
            "id": self._begun.id or self._stamp.unique("modr-", 29),
            "model": self._model,
            "results": list(map(_result, self._inputs, flagged)),
        }
        return document_acts(_json.encode(body), self._stamp, self._begun.headers)

    def _flagged(self) -> Sequence[Collection[str]]:
        """The categories flagged of each input."""
        told = _told(self._reply)
        if told is None:
            return [flagged_by_words(_words(parts)) for parts in self._inputs]
        if isinstance(told, _ByInput):
            given = [frozenset(names) for names in told.flagged]
            return [*given, *[frozenset[str]()] * len(self._inputs)][: len(self._inputs)]
        return [frozenset(told.flagged)] * len(self._inputs)


class _ForAll(Struct, frozen=True, kw_only=True):
    flagged: list[str]


class _ByInput(Struct, frozen=True, kw_only=True):
    flagged: Annotated[list[list[str]], Meta(min_length=1)]


def _told(reply: str) -> _ForAll | _ByInput | None:
    data = reply.encode("utf-8", "surrogatepass")
    record: type[_ForAll | _ByInput]
    for record in (_ForAll, _ByInput):
        try:
            return msgspec.json.decode(data, type=record)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
    return None


def _words(parts: Iterable[Part]) -> str:
    return "\n".join([part.text for part in parts if isinstance(part, Text)])


def _result(parts: Sequence[Part], flagged: Collection[str]) -> dict[str, Any]:
    kinds = [
        kind
        for kind, of in (("text", Text), ("image", Image))
        if any(isinstance(part, of) for part in parts)
    ]
    text = _words(parts)
    return {
        "flagged": bool(flagged),
        "categories": {name: name in flagged for name in CATEGORIES},
        "category_scores": {
            name: _score(name, text, flagged=name in flagged) for name in CATEGORIES
        },
        "category_applied_input_types": {
            name: [kind for kind in kinds if kind == "text" or name in _SEEN_IN_IMAGES]
            for name in CATEGORIES
        },
    }


def _score(category: str, text: str, *, flagged: bool) -> float:
    draw = zlib.crc32(f"{category}\0{text}".encode("utf-8", "surrogatepass")) / 2**32
    return round(0.8 + 0.199 * draw if flagged else 1e-6 + 0.01 * draw**4, 9)
