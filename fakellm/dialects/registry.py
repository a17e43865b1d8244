"""Which codec answers at which path; a new dialect is one more line."""

from msgspec import Struct

from fakellm.dialects.anthropic.operations import DIALECT, MODEL_OPERATIONS, OPERATIONS
from fakellm.dialects.openai.chat import OpenAIChat
from fakellm.dialects.openai.responses.dialect import OpenAIResponses
from fakellm.interfaces import IDialect
from fakellm.model.prompt import Received


class Endpoint(Struct, frozen=True, kw_only=True):
    """A path at which a dialect takes prompts by POST."""

    path: str
    dialect: IDialect


_openai = OpenAIChat()

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(path="/v1/chat/completions", dialect=_openai),
    Endpoint(path="/v1/responses", dialect=OpenAIResponses()),
    Endpoint(path="/v1/messages", dialect=DIALECT),
)

DEFAULT = _openai
"""Words errors at paths that are nobody's, and lists the models."""

_BY_PATH = {endpoint.path: endpoint.dialect for endpoint in ENDPOINTS}


def dialect_at(received: Received) -> IDialect:
    """The dialect that a request is in, by its path."""
    return _BY_PATH.get(received.path, DEFAULT)


__all__ = ["DEFAULT", "ENDPOINTS", "MODEL_OPERATIONS", "OPERATIONS", "Endpoint", "dialect_at"]
