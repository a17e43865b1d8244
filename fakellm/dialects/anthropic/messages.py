"""Anthropic's Messages API: the codec."""

from collections.abc import Sequence

from zope.interface import implementer

from fakellm.dialects.anthropic.decode import decode_messages_request
from fakellm.dialects.anthropic.errors import AnthropicErrors, document_acts, failure_acts
from fakellm.dialects.anthropic.limits import limit_headers
from fakellm.dialects.anthropic.stream import MessageStreamEncoder
from fakellm.dialects.anthropic.whole import MessageWholeEncoder
from fakellm.interfaces import IDialect, IEncoder, IErrorWords
from fakellm.model.asked import Kept
from fakellm.model.framing import DEFAULT_FRAMING, Framing
from fakellm.model.prompt import Prompt, Received
from fakellm.model.reply import Failure
from fakellm.model.stamp import Stamp
from fakellm.model.standing import Standing
from fakellm.model.timeline import Act

_BEARER = "bearer "


@implementer(IDialect)
class AnthropicMessages:
    """``POST /v1/messages``."""

    name = "anthropic"
    errors: IErrorWords = AnthropicErrors()

    def api_key(self, received: Received) -> str | None:
        """The header ``x-api-key``, or else the bearer token."""
        key = received.headers.get("x-api-key", "").strip()
        header = received.headers.get("authorization", "")
        if not key and header.lower().startswith(_BEARER):
            key = header[len(_BEARER) :].strip()
        return key or None

    def decode(self, received: Received, *, strict: bool, kept: Kept) -> Prompt:  # noqa: ARG002
        """See `IDialect`."""
        key = self.api_key(received)
        return decode_messages_request(received, dialect=self.name, strict=strict, api_key=key)

    def encoder(self, prompt: Prompt, stamp: Stamp, framing: Framing = DEFAULT_FRAMING) -> IEncoder:
        """See `IDialect`."""
        if prompt.stream:
            return MessageStreamEncoder(prompt, stamp, framing)
        return MessageWholeEncoder(prompt, stamp)

    def limit_headers(
        self, standings: Sequence[Standing], stamp: Stamp
    ) -> tuple[tuple[str, str], ...]:
        """See `IDialect`."""
        return limit_headers(standings, stamp.created)

    def failure(self, failure: Failure, stamp: Stamp) -> tuple[Act, ...]:
        """See `IDialect`."""
        return failure_acts(failure, stamp)

    def document(self, body: bytes, stamp: Stamp) -> tuple[Act, ...]:
        """See `IDialect`."""
        return document_acts(body, stamp)
