"""A limit on requests, tokens or answers at once, made ready to count with.

Pure: what is written in, a value out. Equal values are the same limit, however they were written
(``1m`` and ``60s``, ``key`` and ``[key]``). It must never count anything itself.
"""

from typing import Literal

from msgspec import Struct

from fakellm.timing.conduct import LimitSpec
from fakellm.timing.distributions import ConstantSpec
from fakellm.timing.durations import BadDuration, parse_duration

EVER = "ever"
"""The window of a quota, which is never refilled."""

DEFAULT_WINDOW = "1m"

MICROSECONDS = 1_000_000
"""In a second."""

Counted = Literal["requests", "tokens", "concurrent"]
_UNITS: tuple[Counted, ...] = ("requests", "tokens", "concurrent")


class Limit(Struct, frozen=True, kw_only=True):
    """``limit`` units, for those that share it.

    They come back over a ``window`` in microseconds, continuously; where that is ``None``, never
    (a quota), or, if ``concurrent`` answers are counted, as soon as an answer ends.

    Those with the same API key share it if it is ``by_key``, those that ask the same model if it
    is ``by_model``; where ``key`` or ``model`` is given, it is for no others.
    """

    unit: Counted
    limit: int
    window: int | None = None
    by_key: bool = False
    by_model: bool = False
    key: str | None = None
    model: str | None = None

    @property
    def is_quota(self) -> bool:
        """Whether what is used is never given back."""
        return self.window is None and self.unit != "concurrent"

    def counts(self, key: str | None, model: str) -> bool:
        """Whether a request with this API key, for this model, is under it."""
        return (self.key is None or self.key == key) and (self.model is None or self.model == model)


def compile_limit(spec: LimitSpec) -> Limit:
    """A limit to count with.

    Raises:
        BadDuration: it cannot be.
    """
    given = [unit for unit in _UNITS if getattr(spec, unit) is not None]
    if len(given) != 1:
        those = " and ".join(given) or "none"
        raise BadDuration(f"a limit is one of {', '.join(_UNITS)}, and this is {those}")
    (unit,) = given
    limit: int = getattr(spec, unit)
    if limit < 1:
        raise BadDuration(f"{unit}: must be at least 1, not {limit}")
    by = (spec.by,) if isinstance(spec.by, str) else spec.by
    return Limit(
        unit=unit,
        limit=limit,
        window=_window(unit, spec.per),
        by_key="key" in by,
        by_model="model" in by,
        key=spec.key,
        model=spec.model,
    )


def _window(unit: Counted, per: ConstantSpec | None) -> int | None:
    if unit == "concurrent":
        if per is not None:
            raise BadDuration("per: a limit of concurrent answers has no window")
        return None
    if per is None:
        per = DEFAULT_WINDOW
    elif isinstance(per, str) and per.strip().lower() == EVER:
        return None
    try:
        seconds = parse_duration(per)
    except BadDuration as error:
        raise BadDuration(f"per: {error}, nor {EVER}") from None
    if not seconds:
        raise BadDuration("per: expected a time above 0")
    return max(round(seconds * MICROSECONDS), 1)
