"""Durations that vary: how they are written, and drawing from them.

Pure: chance is handed in with each draw, and the text of a file by whoever may read files. Nothing
here may keep chance of its own, or fail once a distribution is made.
"""

import csv
import re
from collections.abc import Callable
from math import erf, exp, fsum, log, pi, sqrt
from random import Random
from statistics import NormalDist
from typing import Annotated

from msgspec import Meta, Struct

from fakellm.timing.durations import LONGEST, BadDuration, parse_duration

ReadText = Callable[[str], str]
"""The text of a file by its path as it was written; raises OSError or ValueError."""

ConstantSpec = str | float | int
"""A constant as it is written: what `parse_duration` takes."""


class LognormalSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A lognormal distribution by two of its percentiles."""

    p50: Annotated[ConstantSpec, Meta(description="The median.")]
    p99: Annotated[ConstantSpec, Meta(description="What 99 of 100 draws stay below.")]


class GammaSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A gamma distribution: `mean` and `sd`, or `shape` and `scale`."""

    mean: ConstantSpec | None = None
    sd: Annotated[ConstantSpec | None, Meta(description="The standard deviation.")] = None
    shape: Annotated[float | None, Meta(description="A number above 0, without a unit.")] = None
    scale: Annotated[ConstantSpec | None, Meta(description="A duration above 0.")] = None


class DistributionSpec(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A duration that varies: exactly one of these."""

    uniform: Annotated[
        tuple[ConstantSpec, ConstantSpec] | None,
        Meta(description="Anything from the first to the second, equally likely."),
    ] = None
    normal: Annotated[
        tuple[ConstantSpec, ConstantSpec] | None,
        Meta(description="Mean and standard deviation; what would be below zero is zero."),
    ] = None
    lognormal: LognormalSpec | None = None
    exponential: Annotated[ConstantSpec | None, Meta(description="The mean.")] = None
    gamma: GammaSpec | None = None
    samples: Annotated[
        tuple[ConstantSpec, ...] | str | None,
        Meta(
            description="One of these, equally likely: a list, or a CSV file's first column. Plain "
            "numbers are seconds, or what a header such as `ttft_ms` or `ITL (us)` ends with."
        ),
    ] = None


DurationSpec = str | float | int | DistributionSpec
"""A duration as it is written: a constant or a distribution."""


class Distribution(Struct, frozen=True, kw_only=True):
    """A duration to draw, in seconds.

    ``draw`` gives one, from 0 to `LONGEST`, that follows from the generator alone. ``mean`` is
    exact, or for samples their average. ``constant`` is the only value there is, where that is so;
    drawing that takes no chance.
    """

    draw: Callable[[Random], float]
    mean: float
    constant: float | None = None


_P99 = NormalDist().inv_cdf(0.99)
_MOST_SHAPE = 1e12
"""Gamma distributions of more shape deviate by under a millionth: floats can't draw them."""
_MOST = log(LONGEST)
_UNIT = re.compile(r".*[^A-Za-z\u00b5\u03bc](us|\u00b5s|\u03bcs|ms|s|m|h)[)\]]?", re.IGNORECASE)


def compile_duration(spec: DurationSpec, read_text: ReadText | None = None) -> Distribution:
    """What to draw a duration from.

    Args:
        spec: the duration as it is written.
        read_text: reads the file of ``samples``; without it, no file may be named.

    Raises:
        BadDuration: it cannot be drawn from; the text begins with the key that is wrong.
    """
    if not isinstance(spec, DistributionSpec):
        return _constant(parse_duration(spec))
    given = [name for name in spec.__struct_fields__ if getattr(spec, name) is not None]
    if len(given) != 1:
        names = ", ".join(given or spec.__struct_fields__)
        raise BadDuration(f"a distribution is exactly one of {names}")
    key = given[0]
    try:
        return _compiled(spec, read_text)
    except BadDuration as error:
        raise BadDuration(f"{key}: {error}") from None


def with_samples(spec: DurationSpec, read_text: ReadText) -> DurationSpec:
    """A duration whose samples are no file's any more, but in it.

    Raises:
        BadDuration: the file cannot be read, or has no durations in it.
    """
    if isinstance(spec, DistributionSpec) and isinstance(spec.samples, str):
        return DistributionSpec(samples=tuple(_read(spec.samples, read_text)))
    return spec


def _compiled(spec: DistributionSpec, read_text: ReadText | None) -> Distribution:
    if spec.uniform is not None:
        return _uniform(*map(parse_duration, spec.uniform))
    if spec.normal is not None:
        return _normal(*map(parse_duration, spec.normal))
    if spec.lognormal is not None:
        return _lognormal(_at("p50", spec.lognormal.p50), _at("p99", spec.lognormal.p99))
    if spec.exponential is not None:
        return _exponential(parse_duration(spec.exponential))
    if spec.gamma is not None:
        return _gamma_as_written(spec.gamma)
    if isinstance(spec.samples, str):
        return _samples(_read(spec.samples, read_text))
    return _samples([parse_duration(sample) for sample in spec.samples or ()])


def _at(key: str, spec: ConstantSpec) -> float:
    try:
        return parse_duration(spec)
    except BadDuration as error:
        raise BadDuration(f"{key}: {error}") from None


def _constant(seconds: float) -> Distribution:
    return Distribution(draw=lambda _: seconds, mean=seconds, constant=seconds)


def _uniform(low: float, high: float) -> Distribution:
    if low > high:
        raise BadDuration("the first may not be longer than the second")
    if low == high:
        return _constant(low)
    span = high - low
    return Distribution(
        draw=lambda chance: min(high, low + span * chance.random()), mean=low + span / 2
    )


def _normal(mean: float, sd: float) -> Distribution:
    if sd == 0:
        return _constant(mean)
    z = mean / sd
    # of a normal variable cut off at zero: what of its mass is above, and what it is worth there
    above = (1 + erf(z / sqrt(2))) / 2
    density = exp(-(min(z, 100.0) ** 2) / 2) / sqrt(2 * pi)
    return Distribution(
        draw=lambda chance: min(LONGEST, max(0.0, chance.gauss(mean, sd))),
        mean=mean * above + sd * density,
    )


def _lognormal(p50: float, p99: float) -> Distribution:
    if p50 == 0:
        raise BadDuration("p50: must be above 0")
    if p99 < p50:
        raise BadDuration("p99: may not be shorter than p50")
    if p99 == p50:
        return _constant(p50)
    mu = log(p50)
    sigma = (log(p99) - mu) / _P99
    return Distribution(
        draw=lambda chance: exp(min(_MOST, mu + sigma * chance.gauss(0.0, 1.0))),
        mean=exp(min(_MOST, mu + sigma * sigma / 2)),
    )


def _exponential(mean: float) -> Distribution:
    if mean == 0:
        return _constant(0.0)
    return Distribution(draw=lambda chance: min(LONGEST, mean * chance.expovariate(1.0)), mean=mean)


def _gamma_as_written(spec: GammaSpec) -> Distribution:
    given = {name for name in spec.__struct_fields__ if getattr(spec, name) is not None}
    if spec.mean is not None and spec.sd is not None and len(given) == 2:  # noqa: PLR2004 -- these
        mean, sd = _at("mean", spec.mean), _at("sd", spec.sd)
        if sd == 0:
            return _constant(mean)
        if mean == 0:
            raise BadDuration("mean: must be above 0")
        return _gamma((mean / sd) * (mean / sd), sd * (sd / mean))
    if spec.shape is not None and spec.scale is not None and len(given) == 2:  # noqa: PLR2004 -- these
        return _gamma(spec.shape, _at("scale", spec.scale))
    raise BadDuration("needs mean and sd, or shape and scale")


def _gamma(shape: float, scale: float) -> Distribution:
    if not 1 / _MOST_SHAPE <= shape <= _MOST_SHAPE:
        raise BadDuration("its mean is too far from its sd, or its shape from 1")
    if scale == 0:
        raise BadDuration("scale: must be above 0")
    return Distribution(
        draw=lambda chance: min(LONGEST, chance.gammavariate(shape, scale)),
        mean=min(LONGEST, shape * scale),
    )


def _samples(samples: list[float]) -> Distribution:
    if not samples:
        raise BadDuration("there must be at least one")
    if min(samples) == max(samples):
        return _constant(samples[0])
    return Distribution(
        draw=lambda chance: chance.choice(samples), mean=fsum(samples) / len(samples)
    )


def _read(path: str, read_text: ReadText | None) -> list[float]:
    if read_text is None:
        raise BadDuration(f"{path}: no file can be read here; give a list")
    try:
        return _column(read_text(path))
    except BadDuration as error:
        raise BadDuration(f"{path}: {error}") from None
    except OSError as error:
        raise BadDuration(f"{path}: {error.strerror or error}") from None
    except (ValueError, csv.Error) as error:
        raise BadDuration(f"{path}: {error}") from None


def _column(text: str) -> list[float]:
    """The durations in the first column of a CSV text."""
    samples: list[float] = []
    unit = ""
    has_begun = False
    rows = csv.reader(text.removeprefix("\ufeff").splitlines())
    for row in rows:
        cell = row[0].strip() if row else ""
        if not cell:
            continue
        if not has_begun and cell[0] not in "0123456789.+-":
            named = _UNIT.fullmatch(cell)
            unit = named[1] if named else ""
        else:
            written = cell if cell[-1].isalpha() else cell + unit
            samples.append(_at(f"line {rows.line_num}", written))
        has_begun = True
    if not samples:
        raise BadDuration("there must be at least one")
    return samples
