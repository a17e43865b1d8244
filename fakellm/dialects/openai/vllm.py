"""vLLM's endpoints that no model answers: health, version, and its tokenizer.

Source: "OpenAI-Compatible Server" (docs.vllm.ai) and its ``/tokenize`` and ``/detokenize``. The
tokens are `fakellm.dialects.openai.token_ids`, which are not what usage counts.
"""

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from fakellm.dialects.openai.bodies import decode_body
from fakellm.dialects.openai.chat_messages import decode_messages
from fakellm.dialects.openai.chat_request import ChatMessage
from fakellm.dialects.openai.errors import document_acts, refuse
from fakellm.dialects.openai.flavour import VLLM
from fakellm.dialects.openai.inputs import TokenId
from fakellm.dialects.openai.token_ids import ids_of, pieces_of, text_of_ids
from fakellm.model.asked import Asked
from fakellm.model.timeline import Act, Finish, Head

VERSION = "0.11.0"
"""The version whose ways these are."""

_json = msgspec.json.Encoder()


class TokenizeRequest(Struct, frozen=True, kw_only=True):
    """Either a ``prompt`` or ``messages``; what else vLLM takes makes no difference here."""

    model: str | None = None
    prompt: str | None = None
    messages: Annotated[list[ChatMessage], Meta(min_length=1)] | None = None
    return_token_strs: bool | None = None


class DetokenizeRequest(Struct, frozen=True, kw_only=True):
    """The whole body."""

    model: str | None = None
    tokens: list[TokenId]


def health(asked: Asked) -> Iterable[Act]:  # noqa: ARG001
    """``GET /health`` and ``/ping``: an empty answer."""
    return (Head(200, (("Content-Length", "0"),)), Finish())


def version(asked: Asked) -> Iterable[Act]:
    """``GET /version``."""
    return document_acts(_json.encode({"version": VERSION}), asked.stamp)


def tokenize(asked: Asked) -> Iterable[Act]:
    """``POST /tokenize``."""
    request, _ = decode_body(asked.received.body, TokenizeRequest, strict=False)
    if (request.prompt is None) == (request.messages is None):
        raise refuse("Exactly one of 'prompt' and 'messages' has to be given.", param="prompt")
    text = request.prompt
    if text is None:
        turns = decode_messages(request.messages)
        text = "\n".join([f"{turn.role}: {turn.sole_text or turn.text}" for turn in turns])
    ids = ids_of(text)
    told = {
        "count": len(ids),
        "max_model_len": VLLM.max_model_len,
        "tokens": ids,
        "token_strs": pieces_of(ids) if request.return_token_strs else None,
    }
    return document_acts(_json.encode(told), asked.stamp)


def detokenize(asked: Asked) -> Iterable[Act]:
    """``POST /detokenize``."""
    request, _ = decode_body(asked.received.body, DetokenizeRequest, strict=False)
    return document_acts(_json.encode({"prompt": text_of_ids(request.tokens)}), asked.stamp)
