"""How OpenAI tells a client of its limits, in the headers of every answer.

Source: "Rate limits in headers" (https://platform.openai.com/docs/guides/rate-limits).
"""

from collections.abc import Iterable

from fakellm.model.standing import Standing


def limit_headers(standings: Iterable[Standing]) -> tuple[tuple[str, str], ...]:
    """``x-ratelimit-limit-requests`` and its like."""
    return tuple(
        (f"x-ratelimit-{what}-{each.unit}", value)
        for each in standings
        for what, value in (
            ("limit", str(each.limit)),
            ("remaining", str(each.remaining)),
            ("reset", spelled(each.reset)),
        )
    )


def spelled(seconds: float) -> str:
    """A time as the API writes it: ``6m0s``, ``1.5s``, ``20ms``."""
    raise NotImplementedError
