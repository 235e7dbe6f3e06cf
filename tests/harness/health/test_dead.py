"""Units that are dead by chance: against counting in drawn networks, and small cases by hand."""

import math

import numpy as np
import pytest

from harness.health.dead import born_dead, inactive_on_all, inactive_on_both, inactive_on_data, unlikely_count


def test_born_dead_by_hand():
    """Two layers of one unit: dead unless both fire, ¾. Two of two: 1 − (¾)² = 7/16."""
    assert born_dead((1, 1)) == 0.75
    assert math.isclose(born_dead((2, 2)), 7 / 16)
    assert math.isclose(born_dead((60,)), 2.0**-60)  # and no rounding to 0


@pytest.mark.parametrize(("width", "depth"), [(2, 3), (3, 8), (5, 10)])
def test_born_dead_networks(width, depth):
    """Some hidden layer is all inactive on an input: of 20000 networks, within four deviations of a binomial."""
    rng, draws = np.random.default_rng(0), 20_000
    x, dead = np.ones((draws, 1, width)), np.zeros(draws, dtype=bool)
    for _ in range(depth):
        x = np.maximum(x @ rng.standard_normal((draws, width, width)), 0)
        dead |= ~x.any(axis=(1, 2))
    p = born_dead((width,) * depth)
    assert abs(dead.mean() - p) <= 4 * math.sqrt(p * (1 - p) / draws)


def test_inactive_by_hand():
    """Of two inputs: both ½ if they are one, ¼ at right angles, ⅓ at 60°, never if opposite. Of n: 2⁻ⁿ to ½."""
    assert [inactive_on_both(c) for c in (1, 0, -1)] == [0.5, 0.25, 0]
    assert math.isclose(inactive_on_both(0.5), 1 / 3)
    assert math.isclose(inactive_on_all(2, 0.5), 1 / 3)
    assert math.isclose(inactive_on_all(3, 0.5), 1 / 4)  # one of four equal ones is the least: 1/(n + 1)
    assert math.isclose(inactive_on_all(10, 0.0), 2.0**-10)
    assert inactive_on_all(10, 1.0) == 0.5


def test_inactive_on_data():
    """By draws, against what equal correlations give, and in a layer that is drawn."""
    kernel = np.full((12, 12), 0.7) + 0.3 * np.eye(12)
    share, error = inactive_on_data(kernel)
    assert abs(share - inactive_on_all(12, 0.7)) <= 4 * error
    rng = np.random.default_rng(1)
    x = rng.standard_normal((12, 5)) + 2
    inactive = (x @ rng.standard_normal((5, 20_000)) <= 0).all(axis=0).mean()
    share, error = inactive_on_data(x @ x.T)
    assert abs(share - inactive) <= 4 * math.sqrt(2) * error
    assert inactive_on_data(np.eye(40)) == (0.0, pytest.approx(1 / 20_000, rel=0.01))


def test_more_than_chance():
    """Of 64 units with probability 0.01: more than 3 in 0.394 % of draws, more than 4 in 0.05 %."""
    assert unlikely_count(64, 0.01, 0.0040) == 3
    assert unlikely_count(64, 0.01, 0.0039) == 4
    assert unlikely_count(64, 0.0, 1e-3) == 0
