"""How long to measure, so that a difference is seen; and how often something happens, with its bounds.

What is compared is the median of n ratios of blocks that were timed in turn. Let σ be the spread of ln(ratio), from its
median absolute deviation, MAD/0.6745, so that a few disturbed blocks do not count. The median of n such numbers has the
standard error σ√(π/2)/√n (for a normal distribution: 1/(2f(0)√n), f(0) = 1/(σ√(2π))). A two-sided test at level α finds
a difference of ln(1 + δ) with probability p when that is z₁₋α/₂ + z_p standard errors, so

    n = (π/2)·((z₁₋α/₂ + z_p)·σ/ln(1 + δ))².

How often: k of n, with the one-sided bounds of Clopper & Pearson (1934), which are quantiles of Beta(k, n − k + 1) and
Beta(k + 1, n − k).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from harness.judge.speed import FEWEST_BLOCKS

DIFFERENCE, POWER, LEVEL = 0.05, 0.9, 0.05
NORMAL_MAD = float(special.ndtri(0.75))  # 0.6745, the median absolute deviation of a standard normal


class Rate(NamedTuple):
    """How often something happened, with one-sided 95 % bounds."""

    events: int
    trials: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share."""
        return self.events / self.trials


def spread(ratios: ArrayLike) -> float:
    """σ of ln(ratio), robust."""
    logs = np.log(np.asarray(ratios, dtype=float))
    return float(np.median(np.abs(logs - np.median(logs)))) / NORMAL_MAD


def blocks_needed(sigma: float, difference: float = DIFFERENCE, power: float = POWER, level: float = LEVEL) -> int:
    """n, but no fewer than the verdicts ask for."""
    deviations = special.ndtri(1 - level / 2) + special.ndtri(power)
    needed = math.pi / 2 * (deviations * sigma / math.log1p(difference)) ** 2
    return max(FEWEST_BLOCKS, math.ceil(needed))


def rate(events: int, trials: int) -> Rate:
    """The share with its Clopper–Pearson bounds, each of which is exceeded with probability 5 % at most."""
    low = special.betaincinv(events, trials - events + 1, 0.05) if events else 0.0
    high = special.betaincinv(events + 1, trials - events, 0.95) if events < trials else 1.0
    return Rate(events, trials, float(low), float(high))
