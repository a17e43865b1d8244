"""OpenAI's operations, and those of the servers that speak its formats, as lines to route."""

from fakellm.dialects.openai import model_operations, stored, vllm
from fakellm.dialects.openai.azure import Azure
from fakellm.dialects.openai.chat import OpenAIChat
from fakellm.dialects.openai.flavour import VLLM
from fakellm.dialects.operations import Operation
from fakellm.interfaces import IDialect

_openai = OpenAIChat()
_vllm = OpenAIChat(VLLM)

_STORED = "/v1/chat/completions"


def _models(base: str, dialect: IDialect) -> tuple[Operation, ...]:
    flavour = VLLM if dialect is _vllm else _openai.flavour
    one = f"{base}/models/<path:name>"
    listing, showing = model_operations.listing(flavour), model_operations.showing(flavour)
    return (
        Operation(method="GET", path=f"{base}/models", dialect=dialect, answer=listing),
        Operation(method="GET", path=one, dialect=dialect, answer=showing),
    )


OPENAI: tuple[Operation, ...] = (
    *_models("/v1", _openai),
    Operation(
        method="DELETE",
        path="/v1/models/<path:name>",
        dialect=_openai,
        answer=model_operations.delete_model,
    ),
    Operation(method="GET", path=_STORED, dialect=_openai, answer=stored.list_completions),
    Operation(method="GET", path=f"{_STORED}/<id>", dialect=_openai, answer=stored.get_completion),
    Operation(
        method="POST", path=f"{_STORED}/<id>", dialect=_openai, answer=stored.update_completion
    ),
    Operation(
        method="DELETE", path=f"{_STORED}/<id>", dialect=_openai, answer=stored.delete_completion
    ),
    Operation(
        method="GET", path=f"{_STORED}/<id>/messages", dialect=_openai, answer=stored.list_messages
    ),
)

AZURE: tuple[Operation, ...] = _models("/openai/v1", Azure(_openai))


def vllm_operations(prefix: str) -> tuple[Operation, ...]:
    """vLLM's, below a prefix such as ``/vllm``; empty, where the whole server is like vLLM's."""
    return (
        *_models(f"{prefix}/v1", _vllm),
        Operation(method="GET", path=f"{prefix}/health", dialect=_vllm, answer=vllm.health),
        Operation(method="GET", path=f"{prefix}/ping", dialect=_vllm, answer=vllm.health),
        Operation(method="POST", path=f"{prefix}/ping", dialect=_vllm, answer=vllm.health),
        Operation(method="GET", path=f"{prefix}/version", dialect=_vllm, answer=vllm.version),
        Operation(method="POST", path=f"{prefix}/tokenize", dialect=_vllm, answer=vllm.tokenize),
        Operation(
            method="POST", path=f"{prefix}/detokenize", dialect=_vllm, answer=vllm.detokenize
        ),
    )
