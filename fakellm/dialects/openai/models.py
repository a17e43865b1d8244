"""OpenAI's list of models.

Source: ``ListModelsResponse`` and ``Model`` of OpenAI's published schema.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from fakellm.dialects.openai.flavour import PLAIN, Flavour

NONE: Mapping[str, Flavour] = MappingProxyType({})
CREATED = 1_735_689_600  # 2025-01-01T00:00:00Z, the same for all, so that answers repeat


def _model(name: str, flavour: Flavour) -> dict[str, Any]:
    model = {"id": name, "object": "model", "created": CREATED, "owned_by": "fakellm"}
    if flavour.max_model_len is None:
        return model
    length = flavour.max_model_len
    return {**model, "root": name, "parent": None, "max_model_len": length, "permission": []}


def model_list(
    models: Sequence[str], flavour: Flavour = PLAIN, others: Mapping[str, Flavour] = NONE
) -> bytes:
    """The body that lists all models, each as a server of its flavour does.

    Args:
        models: their names.
        flavour: whose ways they have.
        others: the flavours of those that have another, by their names.
    """
    cards = [_model(name, others.get(name, flavour)) for name in models]
    return msgspec.json.encode({"object": "list", "data": cards})


def model_card(model: str, flavour: Flavour = PLAIN, others: Mapping[str, Flavour] = NONE) -> bytes:
    """The body that describes one model; the rest is as in `model_list`."""
    return msgspec.json.encode(_model(model, others.get(model, flavour)))
