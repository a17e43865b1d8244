"""OpenAI responses: the codec."""

from collections.abc import Sequence

from msgspec import structs
from zope.interface import implementer

from fakellm.dialects.openai.chat import OpenAIChat
from fakellm.dialects.openai.errors import OpenAIErrors
from fakellm.dialects.openai.responses.decode import Asking, decode_responses
from fakellm.dialects.openai.responses.stream import BackgroundEncoder, ResponseStreamEncoder
from fakellm.dialects.openai.responses.whole import ResponseWholeEncoder
from fakellm.interfaces import IDialect, IEncoder, IErrorWords
from fakellm.model.asked import Kept
from fakellm.model.framing import DEFAULT_FRAMING, Framing
from fakellm.model.prompt import Prompt, Received
from fakellm.model.reply import Failure
from fakellm.model.stamp import Stamp
from fakellm.model.standing import Standing
from fakellm.model.timeline import Act


@implementer(IErrorWords)
class ResponsesErrors(OpenAIErrors):
    """OpenAI's words, where those of this endpoint are others than those of chat completions."""

    def bad_schema(self, tool: str | None, reason: str) -> Failure:
        """Source: the API's answers to schemas it does not take."""
        failure = super().bad_schema(tool, reason)
        if tool is not None:
            return failure
        return structs.replace(failure, param="text.format.schema", code="invalid_json_schema")

    def too_long(self, window: int, prompt: int, bound: int) -> Failure:
        """Source: the API's answer to input that does not fit, which tells no numbers."""
        message = (
            "Your input exceeds the context window of this model. Please adjust your input and "
            "try again."
        )
        failure = super().too_long(window, prompt, bound)
        return structs.replace(failure, message=message, param="input")


@implementer(IDialect)
class OpenAIResponses:
    """``POST /v1/responses``."""

    name = "openai"
    errors: IErrorWords = ResponsesErrors()

    def __init__(self) -> None:
        self._shared = OpenAIChat()

    def api_key(self, received: Received) -> str | None:
        """The bearer token."""
        return self._shared.api_key(received)

    def decode(self, received: Received, *, strict: bool, kept: Kept) -> Prompt:
        """See `IDialect`."""
        key = self.api_key(received)
        return decode_responses(received, dialect=self.name, strict=strict, kept=kept, api_key=key)

    def encoder(self, prompt: Prompt, stamp: Stamp, framing: Framing = DEFAULT_FRAMING) -> IEncoder:
        """See `IDialect`."""
        if prompt.stream:
            return ResponseStreamEncoder(prompt, stamp, framing)
        asking: Asking = prompt.wire
        if asking.request.background:
            return BackgroundEncoder(prompt, stamp)
        return ResponseWholeEncoder(prompt, stamp)

    def limit_headers(
        self, standings: Sequence[Standing], stamp: Stamp
    ) -> tuple[tuple[str, str], ...]:
        """See `IDialect`."""
        return self._shared.limit_headers(standings, stamp)

    def failure(self, failure: Failure, stamp: Stamp) -> tuple[Act, ...]:
        """See `IDialect`."""
        return self._shared.failure(failure, stamp)

    def document(self, body: bytes, stamp: Stamp) -> tuple[Act, ...]:
        """See `IDialect`."""
        return self._shared.document(body, stamp)
