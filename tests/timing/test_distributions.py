"""Durations that vary: what is drawn, and what cannot be drawn from."""

from collections.abc import Iterable
from math import log
from random import Random
from statistics import fmean, quantiles, stdev
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.timing.distributions import (
    Distribution,
    DistributionSpec,
    DurationSpec,
    compile_duration,
)
from fakellm.timing.durations import LONGEST, BadDuration

few = settings(deadline=None, derandomize=True, max_examples=150, database=None)
MANY = 20_000


def written(value: Any) -> DurationSpec:
    """A duration as a scenario has it."""
    spec: DurationSpec = msgspec.convert(value, DurationSpec)
    return spec


def made(value: Any) -> Distribution:
    return compile_duration(written(value))


def drawn(value: Any, count: int = MANY, seed: int = 1) -> list[float]:
    distribution, chance = made(value), Random(seed)
    return [distribution.draw(chance) for _ in range(count)]


SOME: dict[str, Any] = {
    "uniform": {"uniform": ["100ms", "300ms"]},
    "normal": {"normal": ["200ms", "50ms"]},
    "normal, half of it cut off": {"normal": [0, "50ms"]},
    "normal, some of it cut off": {"normal": ["50ms", "50ms"]},
    "lognormal": {"lognormal": {"p50": "300ms", "p99": "2s"}},
    "exponential": {"exponential": "20ms"},
    "gamma": {"gamma": {"mean": "200ms", "sd": "100ms"}},
    "gamma by shape": {"gamma": {"shape": 0.5, "scale": 2}},
    "samples": {"samples": ["10ms", "20ms", 0.3]},
}


class DrawTests(SynchronousTestCase):
    def test_the_mean_is_what_draws_come_to(self) -> None:
        for name, value in SOME.items():
            draws = drawn(value)
            error = 5 * stdev(draws) / MANY**0.5
            self.assertTrue(abs(made(value).mean - fmean(draws)) <= error, name)

    def test_equal_seeds_draw_equal_durations(self) -> None:
        for name, value in SOME.items():
            self.assertEqual(drawn(value, 50), drawn(value, 50), name)
            self.assertNotEqual(drawn(value, 50), drawn(value, 50, seed=2), name)

    def test_none_of_them_is_constant(self) -> None:
        self.assertEqual({made(value).constant for value in SOME.values()}, {None})

    def test_uniform_draws_fill_what_is_between(self) -> None:
        draws = drawn(SOME["uniform"])
        self.assertTrue(0.1 <= min(draws) < 0.101)
        self.assertTrue(0.299 < max(draws) <= 0.3)
        self.assert_near(quantiles(draws, n=4), [0.15, 0.2, 0.25])

    def test_normal_draws_have_their_quartiles(self) -> None:
        self.assert_near(quantiles(drawn(SOME["normal"]), n=4), [0.16628, 0.2, 0.23372])

    def test_a_normal_draw_is_never_below_zero(self) -> None:
        draws = drawn(SOME["normal, half of it cut off"])
        self.assertEqual(min(draws), 0)
        self.assert_about(draws.count(0) / MANY, 0.5, 0.02)

    def test_lognormal_draws_have_the_percentiles_that_were_asked_for(self) -> None:
        percentiles = quantiles(drawn(SOME["lognormal"]), n=100)
        self.assert_near([percentiles[49]], [0.3])
        self.assert_about(percentiles[98], 2, 0.2)

    def test_exponential_draws_have_their_quartiles(self) -> None:
        expected = [0.02 * log(4 / 3), 0.02 * log(2), 0.02 * log(4)]
        self.assert_near(quantiles(drawn(SOME["exponential"]), n=4), expected)

    def test_gamma_draws_have_the_standard_deviation_that_was_asked_for(self) -> None:
        self.assert_about(stdev(drawn(SOME["gamma"])), 0.1, 0.005)
        self.assertAlmostEqual(made(SOME["gamma"]).mean, 0.2)

    def test_gamma_by_shape_and_scale(self) -> None:
        self.assertEqual(made(SOME["gamma by shape"]).mean, 1.0)
        self.assert_about(stdev(drawn(SOME["gamma by shape"])), 2**0.5, 0.1)

    def test_samples_are_drawn_equally_often_and_nothing_else_is(self) -> None:
        draws = drawn(SOME["samples"])
        self.assertEqual(set(draws), {0.01, 0.02, 0.3})
        for sample in set(draws):
            self.assert_about(draws.count(sample) / MANY, 1 / 3, 0.02)

    def test_a_constant_takes_no_chance(self) -> None:
        for value in (
            "250ms",
            0.25,
            {"uniform": ["250ms", 0.25]},
            {"normal": ["250ms", 0]},
            {"lognormal": {"p50": "250ms", "p99": "250ms"}},
            {"gamma": {"mean": "250ms", "sd": 0}},
            {"samples": ["250ms", 0.25]},
        ):
            distribution, chance = made(value), Random(1)
            found = (distribution.constant, distribution.mean, distribution.draw(chance))
            self.assertEqual(found, (0.25, 0.25, 0.25), value)
            self.assertEqual(chance.getstate(), Random(1).getstate())
        self.assertEqual(made({"exponential": 0}).constant, 0)

    durations = st.floats(0, LONGEST) | st.floats(0, 2)

    @few
    @given(
        st.sampled_from(["uniform", "normal", "lognormal", "exponential", "mean", "shape"]),
        durations,
        durations,
    )
    def test_whatever_is_asked_for_draws_are_within_bounds(
        self, kind: str, one: float, other: float
    ) -> None:
        value: Any = {
            "lognormal": {"lognormal": {"p50": one, "p99": other}},
            "exponential": {"exponential": one},
            "mean": {"gamma": {"mean": one, "sd": other}},
            "shape": {"gamma": {"shape": one, "scale": other}},
        }.get(kind, {kind: [one, other]})
        try:
            distribution = made(value)
        except BadDuration:
            return
        draws = drawn(value, 50)
        self.assertTrue(all(0 <= draw <= LONGEST for draw in draws), draws)
        self.assertTrue(0 <= distribution.mean <= LONGEST * 1.5, distribution.mean)

    def assert_about(self, found: float, expected: float, error: float) -> None:
        self.assertTrue(abs(found - expected) <= error, f"{found} is not {expected} +- {error}")

    def assert_near(self, found: Iterable[float], expected: Iterable[float]) -> None:
        for value, wanted in zip(found, expected, strict=True):
            self.assert_about(value, wanted, wanted * 0.04)


class FileTests(SynchronousTestCase):
    def read(self, text: str) -> Distribution:
        paths = []

        def read_text(path: str) -> str:
            paths.append(path)
            return text

        distribution = compile_duration(DistributionSpec(samples="real/itl.csv"), read_text)
        self.assertEqual(paths, ["real/itl.csv"])
        return distribution

    def samples(self, text: str) -> set[float]:
        distribution, chance = self.read(text), Random(1)
        return {distribution.draw(chance) for _ in range(200)}

    def test_the_first_column_is_drawn_from(self) -> None:
        self.assertEqual(self.samples('0.25,x\n\n,y\n"500ms",z\n1e-3'), {0.25, 0.5, 0.001})
        self.assertEqual(self.read("1\n2\n6\n").mean, 3)

    def test_a_first_line_that_is_no_number_is_a_header(self) -> None:
        self.assertEqual(self.samples("\ufeff\nlatency,count\n1,5\n2s,6\n"), {1, 2})

    def test_the_unit_of_plain_numbers_may_be_in_the_header(self) -> None:
        for header, first in {
            "ttft_ms": 0.01,
            "ITL (us)": 0.00001,
            "itl [\u00b5s]": 0.00001,
            "took/s": 10,
            "took m": 600,
            "times": 10,
            "alarms": 10,
            "ms": 10,
        }.items():
            self.assertEqual(self.samples(f"{header}\n10\n2h\n"), {first, 7200}, header)

    def test_what_is_wrong_in_a_file_is_told_with_its_line(self) -> None:
        for text, reason in {
            "a\n1\nb\n": "line 3: 'b' is no duration",
            "1\n2x": "line 2: '2x' has no unit of time",
            "-1": "line 1: '-1' is no duration: that is finite",
            "a\n": "there must be at least one",
            "": "there must be at least one",
            "1" * 200_000: "field larger than field limit",
        }.items():
            error = self.assertRaises(BadDuration, self.read, text)
            self.assertIn(f"samples: real/itl.csv: {reason}", str(error))

    def test_so_is_a_file_that_cannot_be_read(self) -> None:
        for failure, reason in (
            (FileNotFoundError(2, "No such file or directory", "/somewhere"), "No such file or "),
            (OSError("it is gone"), "it is gone"),
            (ValueError("it is outside of the folder"), "it is outside of the folder"),
        ):

            def read_text(_path: str, failure: Exception = failure) -> str:
                raise failure

            spec = DistributionSpec(samples="a.csv")
            error = self.assertRaises(BadDuration, compile_duration, spec, read_text)
            self.assertIn(f"samples: a.csv: {reason}", str(error))

    def test_without_a_reader_no_file_can_be_named(self) -> None:
        error = self.assertRaises(BadDuration, made, {"samples": "a.csv"})
        self.assertEqual(str(error), "samples: a.csv: no file can be read here; give a list")


class MistakeTests(SynchronousTestCase):
    def test_a_mistake_is_told_with_its_key(self) -> None:
        for value, reason in (
            ("soon", "'soon' is no duration"),
            ({}, "a distribution is exactly one of uniform, normal, lognormal, exponential, gamma"),
            ({"exponential": 1, "normal": [1, 2]}, "exactly one of normal, exponential"),
            ({"uniform": [2, 1]}, "uniform: the first may not be longer than the second"),
            ({"uniform": ["x", 1]}, "uniform: 'x' is no duration"),
            ({"normal": [-1, 1]}, "normal: -1 is no duration"),
            ({"lognormal": {"p50": 0, "p99": 1}}, "lognormal: p50: must be above 0"),
            ({"lognormal": {"p50": 2, "p99": 1}}, "lognormal: p99: may not be shorter than p50"),
            ({"lognormal": {"p50": 2, "p99": "x"}}, "lognormal: p99: 'x' is no duration"),
            ({"exponential": "x"}, "exponential: 'x' is no duration"),
            ({"gamma": {}}, "gamma: needs mean and sd, or shape and scale"),
            ({"gamma": {"mean": 1, "scale": 1}}, "gamma: needs mean and sd, or shape and scale"),
            ({"gamma": {"mean": 1, "sd": 1, "shape": 1}}, "gamma: needs mean and sd, or"),
            ({"gamma": {"shape": 1, "scale": 1, "sd": 1}}, "gamma: needs mean and sd, or"),
            ({"gamma": {"mean": 0, "sd": 1}}, "gamma: mean: must be above 0"),
            ({"gamma": {"mean": 1, "sd": 1e-9}}, "gamma: its mean is too far from its sd"),
            ({"gamma": {"shape": 0.0, "scale": 1}}, "gamma: its mean is too far from its sd, or"),
            ({"gamma": {"shape": 1.0, "scale": 0}}, "gamma: scale: must be above 0"),
            ({"samples": []}, "samples: there must be at least one"),
            ({"samples": [1, "x"]}, "samples: 'x' is no duration"),
        ):
            error = self.assertRaises(BadDuration, made, value)
            self.assertTrue(str(error).startswith(reason) or reason in str(error), str(error))
            self.assertNotIn("\n", str(error))

    def test_a_shape_that_cannot_be_is_told_as_it_is_decoded(self) -> None:
        for value, reason in (
            ({"unifrom": [1, 2]}, "unknown field `unifrom`"),
            ({"uniform": [1]}, "length 2"),
            ({"lognormal": {"p50": 1}}, "missing required field `p99`"),
        ):
            error = self.assertRaises(msgspec.ValidationError, written, value)
            self.assertIn(reason, str(error))

    def test_the_language_has_a_schema(self) -> None:
        schema = msgspec.json.schema(DurationSpec)
        spec = schema["$defs"]["DistributionSpec"]
        self.assertEqual(
            set(spec["properties"]),
            {"uniform", "normal", "lognormal", "exponential", "gamma", "samples"},
        )
        self.assertFalse(spec["additionalProperties"])
