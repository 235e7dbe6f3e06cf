"""Noise scales: gradients that are planted, and the errors that the estimates give themselves."""

import math

import numpy as np

from harness.health.noise import common, estimate, norm_deviation

G = np.array([3.0, 0.0, 4.0, 0.0])  # |G|² = 25
DEVIATIONS = np.array([2.0, 4.0, 6.0, 8.0])  # tr Σ = 120: B_simple = 4.8


def norms(rng, batch, shape):
    return np.sum((G + DEVIATIONS / math.sqrt(batch) * rng.standard_normal((*shape, 4))) ** 2, axis=-1)


def test_by_hand():
    """|g|² of 28 with 4 samples, 25.5 with 8: the noise of one is (28 − 25.5)/(1/4 − 1/8) = 20, the signal 23."""
    found = estimate(np.array([28.0, 28.0]), np.array([25.5, 25.5]), 4, 8)
    assert (found.signal, found.variance) == (23, 20)
    assert found.scale == 20 / 23
    assert found.ratio(46) == 46 * 23 / 20


def test_estimates_have_no_bias_and_know_their_errors():
    """Over 2000 repetitions the mean of each is right within four of its errors, which are as large as they say."""
    rng = np.random.default_rng(0)
    found = [estimate(norms(rng, 4, (60,)), norms(rng, 32, (60,)), 4, 32) for _ in range(2000)]
    for truth, name in ((25, "signal"), (120, "variance")):
        values = np.array([getattr(one, name) for one in found])
        errors = np.array([getattr(one, f"{name}_error") for one in found])
        assert abs(values.mean() - truth) <= 4 * values.std() / math.sqrt(2000)
        assert math.isclose(np.sqrt(np.mean(errors**2)), values.std(), rel_tol=4 / math.sqrt(2 * 2000) + 0.02)
    scales = np.array([one.scale for one in found])
    assert math.isclose(np.median(scales), 4.8, rel_tol=0.05)
    assert math.isclose(np.median([one.scale_error for one in found]), scales.std(), rel_tol=0.2)


def test_no_signal_is_seen_where_there_is_none():
    """With G = 0 three errors are passed in 0.13 % of cases, were the estimates Gaussian; they are skewed a little."""
    rng = np.random.default_rng(0)
    tries = 2000
    small, large = (rng.chisquare(4, (tries, 100)) / batch for batch in (2, 16))
    found = [estimate(a, b, 2, 16) for a, b in zip(small, large, strict=True)]
    assert np.mean([one.signal > 3 * one.signal_error for one in found]) < 0.01
    assert all(math.isinf(one.scale_error) and math.isinf(one.scale) for one in found if one.signal <= 0)


def test_in_common_by_hand():
    """g₁ = (3, 1), g₂ = (1, −1): ⟨g₁, g₂⟩ = 2 over (10 + 2)/2 is 1/3; g₂ = −g₁ gives −1; their mean is −1/3."""
    small, large = np.array([6.0, 10.0, math.inf, 0.0]), np.array([4.0, 0.0, 1.0, 0.0])
    share, error = common(small, large)
    assert math.isclose(share, -1 / 3)
    assert math.isclose(error, (4 / 3) / math.sqrt(2) / math.sqrt(2))
    assert all(math.isnan(one) for one in common(small[2:], large[2:]))


def test_what_is_in_common_is_seen_whatever_grows_and_nothing_where_nothing_is():
    """Gradients of 60 steps, each step's of another size over 12 decades: with G = 0 in 1 of 700, were c Gaussian."""
    rng = np.random.default_rng(0)

    def seen(signal):
        halves = signal * G + DEVIATIONS * rng.standard_normal((2, 1000, 60, 4))
        halves *= 10.0 ** rng.uniform(-6, 6, (1000, 60, 1))
        small, large = np.sum(halves**2, axis=-1).mean(axis=0), np.sum(halves.mean(axis=0) ** 2, axis=-1)
        found = [common(a, b) for a, b in zip(small, large, strict=True)]
        return np.mean([share > 3 * error for share, error in found])

    assert seen(0.0) < 0.006
    assert seen(2.0) > 0.99


def test_one_norm_deviates_as_a_quadratic_form_does():
    """Noise of the same variance 9 in each of 50 directions, batch 4: from 40000 draws, to 4/√80000 = 1.4 %."""
    rng = np.random.default_rng(0)
    g = np.full(50, 0.7)
    drawn = np.sum((g + 3 / 2 * rng.standard_normal((40_000, 50))) ** 2, axis=1)
    assert math.isclose(norm_deviation(np.sum(g**2), 450, 50, 4), drawn.std(), rel_tol=0.015)
