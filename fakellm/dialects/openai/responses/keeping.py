"""What is kept of a response, and of the conversation it belongs to: as acts."""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import structs

from fakellm.dialects.openai.responses.decode import Asking
from fakellm.dialects.openai.responses.stored import (
    CONVERSATION,
    ITEM,
    RESPONSE,
    Item,
    Live,
    Log,
    StoredConversation,
    StoredResponse,
)
from fakellm.model.timeline import Act, Amend, Keep


def begun(response: Mapping[str, Any], given: tuple[Item, ...], live: Live) -> Act:
    """Keep a response that is being made in the background."""
    stored = StoredResponse(response=response, given=given, live=live)
    return Keep(RESPONSE, response["id"], stored)


def ended(
    asking: Asking, response: Mapping[str, Any], given: tuple[Item, ...], log: Log
) -> Iterator[Act]:
    """Keep a response that has ended, the items in it, and what the conversation has now.

    Args:
        asking: what it answers.
        response: the whole of it.
        given: the items of the request, as they are kept.
        log: its events.
    """
    response_id = response["id"]
    output: list[Item] = response["output"]
    if asking.stored:
        stored = StoredResponse(response=response, given=(*asking.earlier, *given), log=log)
        if asking.request.background:
            yield Amend(RESPONSE, response_id, lambda old: _unless_over(old, stored))
        else:
            yield Keep(RESPONSE, response_id, stored)
        for item in (*given, *output):
            yield Keep(ITEM, item["id"], item)
    if asking.conversation is not None and response["status"] != "failed":
        yield Amend(CONVERSATION, asking.conversation, lambda old: _longer(old, (*given, *output)))


def _unless_over(old: StoredResponse | None, new: StoredResponse) -> StoredResponse | None:
    """The ended response, unless it was cancelled or deleted meanwhile."""
    if old is None or old.response["status"] == "cancelled":
        return old
    return new


def _longer(old: StoredConversation | None, more: tuple[Item, ...]) -> StoredConversation | None:
    return None if old is None else structs.replace(old, items=(*old.items, *more))
