"""Lists of items, a page at a time.

Source: ``ResponseItemList`` and ``ConversationItemList`` of OpenAI's published schema, and the
parameters of ``listInputItems``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fakellm.dialects.openai.errors import refuse, shown
from fakellm.dialects.openai.responses.stored import Item

_LIMIT, _MOST = 20, 100


def page(items: Sequence[Item], query: Mapping[str, str]) -> dict[str, Any]:
    """A page of items, given as they were said; the latest come first, unless it is asked for.

    Raises:
        Refused: a parameter is not what it has to be.
    """
    limit = _limit(query.get("limit"))
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise refuse(
            f"Invalid value: '{shown(order)}'. Supported values are: 'asc' and 'desc'.",
            param="order",
            code="invalid_value",
        )
    listed = list(items) if order == "asc" else [*reversed(items)]
    after = query.get("after")
    if after:
        ids = [item["id"] for item in listed]
        if after not in ids:
            raise refuse(f"Item with id '{shown(after)}' not found.", param="after")
        listed = listed[ids.index(after) + 1 :]
    return item_list(listed[:limit], has_more=len(listed) > limit)


def item_list(items: Sequence[Item], *, has_more: bool = False) -> dict[str, Any]:
    """A list as the API sends it."""
    return {
        "object": "list",
        "data": list(items),
        "has_more": has_more,
        "first_id": items[0]["id"] if items else "",
        "last_id": items[-1]["id"] if items else "",
    }


def whole_number(given: str, name: str) -> int:
    """A number in a query.

    Raises:
        Refused: it is none.
    """
    try:
        return int(given[:20])
    except ValueError:
        raise refuse(
            f"Invalid type for '{name}': expected an integer, but got a string instead.",
            param=name,
            code="invalid_type",
        ) from None


def _limit(given: str | None) -> int:
    if given is None:
        return _LIMIT
    limit = whole_number(given, "limit")
    if limit < 1:
        raise refuse(
            "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got "
            f"{limit} instead.",
            param="limit",
            code="integer_below_min_value",
        )
    if limit > _MOST:
        raise refuse(
            f"Invalid 'limit': integer above maximum value. Expected a value <= {_MOST}, but got "
            f"{limit} instead.",
            param="limit",
            code="integer_above_max_value",
        )
    return limit
