"""How OpenAI tells a client of its limits: in the headers of every answer, and in words.

Source: "Rate limits in headers" (https://platform.openai.com/docs/guides/rate-limits).
"""

from collections.abc import Iterable, Mapping
from math import ceil

from fakellm.model.standing import Exceeded, Standing


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
    """A time as the API writes it, which is how Go prints one: ``6m0s``, ``1.5s``, ``20ms``."""
    millis = round(seconds * 1000)
    if millis < 1000:  # noqa: PLR2004 -- milliseconds in a second
        return f"{millis}ms" if millis else "0s"
    minutes, millis = divmod(millis, 60_000)
    hours, minutes = divmod(minutes, 60)
    whole, millis = divmod(millis, 1000)
    rest = f"{whole}.{millis:03}".rstrip("0") if millis else f"{whole}"
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


_WINDOWS: Mapping[float, tuple[str, str]] = {
    1.0: ("second", "S"),
    60.0: ("min", "M"),
    3600.0: ("hour", "H"),
    86400.0: ("day", "D"),
}


def named(over: Exceeded) -> str:
    """What is limited: ``requests per min (RPM)``, or in other windows ``tokens per 10s``."""
    if over.window not in _WINDOWS:
        return f"{over.unit} per {spelled(over.window)}"
    window, letter = _WINDOWS[over.window]
    return f"{over.unit} per {window} ({over.unit[0].upper()}P{letter})"


def waiting_headers(seconds: float) -> tuple[tuple[str, str], ...]:
    """When to come again, for clients that know milliseconds and for those that do not.

    Neither is sooner than in so many ``seconds``.
    """
    millis = ceil(round(seconds * 1000, 3))  # as 0.003 times 1000 is more than 3
    return ("Retry-After", str(-(-millis // 1000))), ("retry-after-ms", str(millis))
