"""Stored chat completions: list, get, update, delete, and the messages they answer.

Source: the paths under ``/v1/chat/completions`` of OpenAI's published schema,
``ChatCompletionList``, ``ChatCompletionMessageList`` and ``ChatCompletionDeleted``.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct, structs

from fakellm.dialects.openai import chat_request as wire
from fakellm.dialects.openai.bodies import decode_body
from fakellm.dialects.openai.errors import INVALID, document_acts, refuse, shown
from fakellm.dialects.openai.storing import KIND, Stored
from fakellm.model.asked import Asked
from fakellm.model.reply import Failure, Refused
from fakellm.model.timeline import Act, Keep

_json = msgspec.json.Encoder()
_METADATA = re.compile(r"metadata\[(?P<key>.*)\]", re.DOTALL)
_LIMIT, _LIMIT_AT_MOST = 20, 100


class UpdateRequest(Struct, frozen=True, kw_only=True):
    """The body of an update: metadata is all that can change."""

    metadata: wire.MetadataValues | None


def list_completions(asked: Asked) -> Iterable[Act]:
    """``GET /v1/chat/completions``: the oldest first, unless ``order`` says otherwise."""
    query = asked.received.query
    wanted = {
        match["key"]: value for name, value in query.items() if (match := _METADATA.fullmatch(name))
    }
    found = [
        each.completion
        for _, each in asked.kept.all(KIND)
        if query.get("model") in (None, each.completion["model"])
        and wanted.items() <= each.completion["metadata"].items()
    ]
    return _page(asked, found)


def get_completion(asked: Asked) -> Iterable[Act]:
    """``GET /v1/chat/completions/{id}``."""
    return document_acts(_json.encode(_found(asked).completion), asked.stamp)


def update_completion(asked: Asked) -> Iterable[Act]:
    """``POST /v1/chat/completions/{id}``: new metadata, in the place of the old."""
    kept = _found(asked)
    request, _ = decode_body(asked.received.body, UpdateRequest, strict=False)
    completion = {**kept.completion, "metadata": request.metadata or {}}
    value = structs.replace(kept, completion=completion)
    sent = document_acts(_json.encode(completion), asked.stamp)
    return [Keep(KIND, completion["id"], value), *sent]


def delete_completion(asked: Asked) -> Iterable[Act]:
    """``DELETE /v1/chat/completions/{id}``."""
    name = _found(asked).completion["id"]
    told = {"object": "chat.completion.deleted", "id": name, "deleted": True}
    return [Keep(KIND, name, None), *document_acts(_json.encode(told), asked.stamp)]


def list_messages(asked: Asked) -> Iterable[Act]:
    """``GET /v1/chat/completions/{id}/messages``."""
    kept = _found(asked)
    name = kept.completion["id"]
    return _page(asked, [_message(name, at, each) for at, each in enumerate(kept.messages)])


def _message(name: str, at: int, message: wire.ChatMessage) -> dict[str, Any]:
    told = _given(msgspec.to_builtins(message))
    content, parts = told.get("content"), None
    if isinstance(content, list):
        parts = content
        content = "".join([part["text"] for part in parts if part["type"] == "text"])
    return {
        "id": f"{name}-{at}",
        **told,
        "content": content,
        "refusal": told.get("refusal"),
        "name": told.get("name"),
        "content_parts": parts,
    }


def _given(value: Any) -> Any:
    """A value without what was left out of it."""
    if isinstance(value, list):
        return [_given(each) for each in value]
    if isinstance(value, dict):
        return {name: _given(each) for name, each in value.items() if each is not None}
    return value


def _found(asked: Asked) -> Stored:
    name = asked.found["id"]
    kept: Stored | None = asked.kept.get(KIND, name)
    if kept is None:
        raise Refused(
            Failure(
                status=404,
                message=f"No chat completion found with id '{shown(name)}'.",
                type=INVALID,
                param="completion_id",
            )
        )
    return kept


def _page(asked: Asked, things: Sequence[Mapping[str, Any]]) -> Iterable[Act]:
    query = asked.received.query
    order = query.get("order", "asc")
    if order not in ("asc", "desc"):
        raise refuse(
            f"Invalid value: '{shown(order)}'. Supported values are: 'asc' and 'desc'.",
            param="order",
            code="invalid_value",
        )
    if order == "desc":
        things = things[::-1]
    after = query.get("after")
    if after:
        ids = [thing["id"] for thing in things]
        if after not in ids:
            raise refuse(f"No item found with id '{shown(after)}'.", param="after")
        things = things[ids.index(after) + 1 :]
    page = things[: _limit(query)]
    told = {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": len(page) < len(things),
    }
    return document_acts(_json.encode(told), asked.stamp)


def _limit(query: Mapping[str, str]) -> int:
    text = query.get("limit", str(_LIMIT))
    # int() takes more than a query should hold, as other scripts' digits
    limit = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0
    if not 1 <= limit <= _LIMIT_AT_MOST:
        raise refuse(
            f"Invalid 'limit': expected an integer between 1 and {_LIMIT_AT_MOST}, "
            f"but got '{shown(text)}' instead.",
            param="limit",
            code="invalid_value",
        )
    return limit
