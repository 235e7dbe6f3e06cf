"""What floating point can see: neighbours of numbers, and sums whose exact value is known."""

import math

import numpy as np
import pytest

from harness.health.precision import frozen, half_ulp, rounding_floor, smallest, unit


@pytest.mark.parametrize(("precision", "bits"), [("float32", 23), ("float64", 52)])
def test_half_a_unit_in_the_last_place(precision, bits):
    """By hand: next to 1 lie 1 + 2⁻²³ and 1 − 2⁻²⁴. A step of less than half of that is lost, one of more is not."""
    ulp = 2.0**-bits
    w = np.array([1.0, 1.0, 1.0, 1.0, 4.0, 0.0, -1.0])
    steps = np.array([-0.49 * ulp, -0.51 * ulp, 0.24 * ulp, 0.26 * ulp, -1.9 * ulp, 1e-30, 0.0])
    assert frozen(w, steps, precision).tolist() == [True, False, True, False, True, False, False]
    assert half_ulp(w, precision)[:1].tolist() == [ulp / 2]
    assert unit(precision) == ulp / 2
    assert smallest(precision) == (2.0**-126 if precision == "float32" else 2.0**-1022)


@pytest.mark.parametrize("terms", [100, 3000])
def test_the_rounding_floor_of_a_sum(terms):
    """Terms that cancel, added one after another in float32: the root mean square of 300 sums, whose exact value is 0.

    The floor is above it, by less than ten: that additions round as badly as they can at each step is its worst case.
    """
    rng = np.random.default_rng(0)
    half = rng.standard_normal((300, terms // 2))
    values = rng.permuted(np.concatenate([half, -half], axis=1), axis=1)
    sums = np.cumsum(values.astype(np.float32), axis=1, dtype=np.float32)[:, -1]
    seen = math.sqrt(np.mean(sums.astype(np.float64) ** 2))
    floor = rounding_floor(1.0, terms, "float32")
    assert floor / 10 < seen < floor
    assert rounding_floor(1.0, terms, "float64") < 1e-8 * floor


def test_the_error_of_terms_adds_like_a_random_walk():
    """Each with an error of its own of 1e-3, which dwarfs that of the additions: 1e-3·√n of the size, here of 2."""
    assert math.isclose(rounding_floor(2.0, 10_000, "float64", 1e-3), 2 * 1e-3 * 100, rel_tol=1e-6)
