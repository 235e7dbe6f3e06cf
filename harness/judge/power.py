"""How long to measure, so that a difference is seen; and how often something happens, with its bounds.

What is compared is the median of n ratios of blocks that were timed in turn. Let σ be the spread of ln(ratio), from its
median absolute deviation, MAD/0.6745, so that a few disturbed blocks do not count. The median of n such numbers has the
standard error s = σ√(π/2)/√n (for a normal distribution: 1/(2f(0)√n), f(0) = 1/(σ√(2π))). A verdict asks that the
median be √(n/(n − 1)) t of its standard errors from 0, t the point 1 − α/2 of Student's distribution with n − 1 degrees
of freedom (``ratio_interval.paired``). Where the difference is ln(1 + δ), the median over its estimated error has about
the noncentral distribution of these degrees: n is the least for which

    P(T > √(n/(n − 1)) t) ≥ p,   T noncentral t, n − 1 degrees of freedom, noncentrality ln(1 + δ)/s.

Simulated, 88 to 91 % are found where p is 90 % (in the tests).

How often: k of n, with the one-sided bounds of Clopper & Pearson (1934), which are quantiles of Beta(k, n − k + 1) and
Beta(k + 1, n − k).
"""

import itertools
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
    if not sigma:
        return FEWEST_BLOCKS
    error = math.sqrt(math.pi / 2) * sigma / math.log1p(difference)  # of one ratio, in differences

    def finds(n: int) -> bool:
        reach = math.sqrt(n / (n - 1)) * special.stdtrit(n - 1, 1 - level / 2)
        return bool(special.nctdtr(n - 1, math.sqrt(n) / error, reach) <= 1 - power)

    normal = (error * (special.ndtri(1 - level / 2) + special.ndtri(power))) ** 2  # Student's asks for more
    return next(n for n in itertools.count(max(FEWEST_BLOCKS, math.floor(normal))) if finds(n))


def rate(events: int, trials: int) -> Rate:
    """The share with its Clopper–Pearson bounds, each of which is exceeded with probability 5 % at most."""
    low = special.betaincinv(events, trials - events + 1, 0.05) if events else 0.0
    high = special.betaincinv(events + 1, trials - events, 0.95) if events < trials else 1.0
    return Rate(events, trials, float(low), float(high))
