"""Anthropic's list of models.

Source: ``ModelInfo`` and ``Page`` of its Python SDK. Nothing is said of a model's limits, as a fake
has none of its own; what it can do is what this dialect understands.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from fakellm.dialects.anthropic.paging import page

CREATED_AT = "2025-01-01T00:00:00Z"  # the same for all, so that answers repeat
_LINES = ("haiku", "sonnet", "opus", "fable", "mythos")
_YES, _NO = {"supported": True}, {"supported": False}
_CAPABILITIES: Mapping[str, Any] = {
    "batch": _YES,
    "citations": _NO,
    "code_execution": _NO,
    "context_management": {
        **_NO,
        "clear_thinking_20251015": _NO,
        "clear_tool_uses_20250919": _NO,
        "compact_20260112": _NO,
    },
    "effort": {**_YES, "low": _YES, "medium": _YES, "high": _YES, "xhigh": _YES, "max": _YES},
    "image_input": _YES,
    "pdf_input": _YES,
    "server_tools": {**_NO, "code_execution": _NO, "web_search": _NO},
    "structured_outputs": _YES,
    "thinking": {
        **_YES,
        "types": {"adaptive": _YES, "between_tools": _YES, "disabled": _YES, "enabled": _YES},
    },
}


def _model(name: str) -> dict[str, Any]:
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": CREATED_AT,
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "line": next((line for line in _LINES if line in name.lower()), None),
        "max_input_tokens": None,
        "max_tokens": None,
        "capabilities": _CAPABILITIES,
    }


def model_page(models: Sequence[str], query: Mapping[str, str]) -> bytes:
    """The body that lists a page of the models.

    Raises:
        Refused: the query asks for what there is not.
    """
    return msgspec.json.encode(page([_model(name) for name in models], query))


def model_card(model: str) -> bytes:
    """The body that describes one model."""
    return msgspec.json.encode(_model(model))
