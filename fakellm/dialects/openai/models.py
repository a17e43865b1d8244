"""OpenAI's list of models.

Source: ``ListModelsResponse`` and ``Model`` of OpenAI's published schema.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from fakellm.dialects.openai.flavour import PLAIN, Flavour

CREATED = 1_735_689_600  # 2025-01-01T00:00:00Z, the same for all, so that answers repeat


def _model(name: str, flavour: Flavour) -> dict[str, Any]:
    model = {"id": name, "object": "model", "created": CREATED, "owned_by": "fakellm"}
    if flavour.max_model_len is None:
        return model
    length = flavour.max_model_len
    return {**model, "root": name, "parent": None, "max_model_len": length, "permission": []}


def model_list(models: Sequence[str], flavour: Flavour = PLAIN) -> bytes:
    """The body that lists all models."""
    cards = [_model(name, flavour) for name in models]
    return msgspec.json.encode({"object": "list", "data": cards})


def model_card(model: str, flavour: Flavour = PLAIN) -> bytes:
    """The body that describes one model."""
    return msgspec.json.encode(_model(model, flavour))
