"""Numbers within bounds, on steps, near what a property's name lets one expect.

Bounds and steps are read as the decimals they are written as, so that 0.3 is a multiple of 0.1; the
caller checks what comes out, since a checker that divides doubles may think otherwise.
"""

import math
import random
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from msgspec import Struct

from fakellm.scenarios.json_schema.document import Document
from fakellm.scenarios.json_schema.limits import MAX_MAGNITUDE, UnusableSchema, join, shown
from fakellm.scenarios.json_schema.words import range_for

_WINDOW = 100
_NATURAL_DRAWS, _WIDE_DRAWS = 16, 48  # after those, one number after the other
_REACH = 4_000
_PLACES = (2, 4, 8, 16, 32, 64, 128, 256, 512)  # digits after the point, until some fit


class _Bound(Struct, frozen=True, kw_only=True):
    value: Fraction
    exclusive: bool
    path: str
    text: str


def make_number(
    kind: str,
    schemas: Iterable[dict[str, Any]],
    document: Document,
    name: str,
    chance: random.Random,
    attempt: int,
) -> float:
    """A number between all bounds and on all steps of several schemas.

    Args:
        kind: ``integer`` or ``number``.
        schemas: those whose bounds hold.
        document: what they belong to.
        name: the property's.
        chance: the source of chance.
        attempt: how many numbers were made before; the more, the wider it looks.

    Raises:
        UnusableSchema: there is no such number.
    """
    schemas = list(schemas)
    low = max(_lows(schemas, document), key=lambda bound: (bound.value, bound.exclusive))
    high = min(_highs(schemas, document), key=lambda bound: (bound.value, not bound.exclusive))
    steps = [_exact(schema["multipleOf"]) for schema in schemas if "multipleOf" in schema]
    if kind == "integer" or steps:
        step = steps[0] if kind == "number" else Fraction(1)
        for other in steps:
            step = _common_multiple(step, other)
        first, last = _on_grid(low, high, step)
    else:
        for places in _PLACES:
            step = Fraction(1, 10**places)
            first, last = _on_grid(low, high, step)
            if first <= last:
                break
    if first > last:
        raise UnusableSchema(low.path, _nothing_between(kind, low, high, stepped=bool(steps)))
    value = step * _drawn(first, last, step, name, chance, attempt)
    return value.numerator if kind == "integer" else float(value)


def _exact(number: float) -> Fraction:
    return Fraction(number) if isinstance(number, int) else Fraction(repr(number))


def _common_multiple(one: Fraction, other: Fraction) -> Fraction:
    return Fraction(
        math.lcm(one.numerator, other.numerator), math.gcd(one.denominator, other.denominator)
    )


def _lows(schemas: list[dict[str, Any]], document: Document) -> list[_Bound]:
    return _bounds(schemas, document, "minimum", "exclusiveMinimum", -MAX_MAGNITUDE)


def _highs(schemas: list[dict[str, Any]], document: Document) -> list[_Bound]:
    return _bounds(schemas, document, "maximum", "exclusiveMaximum", MAX_MAGNITUDE)


def _bounds(
    schemas: list[dict[str, Any]], document: Document, inclusive: str, exclusive: str, most: int
) -> list[_Bound]:
    bounds = [_Bound(value=Fraction(most), exclusive=False, path="", text=f"{most:.0e}")]
    for schema in schemas:
        for keyword in (inclusive, exclusive):
            value = schema.get(keyword, True)
            if not isinstance(value, bool):
                bounds.append(
                    _Bound(
                        value=_exact(value),
                        exclusive=keyword == exclusive or schema.get(exclusive) is True,
                        path=join(document.path(schema), keyword),
                        text=shown(value),
                    )
                )
    return bounds


def _nothing_between(kind: str, low: _Bound, high: _Bound, *, stepped: bool) -> str:
    what = "an integer" if kind == "integer" else "a number"
    on_step = " on the steps asked for" if stepped else ""
    start, end = ("above" if low.exclusive else "from"), ("below" if high.exclusive else "up to")
    return f"there is not {what} {start} {low.text} {end} {high.text}{on_step}"


def _on_grid(low: _Bound, high: _Bound, step: Fraction) -> tuple[int, int]:
    """The lowest and the highest multiple of the step between the bounds, in steps."""
    first, last = math.ceil(low.value / step), math.floor(high.value / step)
    first += low.exclusive and first * step == low.value
    last -= high.exclusive and last * step == high.value
    return first, last


def _drawn(
    first: int, last: int, step: Fraction, name: str, chance: random.Random, attempt: int
) -> int:
    """A number of steps."""
    likely_low, likely_high = range_for(name)
    start = max(first, math.ceil(likely_low / step))
    end = min(last, math.floor(likely_high / step))
    if start > last:
        start, end = max(first, last - _WINDOW), last
    elif start > end:
        end = min(last, start + _WINDOW)
    if attempt < _NATURAL_DRAWS:
        return chance.randint(start, end)
    lowest, highest = max(first, start - _REACH), min(last, end + _REACH)
    if attempt < _WIDE_DRAWS:
        return chance.randint(lowest, highest)
    return lowest + (attempt - _WIDE_DRAWS) % (highest - lowest + 1)
