"""OpenAI chat completions: the codec."""

from zope.interface import implementer

from fakellm.dialects.openai.base import OpenAIBase
from fakellm.dialects.openai.chat_decode import decode_chat
from fakellm.dialects.openai.chat_forms import ChatForms
from fakellm.dialects.openai.chat_request import ChatRequest
from fakellm.dialects.openai.chat_stream import ChatStreamEncoder
from fakellm.dialects.openai.chat_whole import ChatWholeEncoder
from fakellm.dialects.openai.flavour import PLAIN, Flavour
from fakellm.dialects.openai.running_usage import with_running_usage
from fakellm.dialects.openai.storing import stored
from fakellm.interfaces import IDialect, IEncoder
from fakellm.model.asked import Kept
from fakellm.model.framing import DEFAULT_FRAMING, Framing
from fakellm.model.prompt import Prompt, Received
from fakellm.model.stamp import Stamp


@implementer(IDialect)
class OpenAIChat(OpenAIBase):
    """``POST /v1/chat/completions``."""

    def __init__(self, flavour: Flavour = PLAIN) -> None:
        super().__init__(flavour)
        self._forms = ChatForms()

    def decode(self, received: Received, *, strict: bool, kept: Kept) -> Prompt:  # noqa: ARG002
        """See `IDialect`."""
        api_key = self.api_key(received)
        return self._forms.prompt(
            received,
            api_key,
            lambda: decode_chat(
                received, dialect=self.name, strict=strict, api_key=api_key, flavour=self.flavour
            ),
            strict=strict,
        )

    def encoder(self, prompt: Prompt, stamp: Stamp, framing: Framing = DEFAULT_FRAMING) -> IEncoder:
        """See `IDialect`."""
        request: ChatRequest = prompt.wire
        encoder: IEncoder = ChatWholeEncoder(prompt, stamp)
        if prompt.stream:
            chunks = ChatStreamEncoder(prompt, stamp, framing)
            encoder = with_running_usage(chunks, request.stream_options)
        return stored(encoder, prompt, stamp) if request.store else encoder
