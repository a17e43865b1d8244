"""Which codec answers at which path; a new dialect is one more line."""

from msgspec import Struct

from fakellm.dialects.openai.chat import OpenAIChat
from fakellm.dialects.openai.responses.dialect import OpenAIResponses
from fakellm.dialects.openai.responses.operations import OPERATIONS as RESPONSES_OPERATIONS
from fakellm.dialects.operations import Operation
from fakellm.interfaces import IDialect


class Endpoint(Struct, frozen=True, kw_only=True):
    """A path at which a dialect takes prompts by POST."""

    path: str
    dialect: IDialect


_openai = OpenAIChat()

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(path="/v1/chat/completions", dialect=_openai),
    Endpoint(path="/v1/responses", dialect=OpenAIResponses()),
)

OPERATIONS: tuple[Operation, ...] = RESPONSES_OPERATIONS
"""What can be asked that no model answers."""

DEFAULT = _openai
"""Words errors at paths that are nobody's, and lists the models."""
