"""How Anthropic tells a client of its limits, in the headers of every answer.

Source: "Response headers" in the reference (https://docs.claude.com/en/api/rate-limits). Times are
in RFC 3339, rounded up to whole seconds.
"""

import math
from collections.abc import Iterable

from fakellm.dialects.anthropic.times import rfc3339
from fakellm.model.standing import Standing


def limit_headers(standings: Iterable[Standing], now: int) -> tuple[tuple[str, str], ...]:
    """``anthropic-ratelimit-requests-limit`` and its like; ``now`` is in Unix time."""
    return tuple(
        (f"anthropic-ratelimit-{each.unit}-{what}", value)
        for each in standings
        for what, value in (
            ("limit", str(each.limit)),
            ("remaining", str(each.remaining)),
            ("reset", rfc3339(now + math.ceil(each.reset))),
        )
    )
