"""Models listed, shown and deleted, of which only fine-tuned ones can go.

Source: ``/v1/models`` of OpenAI's published schema; a fine-tuned model has a name that begins with
``ft:``. A deleted one is forgotten, not gone: rules go on answering for it.
"""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from fakellm.dialects.openai.errors import INVALID, OpenAIErrors, document_acts, shown
from fakellm.dialects.openai.flavour import PLAIN, Flavour
from fakellm.dialects.openai.models import NONE, model_card, model_list
from fakellm.model.asked import Asked
from fakellm.model.reply import Failure, Refused
from fakellm.model.timeline import Act, Keep

DELETED = "model.deleted"
"""The kind of what is kept of a deleted model, by its name."""

_errors = OpenAIErrors()


def listing(
    flavour: Flavour = PLAIN, others: Mapping[str, Flavour] = NONE
) -> Callable[[Asked], Iterable[Act]]:
    """``GET /v1/models``, as servers of a flavour tell; ``others`` are those of some models."""

    def answer(asked: Asked) -> Iterable[Act]:
        names = [name for name in asked.models if asked.kept.get(DELETED, name) is None]
        return document_acts(model_list(names, flavour, others), asked.stamp)

    return answer


def showing(
    flavour: Flavour = PLAIN, others: Mapping[str, Flavour] = NONE
) -> Callable[[Asked], Iterable[Act]]:
    """``GET /v1/models/{name}``, likewise."""

    def answer(asked: Asked) -> Iterable[Act]:
        return document_acts(model_card(_known(asked), flavour, others), asked.stamp)

    return answer


def delete_model(asked: Asked) -> Iterable[Act]:
    """``DELETE /v1/models/{name}``."""
    name = _known(asked)
    if not name.startswith("ft:"):
        raise Refused(
            Failure(
                status=403,
                message=f"You have insufficient permissions to delete the model '{shown(name)}': "
                "only fine-tuned models that your organization owns can be deleted.",
                type=INVALID,
                code="insufficient_permissions",
            )
        )
    told = {"id": name, "object": "model", "deleted": True}
    return [
        Keep(DELETED, name, value=True),
        *document_acts(msgspec.json.encode(told), asked.stamp),
    ]


def _known(asked: Asked) -> str:
    name = asked.found["name"]
    if name not in asked.models or asked.kept.get(DELETED, name) is not None:
        raise Refused(_errors.unknown_model(name))
    return name
