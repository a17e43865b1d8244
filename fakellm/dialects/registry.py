"""Which codec answers at which path; a new dialect is one more line.

In paths ``<name>`` is a segment that may be anything, and ``<path:name>`` any number of them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Literal

from msgspec import Struct

from fakellm.dialects.anthropic.operations import DIALECT as ANTHROPIC
from fakellm.dialects.anthropic.operations import MODEL_OPERATIONS as ANTHROPIC_MODELS
from fakellm.dialects.anthropic.operations import OPERATIONS as ANTHROPIC_OPERATIONS
from fakellm.dialects.openai import operations as openai
from fakellm.dialects.openai.azure import Azure
from fakellm.dialects.openai.by_model import ByModel
from fakellm.dialects.openai.chat import OpenAIChat
from fakellm.dialects.openai.completions import OpenAICompletions
from fakellm.dialects.openai.embeddings import OpenAIEmbeddings
from fakellm.dialects.openai.flavour import PLAIN, VLLM, Flavour
from fakellm.dialects.openai.moderations import OpenAIModerations
from fakellm.dialects.openai.responses.dialect import OpenAIResponses
from fakellm.dialects.openai.responses.operations import OPERATIONS as RESPONSES_OPERATIONS
from fakellm.dialects.operations import Operation
from fakellm.interfaces import IDialect
from fakellm.model.prompt import Received

FlavourName = Literal["openai", "vllm"]
"""Whose ways the endpoints of OpenAI's format have, where no path says."""

ANTHROPIC_HEADER = "anthropic-version"
_FLAVOURS: Mapping[FlavourName, Flavour] = {"openai": PLAIN, "vllm": VLLM}


class Endpoint(Struct, frozen=True, kw_only=True):
    """A path at which a dialect takes prompts by POST."""

    path: str
    dialect: IDialect


_openai = OpenAIChat()
_completions = OpenAICompletions()
_embeddings = OpenAIEmbeddings()
_responses = OpenAIResponses()

DEFAULT = _openai
"""Words errors at paths that are nobody's."""

_OF_AZURE = {
    "chat/completions": _openai,
    "completions": _completions,
    "embeddings": _embeddings,
    "responses": _responses,
}
_OF_VLLM = {
    "chat/completions": OpenAIChat(VLLM),
    "completions": OpenAICompletions(VLLM),
    "embeddings": OpenAIEmbeddings(VLLM),
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
    *(Endpoint(path=f"/vllm/v1/{name}", dialect=dialect) for name, dialect in _OF_VLLM.items()),
)

_OPERATIONS: tuple[Operation, ...] = (
    *openai.AZURE,
    *openai.vllm_operations("/vllm"),
    *RESPONSES_OPERATIONS,
    *ANTHROPIC_OPERATIONS,
)
OPERATIONS: tuple[Operation, ...] = (
    *ANTHROPIC_MODELS,
    *openai.openai_operations(),
    *_OPERATIONS,
)
"""What can be asked that no model answers. Of two for one method and path, the first whose header
the request has."""


def _exactly(path: str) -> str:
    """The pattern of a path."""
    return re.sub("<path:[a-z_]+>", ".+", re.sub("<[a-z_]+>", "[^/]+", path))


def _pattern(path: str) -> re.Pattern[str]:
    """What matches a path, with or without a prefix before it."""
    return re.compile("(?:/.*)?" + _exactly(path))


class Routing:
    """Which codec answers at which path, on one server.

    Args:
        endpoints: where dialects take prompts.
        operations: what can be asked beside.
    """

    def __init__(self, endpoints: Sequence[Endpoint], operations: Sequence[Operation]) -> None:
        self.endpoints = tuple(endpoints)
        self.operations = tuple(operations)
        # as a path may end like another one, the longest counts
        self._prompts = [
            (_pattern(each.path), each.dialect)
            for each in sorted(self.endpoints, key=lambda each: -len(each.path))
        ]
        self._others = [
            (_pattern(each.path), each.dialect, each.header)
            for each in sorted(operations, key=lambda each: -len(each.path))
        ]
        paths = [each.path for each in self.endpoints]
        paths += [each.path for each in self.operations]
        self._roots = frozenset(path.split("/")[1] for path in paths)
        self._any = re.compile("|".join(map(_exactly, paths)))

    def endpoint_at(self, path: str) -> IDialect | None:
        """The dialect that takes prompts at a path, if one does; a prefix does not count."""
        return next(
            (dialect for pattern, dialect in self._prompts if pattern.fullmatch(path)), None
        )

    def dialect_at(self, received: Received) -> IDialect:
        """The dialect that a request is in: by its path, else by what its headers tell."""
        path, headers = received.path, received.headers
        dialect = self.endpoint_at(path)
        if dialect is not None:
            return dialect
        for pattern, other, header in self._others:
            if (header is None or header in headers) and pattern.fullmatch(path):
                return other
        return spoken_by(received)

    def is_path(self, path: str) -> bool:
        """Whether something answers at a path, whatever the method; a prefix counts."""
        return self._any.fullmatch(path) is not None

    def roots(self) -> Iterator[str]:
        """The first segments of all paths."""
        yield from sorted(self._roots)


def spoken_by(received: Received) -> IDialect:
    """The dialect that a client speaks, wherever it asks."""
    return ANTHROPIC if ANTHROPIC_HEADER in received.headers else DEFAULT


@cache
def routing(flavour: FlavourName = "openai", vllm_models: tuple[str, ...] = ()) -> Routing:
    """The paths of a server.

    Args:
        flavour: whose ways the endpoints of OpenAI's format have.
        vllm_models: the models that have vLLM's ways, whatever the others have.
    """
    if flavour == "openai" and not vllm_models:
        return ROUTING
    others = dict.fromkeys(vllm_models, VLLM)
    return Routing(
        [_flavoured(each, flavour, vllm_models) for each in ENDPOINTS],
        (
            *ANTHROPIC_MODELS,
            *openai.openai_operations(_FLAVOURS[flavour], others),
            *openai.vllm_tools(),
            *_OPERATIONS,
        ),
    )


def _flavoured(endpoint: Endpoint, flavour: FlavourName, vllm_models: Sequence[str]) -> Endpoint:
    of_vllm = _OF_VLLM.get(endpoint.path.removeprefix("/v1/"))
    if of_vllm is None:
        return endpoint
    if flavour == "vllm":
        return Endpoint(path=endpoint.path, dialect=of_vllm)
    dialect = ByModel(endpoint.dialect, dict.fromkeys(vllm_models, of_vllm))
    return Endpoint(path=endpoint.path, dialect=dialect)


ROUTING = Routing(ENDPOINTS, OPERATIONS)
"""The paths of a server without further settings."""
