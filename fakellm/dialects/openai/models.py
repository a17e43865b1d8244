"""OpenAI's list of models.

Source: ``ListModelsResponse`` and ``Model`` of OpenAI's published schema.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

CREATED = 1_735_689_600  # 2025-01-01T00:00:00Z, the same for all, so that answers repeat


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "fakellm"}


def model_list(models: Sequence[str]) -> bytes:
    """The body that lists all models."""
    return msgspec.json.encode({"object": "list", "data": [_model(name) for name in models]})


def model_card(model: str) -> bytes:
    """The body that describes one model."""
    return msgspec.json.encode(_model(model))
