"""Intervals of ratios against what is worked out by hand, order statistics, and simulated coverage."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from harness.judge import ratio_interval
from harness.judge.ratio_interval import Quartiles


def test_the_median_of_a_resample_has_the_distribution_that_all_resamples_have():
    # All 4⁴ resamples of four values, against the drawn ones.
    values = np.array([0.0, 1.0, 2.0, 4.0])
    every = [float(np.median(one)) for one in itertools.product(values, repeat=4)]
    drawn = ratio_interval._medians(values, "a")
    for point in (0.5, 1.0, 1.5, 2.0, 3.0):
        expected = np.mean(np.array(every) < point)
        assert np.mean(drawn < point) == pytest.approx(expected, abs=5 * math.sqrt(0.25 / drawn.size))


def test_the_two_sides_are_resampled_independently():
    a, b = (ratio_interval._medians(np.arange(9.0), side) for side in "ab")
    assert abs(np.corrcoef(a, b)[0, 1]) < 5 / math.sqrt(a.size)


def test_values_that_do_not_overlap_leave_one_out_at_any_level():
    found = ratio_interval.apart(np.linspace(1, 2, 11), np.linspace(2.1, 3, 11), level=1 - 1e-4)
    assert found.value == pytest.approx(2.55 / 1.5)
    assert found.low == pytest.approx(2.1 / 2)  # nothing further can be drawn
    assert found.high == pytest.approx(3.0)


def test_too_few_values_have_no_interval_at_a_high_level():
    six = np.arange(1.0, 7.0)
    # 2·6!·6!/12! = 1/462; 2·2⁻⁶ = 1/32
    assert math.isnan(ratio_interval.apart(six, six, 1 - 1 / 463).low)
    assert not math.isnan(ratio_interval.apart(six, six, 1 - 1 / 461).low)
    assert math.isnan(ratio_interval.paired(six, 1 - 1 / 33).low)
    assert not math.isnan(ratio_interval.paired(six, 1 - 1 / 31).low)


def test_quartiles_alone_give_the_standard_error_of_mcgill_tukey_and_larsen():
    spread = Quartiles(math.exp(-0.27), math.exp(0.27), 25)  # IQR 0.54: se = 1.25·0.54/(1.35·5) = 0.1
    found = ratio_interval.from_quartiles(1.0, 2.0, (spread, spread), 0.95)
    reach = 0.1 * math.sqrt(2) * stats.t.ppf(0.975, 24)
    assert (found.value, found.low, found.high) == pytest.approx((2, 2 * math.exp(-reach), 2 * math.exp(reach)))


NOISE = {
    "normal": lambda rng, size: rng.normal(0, 0.05, size),
    "heavy": lambda rng, size: 0.05 * rng.standard_t(3, size),
    "slow moments": lambda rng, size: (
        rng.normal(0, 0.05, size) + (rng.random(size) < 0.15) * rng.exponential(0.5, size)
    ),
}
TRIALS = 400


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize(("kind", "size"), [("apart", 10), ("apart", 20), ("paired", 10), ("paired", 20)])
def test_intervals_cover_what_they_say_at_least(noise, kind, size):
    rng = np.random.default_rng(size)
    covered = 0
    for _ in range(TRIALS):
        a, b = (np.exp(NOISE[noise](rng, size)) for _ in range(2))
        found = ratio_interval.paired(b / a, 0.95) if kind == "paired" else ratio_interval.apart(a, b, 0.95)
        covered += found.low <= 1 <= found.high
    # Right at 95 % this many or fewer happen once in 10⁵.
    assert covered >= stats.binom.ppf(1e-5, TRIALS, 0.95)


@pytest.mark.parametrize(("kind", "size", "family"), [("apart", 10, 30), ("paired", 14, 30)])
def test_families_of_comparisons_raise_a_false_alarm_as_seldom_as_they_say(kind, size, family):
    rng = np.random.default_rng(family)
    level, families, alarms = 1 - 0.05 / family, 60, 0
    for _ in range(families):
        wrong = 0
        for _ in range(family):
            a, b = (np.exp(rng.normal(0, 0.05, size)) for _ in range(2))
            found = ratio_interval.paired(b / a, level) if kind == "paired" else ratio_interval.apart(a, b, level)
            wrong += found.low > 1 or found.high < 1
        alarms += wrong > 0
    assert alarms <= stats.binom.ppf(1 - 1e-5, families, 0.05)  # 12 of 60; without correction 47 are expected


def test_a_difference_beyond_the_noise_is_found_among_many_comparisons():
    rng = np.random.default_rng(0)
    level, found = 1 - 0.05 / 100, 0
    for _ in range(50):
        a, b = np.exp(rng.normal(0, 0.02, 10)), 1.1 * np.exp(rng.normal(0, 0.02, 10))
        found += ratio_interval.apart(a, b, level).low > 1
    assert found >= 45


@pytest.mark.parametrize(("level", "misses"), [(0.95, 0.094), (1 - 0.05 / 17, 0.023)])
def test_what_wobbles_much_more_than_others_is_missed_as_often_as_is_said(level, misses):
    """As own variances of six degrees are, at the t of all 102."""
    assert 2 * stats.t.sf(stats.t.ppf((1 + level) / 2, 102), 6) == pytest.approx(misses, abs=0.001)
    rng, trials, missed = np.random.default_rng(17), 2000, 0
    for _ in range(trials):
        logs = rng.normal(0, np.array([0.03] + [0.005] * 16)[:, None], (2, 17, 4))
        (a, *others), (b, *more) = np.exp(logs)
        found = ratio_interval.processes(a, b, ratio_interval.wobble([a, b, *others, *more]), level)
        missed += found.low > 1 or found.high < 1
    assert missed / trials == pytest.approx(misses, abs=4 * math.sqrt(misses / trials))


@pytest.mark.parametrize(("wobbles", "comparisons"), [((0.01,), 1), ((0.01,), 12), ((0.005, 0.02), 12)])
@pytest.mark.parametrize("level", [0.95, 1 - 0.05 / 12])
def test_means_of_processes_cover_what_they_say(wobbles, comparisons, level):
    """At least: by all that one contender was timed on. Of what wobbles four times as much, three misses for one."""
    rng, covered = np.random.default_rng(comparisons), np.zeros(comparisons)
    trials = 3 * TRIALS // comparisons
    for _ in range(trials):
        sides = [
            [np.exp(rng.normal(0, wobbles[place % len(wobbles)], 4)) for place in range(comparisons)] for _ in range(2)
        ]
        pooled = ratio_interval.wobble(sides[0] + sides[1])
        assert pooled.degrees == 6 * comparisons
        for place, (a, b) in enumerate(zip(*sides, strict=True)):
            found = ratio_interval.processes(a, b, pooled, level)
            covered[place] += found.low <= 1 <= found.high
    assert covered.sum() >= stats.binom.ppf(1e-5, trials * comparisons, level)
    for place in range(len(wobbles)):
        own = covered[place :: len(wobbles)]
        assert own.sum() >= stats.binom.ppf(1e-5, trials * own.size, 1 - 3 * (1 - level))
