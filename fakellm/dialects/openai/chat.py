"""OpenAI chat completions: the codec."""

from collections.abc import Sequence

from zope.interface import implementer

from fakellm.dialects.openai import models
from fakellm.dialects.openai.chat_decode import decode_chat
from fakellm.dialects.openai.chat_stream import ChatStreamEncoder
from fakellm.dialects.openai.chat_whole import ChatWholeEncoder
from fakellm.dialects.openai.errors import OpenAIErrors, document_acts, failure_acts
from fakellm.dialects.openai.limits import limit_headers
from fakellm.interfaces import IDialect, IEncoder, IErrorWords, IModelLister
from fakellm.model.asked import Kept
from fakellm.model.framing import DEFAULT_FRAMING, Framing
from fakellm.model.prompt import Prompt, Received
from fakellm.model.reply import Failure
from fakellm.model.stamp import Stamp
from fakellm.model.standing import Standing
from fakellm.model.timeline import Act

_BEARER = "bearer "


@implementer(IDialect, IModelLister)
class OpenAIChat:
    """``POST /v1/chat/completions`` and the models it lists."""

    name = "openai"
    errors: IErrorWords = OpenAIErrors()

    def api_key(self, received: Received) -> str | None:
        """The bearer token."""
        header = received.headers.get("authorization", "")
        if not header.lower().startswith(_BEARER):
            return None
        return header[len(_BEARER) :].strip() or None

    def decode(self, received: Received, *, strict: bool, kept: Kept) -> Prompt:  # noqa: ARG002
        """See `IDialect`."""
        key = self.api_key(received)
        return decode_chat(received, dialect=self.name, strict=strict, api_key=key)

    def encoder(self, prompt: Prompt, stamp: Stamp, framing: Framing = DEFAULT_FRAMING) -> IEncoder:
        """See `IDialect`."""
        if prompt.stream:
            return ChatStreamEncoder(prompt, stamp, framing)
        return ChatWholeEncoder(prompt, stamp)

    def limit_headers(
        self,
        standings: Sequence[Standing],
        stamp: Stamp,  # noqa: ARG002 -- durations need no clock
    ) -> tuple[tuple[str, str], ...]:
        """See `IDialect`."""
        return limit_headers(standings)

    def failure(self, failure: Failure, stamp: Stamp) -> tuple[Act, ...]:
        """See `IDialect`."""
        return failure_acts(failure, stamp)

    def document(self, body: bytes, stamp: Stamp) -> tuple[Act, ...]:
        """See `IDialect`."""
        return document_acts(body, stamp)

    def model_list(self, names: Sequence[str]) -> bytes:
        """See `IModelLister`."""
        return models.model_list(names)

    def model_card(self, name: str) -> bytes:
        """See `IModelLister`."""
        return models.model_card(name)
