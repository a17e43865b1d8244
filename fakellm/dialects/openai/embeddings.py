"""OpenAI's embeddings: the codec. What a reply says is not looked at, only that it is none or late.

Source: ``CreateEmbeddingRequest`` and ``CreateEmbeddingResponse`` of OpenAI's published schema.
"""

import base64
from array import array
from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct
from zope.interface import implementer

from fakellm.dialects.openai.base import OpenAIBase
from fakellm.dialects.openai.bodies import decode_body
from fakellm.dialects.openai.errors import document_acts, failure_acts, refuse
from fakellm.dialects.openai.inputs import Input, Texts, decode_texts, invalid_input
from fakellm.dialects.openai.vectors import embedding
from fakellm.interfaces import IDialect, IEncoder
from fakellm.model.asked import Kept
from fakellm.model.events import Begin, End, Event, Failed
from fakellm.model.framing import DEFAULT_FRAMING, Framing
from fakellm.model.prompt import Prompt, Received
from fakellm.model.stamp import Stamp
from fakellm.model.timeline import Act

_SIZES = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}
_SIZE = 1536
_SIZE_AT_MOST = 3072
_NUMBERS_AT_MOST = 2**22
"""The fake's own bound on the numbers of an answer: 2048 texts at 2048 dimensions."""

_json = msgspec.json.Encoder()


class EmbeddingRequest(Struct, frozen=True, kw_only=True):
    """The whole body."""

    model: Annotated[str, Meta(min_length=1)]
    input: Texts
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1, le=_SIZE_AT_MOST)] | None = None
    user: str | None = None


class _Asked(Struct, frozen=True, kw_only=True):
    """What the encoder knows of a request."""

    input: Input
    size: int
    base64: bool


@implementer(IDialect)
class OpenAIEmbeddings(OpenAIBase):
    """``POST /v1/embeddings``."""

    def decode(self, received: Received, *, strict: bool, kept: Kept) -> Prompt:  # noqa: ARG002
        """See `IDialect`. Of a reply, no token is wanted: it takes the time of its first."""
        request, unknown = decode_body(
            received.body, EmbeddingRequest, strict=strict, flavour=self.flavour
        )
        given = decode_texts(request.input, "input")
        if "" in given.texts:
            raise invalid_input("input")
        size = _size(request)
        if size * len(given.texts) > _NUMBERS_AT_MOST:
            raise refuse(
                f"{len(given.texts)} embeddings of {size} dimensions are more than one answer has "
                f"room for: {_NUMBERS_AT_MOST} numbers.",
                param="input",
            )
        return Prompt(
            dialect=self.name,
            endpoint="embeddings",
            model=request.model,
            messages=given.messages,
            max_tokens=0,
            plain=True,
            given_tokens=given.tokens,
            unknown=unknown,
            api_key=self.api_key(received),
            received=received,
            wire=_Asked(input=given, size=size, base64=request.encoding_format == "base64"),
        )

    def encoder(
        self,
        prompt: Prompt,
        stamp: Stamp,
        framing: Framing = DEFAULT_FRAMING,  # noqa: ARG002 -- there is no stream
    ) -> IEncoder:
        """See `IDialect`."""
        return EmbeddingEncoder(prompt, stamp)


def _size(request: EmbeddingRequest) -> int:
    own = _SIZES.get(request.model, _SIZE)
    if request.dimensions is None:
        return own
    if request.model == "text-embedding-ada-002":
        raise refuse("This model does not support specifying dimensions.")
    if request.model in _SIZES and request.dimensions > own:
        raise refuse(
            f"Invalid value for 'dimensions' = {request.dimensions}. Must be less than or equal "
            f"to {own}.",
            param="dimensions",
        )
    return request.dimensions


@implementer(IEncoder)
class EmbeddingEncoder:
    """Events in, one list of embeddings out: of the prompt, by the model that was asked for."""

    def __init__(self, prompt: Prompt, stamp: Stamp) -> None:
        self._asked: _Asked = prompt.wire
        self._model = prompt.model
        self._stamp = stamp
        self._headers: tuple[tuple[str, str], ...] = ()

    def encode(self, event: Event) -> Iterable[Act]:
        """See `IEncoder`."""
        match event:
            case Begin():
                self._headers = event.headers
            case End():
                return document_acts(self._list(event), self._stamp, self._headers)
            case Failed():
                return failure_acts(event.failure, self._stamp)
        return ()

    def _list(self, event: End) -> bytes:
        data = [
            {"object": "embedding", "index": index, "embedding": self._sent(text)}
            for index, text in enumerate(self._asked.input.texts)
        ]
        tokens = event.usage.prompt
        return _json.encode(
            {
                "object": "list",
                "data": data,
                "model": self._model,
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            }
        )

    def _sent(self, text: str) -> list[float] | str:
        vector = embedding(text, self._asked.size)
        if not self._asked.base64:
            return vector
        floats = array("f", vector)
        if _BIG_ENDIAN:
            floats.byteswap()  # pragma: no cover -- the API's numbers are little-endian
        return base64.b64encode(floats).decode()


_BIG_ENDIAN = array("H", [1]).tobytes() == b"\0\1"
