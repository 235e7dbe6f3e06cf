"""How long to measure, held against simulation; how often, held against tables."""

import math

import numpy as np
import pytest

from harness.judge import power, ratio_interval, speed
from harness.judge.speed import FEWEST_BLOCKS


def test_the_bounds_are_clopper_and_pearsons():
    # k = 0: the upper bound u solves (1 − u)ⁿ = 0.05. k = n: the lower one l solves lⁿ = 0.05.
    none, all_ = power.rate(0, 300), power.rate(300, 300)
    assert (none.low, none.high) == pytest.approx((0.0, 1 - 0.05 ** (1 / 300)))
    assert (all_.low, all_.high) == pytest.approx((0.05 ** (1 / 300), 1.0))
    assert (all_.value, none.value) == (1.0, 0.0)


def test_the_bounds_in_between_leave_five_percent_on_either_side():
    # P(X ≤ 3 | 20 trials, the upper bound) = P(X ≥ 3 | 20 trials, the lower bound) = 0.05, summed by hand.
    found = power.rate(3, 20)
    below = sum(math.comb(20, k) * found.high**k * (1 - found.high) ** (20 - k) for k in range(4))
    above = sum(math.comb(20, k) * found.low**k * (1 - found.low) ** (20 - k) for k in range(3, 21))
    assert (below, above) == pytest.approx((0.05, 0.05))


def test_the_spread_is_the_standard_deviation_of_normal_logs_and_forgets_the_disturbed():
    logs = np.random.default_rng(0).normal(0.1, 0.03, 20_000)
    assert power.spread(np.exp(logs)) == pytest.approx(0.03, rel=0.03)
    disturbed = np.where(np.arange(20_000) % 20 == 0, logs + 2, logs)
    assert power.spread(np.exp(disturbed)) == pytest.approx(0.03, rel=0.1)


@pytest.mark.parametrize("sigma", [0.02, 0.03, 0.05, 0.08, 0.16])
def test_so_many_blocks_find_the_difference_as_often_as_is_said(sigma):
    needed = power.blocks_needed(sigma, difference=0.05, power=0.9)
    draws, trials = np.random.default_rng(1), 1000
    found = 0
    for ratios in 1.05 * np.exp(draws.normal(0, sigma, (trials, needed))):
        interval = ratio_interval.paired(ratios, 0.95)
        found += interval.low > 1 and interval.value > 1 + speed.MARGIN
    # The bootstrap of a median is a little bolder or shyer than Student's test of the formula. Few are enough at 2 %.
    assert 0.87 <= found / trials <= (0.93 if needed > FEWEST_BLOCKS else 1.0)


def test_twice_the_noise_takes_four_times_as_many_blocks_and_quiet_machines_the_fewest():
    # Less what Student's t of few asks for beyond the normal distribution: two blocks or so, four times over.
    assert power.blocks_needed(0.4) == pytest.approx(4 * power.blocks_needed(0.2), abs=12)
    assert power.blocks_needed(0.0) == FEWEST_BLOCKS
