"""Which codec answers at which path; a new dialect is one more line.

In paths ``<name>`` is a segment that may be anything, and ``<path:name>`` any number of them.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

from fakellm.dialects.anthropic.operations import DIALECT as ANTHROPIC
from fakellm.dialects.anthropic.operations import MODEL_OPERATIONS as ANTHROPIC_MODELS
from fakellm.dialects.anthropic.operations import OPERATIONS as ANTHROPIC_OPERATIONS
from fakellm.dialects.openai import operations as openai
from fakellm.dialects.openai.azure import Azure
from fakellm.dialects.openai.chat import OpenAIChat
from fakellm.dialects.openai.completions import OpenAICompletions
from fakellm.dialects.openai.embeddings import OpenAIEmbeddings
from fakellm.dialects.openai.flavour import VLLM
from fakellm.dialects.openai.moderations import OpenAIModerations
from fakellm.dialects.openai.responses.dialect import OpenAIResponses
from fakellm.dialects.openai.responses.operations import OPERATIONS as RESPONSES_OPERATIONS
from fakellm.dialects.operations import Operation
from fakellm.interfaces import IDialect
from fakellm.model.prompt import Received


class Endpoint(Struct, frozen=True, kw_only=True):
    """A path at which a dialect takes prompts by POST."""

    path: str
    dialect: IDialect


_openai = OpenAIChat()
_completions = OpenAICompletions()
_embeddings = OpenAIEmbeddings()
_responses = OpenAIResponses()

_OF_AZURE = {
    "chat/completions": _openai,
    "completions": _completions,
    "embeddings": _embeddings,
    "responses": _responses,
}

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(path="/v1/chat/completions", dialect=_openai),
    Endpoint(path="/v1/responses", dialect=_responses),
    Endpoint(path="/v1/completions", dialect=_completions),
    Endpoint(path="/v1/embeddings", dialect=_embeddings),
    Endpoint(path="/v1/moderations", dialect=OpenAIModerations()),
    Endpoint(path="/v1/messages", dialect=ANTHROPIC),
    *(
        Endpoint(path=f"{base}/{name}", dialect=Azure(dialect))
        for base in ("/openai/deployments/<deployment>", "/openai/v1")
        for name, dialect in _OF_AZURE.items()
    ),
    Endpoint(path="/vllm/v1/chat/completions", dialect=OpenAIChat(VLLM)),
    Endpoint(path="/vllm/v1/completions", dialect=OpenAICompletions(VLLM)),
    Endpoint(path="/vllm/v1/embeddings", dialect=OpenAIEmbeddings(VLLM)),
)

OPERATIONS: tuple[Operation, ...] = (
    *ANTHROPIC_MODELS,
    *openai.OPENAI,
    *openai.AZURE,
    *openai.vllm_operations("/vllm"),
    *RESPONSES_OPERATIONS,
    *ANTHROPIC_OPERATIONS,
)
"""What can be asked that no model answers. Of two for one method and path, the first whose header
the request has."""

DEFAULT = _openai
"""Words errors at paths that are nobody's."""


def _pattern(path: str) -> re.Pattern[str]:
    """What matches a path, with or without a prefix before it."""
    pieces = re.split(r"<(?:path:)?\w+>", path)
    return re.compile("(?:/.*)?" + "[^/]+".join(map(re.escape, pieces)))


_PATTERNS = tuple((_pattern(endpoint.path), endpoint.dialect) for endpoint in ENDPOINTS)
_PATHS = (*(each.path for each in ENDPOINTS), *(each.path for each in OPERATIONS))
_ROOTS = frozenset(path.split("/")[1] for path in _PATHS)


def endpoint_at(path: str) -> IDialect | None:
    """The dialect that takes prompts at a path, if one does; a prefix before it does not count."""
    return next((dialect for pattern, dialect in _PATTERNS if pattern.fullmatch(path)), None)


def dialect_at(received: Received) -> IDialect:
    """The dialect that a request is in: by its path, else by what its headers tell."""
    return endpoint_at(received.path) or spoken_by(received)


def spoken_by(received: Received) -> IDialect:
    """The dialect that a client speaks, wherever it asks."""
    return ANTHROPIC if ANTHROPIC_HEADER in received.headers else DEFAULT


def roots() -> Iterator[str]:
    """The first segments of all paths."""
    yield from sorted(_ROOTS)


ANTHROPIC_HEADER = "anthropic-version"
