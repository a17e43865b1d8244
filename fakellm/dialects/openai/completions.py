"""OpenAI's legacy text completions: the codec."""

from zope.interface import implementer

from fakellm.dialects.openai.base import OpenAIBase
from fakellm.dialects.openai.completions_encode import (
    CompletionStreamEncoder,
    CompletionWholeEncoder,
)
from fakellm.dialects.openai.completions_request import Asked, decode_completion
from fakellm.dialects.openai.running_usage import with_running_usage
from fakellm.interfaces import IDialect, IEncoder
from fakellm.model.asked import Kept
from fakellm.model.framing import DEFAULT_FRAMING, Framing
from fakellm.model.prompt import Prompt, Received
from fakellm.model.stamp import Stamp


@implementer(IDialect)
class OpenAICompletions(OpenAIBase):
    """``POST /v1/completions``."""

    def decode(self, received: Received, *, strict: bool, kept: Kept) -> Prompt:  # noqa: ARG002
        """See `IDialect`."""
        return decode_completion(
            received,
            dialect=self.name,
            strict=strict,
            api_key=self.api_key(received),
            flavour=self.flavour,
        )

    def encoder(
        self,
        prompt: Prompt,
        stamp: Stamp,
        framing: Framing = DEFAULT_FRAMING,
    ) -> IEncoder:
        """See `IDialect`."""
        if not prompt.stream:
            return CompletionWholeEncoder(prompt, stamp, self.flavour)
        asked: Asked = prompt.wire
        encoder = CompletionStreamEncoder(prompt, stamp, self.flavour, framing)
        return with_running_usage(encoder, asked.request.stream_options)
