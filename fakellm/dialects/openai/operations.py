"""OpenAI's operations, and those of the servers that speak its formats, as lines to route."""

from collections.abc import Mapping

from fakellm.dialects.openai import model_operations, stored, vllm
from fakellm.dialects.openai.azure import Azure
from fakellm.dialects.openai.chat import OpenAIChat
from fakellm.dialects.openai.flavour import PLAIN, VLLM, Flavour
from fakellm.dialects.openai.models import NONE
from fakellm.dialects.operations import Operation
from fakellm.interfaces import IDialect

_openai = OpenAIChat()
_vllm = OpenAIChat(VLLM)

_STORED = "/v1/chat/completions"


def _models(
    base: str, dialect: IDialect, flavour: Flavour = PLAIN, others: Mapping[str, Flavour] = NONE
) -> tuple[Operation, ...]:
    listing = model_operations.listing(flavour, others)
    showing = model_operations.showing(flavour, others)
    return (
        Operation(method="GET", path=f"{base}/models", dialect=dialect, answer=listing),
        Operation(method="GET", path=f"{base}/models/<path:name>", dialect=dialect, answer=showing),
    )


def openai_operations(
    flavour: Flavour = PLAIN, others: Mapping[str, Flavour] = NONE
) -> tuple[Operation, ...]:
    """OpenAI's, as servers of a flavour have them, and ``others`` for models by their names."""
    return (
        *_models("/v1", _openai, flavour, others),
        Operation(
            method="DELETE",
            path="/v1/models/<path:name>",
            dialect=_openai,
            answer=model_operations.delete_model,
        ),
        Operation(method="GET", path=_STORED, dialect=_openai, answer=stored.list_completions),
        Operation(
            method="GET", path=f"{_STORED}/<id>", dialect=_openai, answer=stored.get_completion
        ),
        Operation(
            method="POST", path=f"{_STORED}/<id>", dialect=_openai, answer=stored.update_completion
        ),
        Operation(
            method="DELETE",
            path=f"{_STORED}/<id>",
            dialect=_openai,
            answer=stored.delete_completion,
        ),
        Operation(
            method="GET",
            path=f"{_STORED}/<id>/messages",
            dialect=_openai,
            answer=stored.list_messages,
        ),
    )


AZURE: tuple[Operation, ...] = _models("/openai/v1", Azure(_openai))


def vllm_operations(prefix: str) -> tuple[Operation, ...]:
    """vLLM's, below a prefix such as ``/vllm``."""
    return (
        *_models(f"{prefix}/v1", _vllm, VLLM),
        Operation(method="GET", path=f"{prefix}/health", dialect=_vllm, answer=vllm.health),
        *vllm_tools(prefix),
    )


def vllm_tools(prefix: str = "") -> tuple[Operation, ...]:
    """What vLLM has and OpenAI has not; at the root, ``/health`` is the server's own."""
    return (
        Operation(method="GET", path=f"{prefix}/ping", dialect=_vllm, answer=vllm.health),
        Operation(method="POST", path=f"{prefix}/ping", dialect=_vllm, answer=vllm.health),
        Operation(method="GET", path=f"{prefix}/version", dialect=_vllm, answer=vllm.version),
        Operation(method="POST", path=f"{prefix}/tokenize", dialect=_vllm, answer=vllm.tokenize),
        Operation(
            method="POST", path=f"{prefix}/detokenize", dialect=_vllm, answer=vllm.detokenize
        ),
    )
