"""Which codec answers at which path; a new dialect is one more line."""

from msgspec import Struct

from fakellm.dialects.openai.azure import Azure
from fakellm.dialects.openai.chat import OpenAIChat
from fakellm.dialects.openai.completions import OpenAICompletions
from fakellm.dialects.openai.embeddings import OpenAIEmbeddings
from fakellm.dialects.openai.flavour import VLLM
from fakellm.dialects.openai.moderations import OpenAIModerations
from fakellm.interfaces import IDialect


class Endpoint(Struct, frozen=True, kw_only=True):
    """A path at which a dialect takes prompts by POST."""

    path: str
    dialect: IDialect


_openai = OpenAIChat()

_completions = OpenAICompletions()
_embeddings = OpenAIEmbeddings()


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(path="/v1/chat/completions", dialect=_openai),
    Endpoint(path="/v1/completions", dialect=_completions),
    Endpoint(path="/v1/embeddings", dialect=_embeddings),
    Endpoint(path="/v1/moderations", dialect=OpenAIModerations()),
    *(
        Endpoint(path=f"{base}/{name}", dialect=Azure(dialect))
        for base in ("/openai/deployments/<deployment>", "/openai/v1")
        for name, dialect in (
            ("chat/completions", _openai),
            ("completions", _completions),
            ("embeddings", _embeddings),
        )
    ),
    Endpoint(path="/vllm/v1/chat/completions", dialect=OpenAIChat(VLLM)),
    Endpoint(path="/vllm/v1/completions", dialect=OpenAICompletions(VLLM)),
    Endpoint(path="/vllm/v1/embeddings", dialect=OpenAIEmbeddings(VLLM)),
)

DEFAULT = _openai
"""Words errors at paths that are nobody's, and lists the models."""
