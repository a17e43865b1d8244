"""Which codec answers at which path; a new dialect is one more line."""

from msgspec import Struct

from fakellm.dialects.anthropic.operations import DIALECT, MODEL_OPERATIONS, OPERATIONS
from fakellm.dialects.openai.chat import OpenAIChat
from fakellm.interfaces import IDialect


class Endpoint(Struct, frozen=True, kw_only=True):
    """A path at which a dialect takes prompts by POST."""

    path: str
    dialect: IDialect


_openai = OpenAIChat()

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(path="/v1/chat/completions", dialect=_openai),
    Endpoint(path="/v1/messages", dialect=DIALECT),
)

DEFAULT = _openai
"""Words errors at paths that are nobody's, and lists the models."""

__all__ = ["DEFAULT", "ENDPOINTS", "MODEL_OPERATIONS", "OPERATIONS", "Endpoint"]
