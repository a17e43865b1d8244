"""Durations as people write them.

Pure: text in, seconds out. It must never guess a unit that is not written, but for plain seconds.
"""

import re

LONGEST = 1e9
"""The longest duration there is, in seconds (31 years): sums of such never overflow."""

_DURATION = re.compile(
    r"(-?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3})?)"
    r"\s*([A-Za-z\u00b5\u03bc]*)"
)
_MICRO = 1_000_000
_PER_SECOND = {"us": _MICRO, "\u00b5s": _MICRO, "\u03bcs": _MICRO, "ms": 1000}  # the micro sign, mu
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


class BadDuration(ValueError):
    """A duration, or what is made of some, that cannot be; its text is one line for the user."""


def parse_duration(text: str | float) -> float:
    """A duration in seconds.

    Args:
        text: a number of seconds, or text such as ``250ms``, ``1.5s``, ``2m``, ``1h``, ``800us``.

    Raises:
        BadDuration: it is no such thing, negative, not finite or over `LONGEST`.
    """
    if isinstance(text, bool) or not isinstance(text, str | float | int):
        raise BadDuration(f"{_shown(text)} is no duration such as 250ms, 1.5s, 2m or 0.25")
    seconds = _in_seconds(text) if isinstance(text, str) else text
    if not seconds >= 0:
        raise BadDuration(f"{_shown(text)} is no duration: that is finite and not negative")
    if seconds > LONGEST:
        raise BadDuration(f"{_shown(text)} is too long for a duration: {LONGEST:.0f}s at most")
    return float(seconds)


def parse_rate(rate: float) -> float:
    """How many in a second; checked as `parse_duration` checks the time that one of them takes.

    Raises:
        BadDuration: it is not above zero, not finite, or so low that one takes over `LONGEST`.
    """
    if isinstance(rate, bool) or not isinstance(rate, float | int):
        raise BadDuration(f"{_shown(rate)} is no number of tokens per second")
    if not 1 / LONGEST <= rate <= LONGEST * LONGEST:
        raise BadDuration(f"{_shown(rate)} is no rate: it must be above 0 and finite")
    return float(rate)


def _in_seconds(text: str) -> float:
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise BadDuration(f"{_shown(text)} is no duration such as 250ms, 1.5s, 2m or 0.25")
    number, unit = float(match[1]), match[2].lower()
    if unit in _PER_SECOND:
        return number / _PER_SECOND[unit]  # divided, as 800us times a millionth is not 0.0008
    if unit in _SECONDS:
        return number * _SECONDS[unit]
    raise BadDuration(f"{_shown(text)} has no unit of time: use us, ms, s, m or h")


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of so many digits
        return "a number so large"
    return text if len(text) <= 40 else text[:37] + "..."  # noqa: PLR2004 -- part of a line
