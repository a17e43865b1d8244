"""Lists in pages, as Anthropic cuts them.

Source: ``Page`` of its Python SDK, and the parameters ``limit``, ``after_id`` and ``before_id``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fakellm.dialects.anthropic.errors import refuse, shown

LIMIT = 20
LIMIT_AT_MOST = 1000


def page(items: Sequence[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    """The page of a list that a query asks for; ``items`` have an ``id`` each.

    Raises:
        Refused: the query asks for what there is not.
    """
    limit = _limit(query.get("limit"))
    ids = [item["id"] for item in items]
    after, before = query.get("after_id"), query.get("before_id")
    if after and before:
        raise refuse("after_id: cannot be used with before_id")
    if before:
        end = _index(ids, before, "before_id")
        start = max(0, end - limit)
        found, has_more = items[start:end], start > 0
    else:
        start = _index(ids, after, "after_id") + 1 if after else 0
        found, has_more = items[start : start + limit], start + limit < len(items)
    return {
        "data": found,
        "has_more": has_more,
        "first_id": found[0]["id"] if found else None,
        "last_id": found[-1]["id"] if found else None,
    }


def _limit(given: str | None) -> int:
    if given is None:
        return LIMIT
    if not (given.isascii() and given.isdigit()):
        raise refuse("limit: Input should be a valid integer")
    digits = given.lstrip("0")
    if not digits:
        raise refuse("limit: Input should be greater than or equal to 1")
    if len(digits) > len(str(LIMIT_AT_MOST)) or int(digits) > LIMIT_AT_MOST:
        raise refuse(f"limit: Input should be less than or equal to {LIMIT_AT_MOST}")
    return int(digits)


def _index(ids: Sequence[str], wanted: str, name: str) -> int:
    if wanted not in ids:
        raise refuse(f"{name}: no such object: {shown(wanted)}")
    return ids.index(wanted)
