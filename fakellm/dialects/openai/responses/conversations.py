"""The Conversations API: what a conversation is, and the items in it.

Source: ``ConversationResource`` and its operations in OpenAI's published schema.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import structs

from fakellm.dialects.openai.errors import document_acts, shown
from fakellm.dialects.openai.responses import request as wire
from fakellm.dialects.openai.responses.decode import decoded
from fakellm.dialects.openai.responses.dialect import OpenAIResponses
from fakellm.dialects.openai.responses.input_items import ID_LENGTH, as_kept, plain
from fakellm.dialects.openai.responses.paging import item_list, page
from fakellm.dialects.openai.responses.stored import (
    CONVERSATION,
    Item,
    StoredConversation,
    find_conversation,
    missing,
)
from fakellm.dialects.operations import Operation
from fakellm.model.asked import Asked
from fakellm.model.timeline import Act, Keep

_json = msgspec.json.Encoder()


def _sent(asked: Asked, answer: Any) -> Iterable[Act]:
    return document_acts(_json.encode(answer), asked.stamp)


def _found(asked: Asked) -> StoredConversation:
    return find_conversation(asked.kept, asked.found["conversation_id"])


def _kept(conversation: StoredConversation) -> Keep:
    return Keep(CONVERSATION, conversation.id, conversation)


def _resource(conversation: StoredConversation) -> dict[str, Any]:
    return {
        "id": conversation.id,
        "object": "conversation",
        "created_at": conversation.created_at,
        "metadata": conversation.metadata,
    }


def create(asked: Asked) -> Iterable[Act]:
    """``POST /v1/conversations``."""
    request, _ = decoded(asked.received.body or b"{}", wire.ConversationBody, "items")
    conversation = StoredConversation(
        id=asked.stamp.unique("conv_", ID_LENGTH),
        created_at=asked.stamp.created,
        metadata=request.metadata or {},
        items=as_kept(plain(request.items, asked.kept), asked.stamp),
    )
    return (_kept(conversation), *_sent(asked, _resource(conversation)))


def retrieve(asked: Asked) -> Iterable[Act]:
    """``GET /v1/conversations/{conversation_id}``."""
    return _sent(asked, _resource(_found(asked)))


def update(asked: Asked) -> Iterable[Act]:
    """``POST /v1/conversations/{conversation_id}``."""
    conversation = _found(asked)
    request, _ = decoded(asked.received.body, wire.ConversationUpdate)
    changed = structs.replace(conversation, metadata=request.metadata or {})
    return (_kept(changed), *_sent(asked, _resource(changed)))


def delete(asked: Asked) -> Iterable[Act]:
    """``DELETE /v1/conversations/{conversation_id}``."""
    found = _found(asked).id
    deleted = {"id": found, "object": "conversation.deleted", "deleted": True}
    return (Keep(CONVERSATION, found, None), *_sent(asked, deleted))


def create_items(asked: Asked) -> Iterable[Act]:
    """``POST /v1/conversations/{conversation_id}/items``."""
    conversation = _found(asked)
    request, _ = decoded(asked.received.body, wire.ConversationItems, "items")
    items = as_kept(plain(request.items, asked.kept), asked.stamp)
    changed = structs.replace(conversation, items=(*conversation.items, *items))
    return (_kept(changed), *_sent(asked, item_list(items)))


def list_items(asked: Asked) -> Iterable[Act]:
    """``GET /v1/conversations/{conversation_id}/items``."""
    return _sent(asked, page(_found(asked).items, asked.received.query))


def _item(asked: Asked, conversation: StoredConversation) -> Item:
    wanted = asked.found["item_id"]
    for item in conversation.items:
        if item["id"] == wanted:
            return item
    raise missing(
        f"Item with id '{shown(wanted)}' not found in conversation with id '{conversation.id}'."
    )


def retrieve_item(asked: Asked) -> Iterable[Act]:
    """``GET /v1/conversations/{conversation_id}/items/{item_id}``."""
    return _sent(asked, _item(asked, _found(asked)))


def delete_item(asked: Asked) -> Iterable[Act]:
    """``DELETE /v1/conversations/{conversation_id}/items/{item_id}``."""
    conversation = _found(asked)
    gone = _item(asked, conversation)
    left = tuple(item for item in conversation.items if item is not gone)
    changed = structs.replace(conversation, items=left)
    return (_kept(changed), *_sent(asked, _resource(changed)))


_ALL = "/v1/conversations"
_ONE = f"{_ALL}/<conversation_id>"
_ITEMS = f"{_ONE}/items"
_ITEM = f"{_ITEMS}/<item_id>"
_DIALECT = OpenAIResponses()

CONVERSATION_OPERATIONS: tuple[Operation, ...] = tuple(
    Operation(method=method, path=path, dialect=_DIALECT, answer=answer)
    for method, path, answer in (
        ("POST", _ALL, create),
        ("GET", _ONE, retrieve),
        ("POST", _ONE, update),
        ("DELETE", _ONE, delete),
        ("POST", _ITEMS, create_items),
        ("GET", _ITEMS, list_items),
        ("GET", _ITEM, retrieve_item),
        ("DELETE", _ITEM, delete_item),
    )
)
