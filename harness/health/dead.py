"""Units that never fire, by chance of the draw alone.

A ReLU unit is dead on some data if it is inactive on all of it: then no gradient reaches its weights, and only a change
of the layers below can revive it. Inactive on a part of the data is healthy: half of all units are, on one input.
"""

import math

import numpy as np
from scipy.special import ndtr
from scipy.stats import binom

from harness.health.field import gaussian
from harness.health.mean_field import nodes
from harness.problems.data import Floats


def born_dead(widths: tuple[int, ...]) -> float:
    """That a ReLU network gives one input away at its start: some hidden layer has no active unit (Lu et al. 2020).

    Symmetric weights, biases 0: each unit is active with probability ½, whatever the others do, so that a layer of N is
    all inactive with 2⁻ᴺ, and of all layers none is with Π(1 − 2⁻ᴺ). Of L equal ones: 1 − (1 − 2⁻ᴺ)ᴸ.
    """
    return -math.expm1(sum(math.log1p(-(2.0**-width)) for width in widths))


def inactive_on_both(correlation: float) -> float:
    """That a unit is inactive on two inputs: (π − θ)/2π, cos θ the correlation of its pre-activations there."""
    return (math.pi - math.acos(correlation)) / (2 * math.pi)


def inactive_on_all(samples: int, correlation: float) -> float:
    """That a unit is inactive on so many inputs, each two of the same correlation ρ ≥ 0.

    They share √ρ·z: E Φ(√(ρ/(1 − ρ))z)ⁿ; ½ for ρ = 1 and 2⁻ⁿ for ρ = 0.
    """
    if correlation >= 1:
        return 0.5
    z, weights = nodes()
    return float(ndtr(math.sqrt(correlation / (1 - correlation)) * z) ** samples @ weights)


def inactive_on_data(kernel: Floats) -> tuple[float, float]:
    """That a unit whose pre-activations on the data have covariance K is inactive on all: by draws, with its error.

    Given the layers below, the units of a layer are independent, so that of N their number is binomial: what is dead at
    the start beyond that, was made so. The error is one standard deviation of the estimate; where no draw was
    inactive, of the probability of which one in as many draws would be.
    """
    drawn = gaussian(kernel, 0)()
    share = float(np.mean((drawn <= 0).all(axis=1)))
    seen = min(max(share, 1 / len(drawn)), 1 - 1 / len(drawn))
    return share, math.sqrt(seen * (1 - seen) / len(drawn))


def unlikely_count(units: int, probability: float, level: float) -> int:
    """The least number of dead units of a layer that chance exceeds with at most the probability ``level``."""
    return int(binom.isf(level, units, probability))
