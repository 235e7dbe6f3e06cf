"""The interval of a ratio of medians at any level, however many comparisons it is made for.

On a logarithmic scale, with the median as the middle:

    d = median(ln bᵢ − ln aᵢ)          where values come in pairs (the same session's blocks, the same seed)
    d = median(ln b) − median(ln a)    else

The interval is between two percentiles of the bootstrap's d. A correction for many comparisons looks far into its
tails, so resamples are many; that is cheap, for which of n sorted values become the middle ones of a resample does not
depend on the values: order statistics of n uniform numbers say it. Tails beyond what the resamples resolve end where no
resample can get: at the extreme values.

Percentiles of pairs are too narrow when n is small (at 95 % they cover about 93 %, far in the tails much less), and are
taken at Φ(−√(n/(n − 1)) t) instead, t the point of Student's distribution with n − 1 degrees of freedom (Hesterberg,
*What Teachers Should Know About the Bootstrap*, The American Statistician 69, 2015). Those of two independent medians
are not: a simulation in the tests holds both to their level.

With n values on each side all of them can differ in one direction by chance with probability 2·2⁻ⁿ (pairs) or
2 n! n! / (2n)!; where that is more than 1 − level allows, there is no interval.

Where each side was timed in several processes, the processes are the values: d is the difference of the means of their
logarithms, with Student's interval. The variance is pooled over all that a contender was timed on, for a few processes
hardly tell their own, but never less than these sides' own. t is that of all degrees. So where one program wobbles much
more than its contender's others, its interval is too narrow, and theirs are too wide: of one at 3 % beside 16 at 0.5 %,
four processes a side, intervals of 95 % miss 9.4 times in a hundred, those of 17 comparisons together 2.3 times instead
of 0.3 (simulated in the tests). With t of the sides' own six degrees they would not; but where all wobble alike, at
1.6 %, and 12 comparisons are made, 5 % would be found in 54 instead of 86 of a hundred.

Where only quartiles were kept: se = 1.25 (ln q₇₅ − ln q₂₅) / (1.35 √n) for the median's ln (McGill, Tukey and Larsen,
*Variations of Box Plots*, The American Statistician 32, 1978), added in quadrature, times Student's t.
"""

import functools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from harness.judge.speed import Floats, Integers, Interval

RESAMPLES = 20_000
FARTHEST = 700.0  # of a logarithm, whose number is a float still
NONE = Interval(math.nan, math.nan, math.nan)


class Quartiles(NamedTuple):
    """What is left of values that were not kept."""

    low: float
    high: float
    size: int


class Wobble(NamedTuple):
    """How far new processes of the same program are apart: the variance of the logarithm, from so many differences."""

    variance: float
    degrees: int


def paired(ratios: Floats, level: float) -> Interval:
    """The median of some ratios; without ends where their number allows none at this level."""
    logs = np.sort(np.log(ratios))
    size, alpha = logs.size, 1 - level
    value = float(np.exp(np.median(logs)))
    if size < 2 or 2 * 0.5**size > alpha:
        return Interval(value)
    reach = math.sqrt(size / (size - 1)) * float(special.stdtrit(size - 1, 1 - alpha / 2))
    low, high = _between(_medians(logs, "b"), float(special.ndtr(-reach)), (logs[0], logs[-1]))
    return Interval(value, low, high)


def apart(a: Floats, b: Floats, level: float) -> Interval:
    """Median of b over median of a, which were measured apart from each other."""
    a, b = np.sort(np.log(a)), np.sort(np.log(b))
    value = float(np.exp(np.median(b) - np.median(a)))
    alpha = 1 - level
    if 2 / math.comb(a.size + b.size, a.size) > alpha:
        return Interval(value)
    low, high = _between(_medians(b, "b") - _medians(a, "a"), alpha / 2, (b[0] - a[-1], b[-1] - a[0]))
    return Interval(value, low, high)


def wobble(groups: Iterable[Sequence[float]]) -> Wobble:
    """Pooled over groups of processes of one program each."""
    logs = [np.log(group) for group in groups if len(group) > 1]
    degrees = sum(one.size - 1 for one in logs)
    return Wobble(sum(float(one.var()) * one.size for one in logs) / degrees if degrees else math.nan, degrees)


def processes(a: Sequence[float], b: Sequence[float], pooled: Wobble, level: float) -> Interval:
    """Mean of b over mean of a, a value a process."""
    value = math.exp(float(np.log(b).mean() - np.log(a).mean()))
    variance = max(pooled.variance, wobble((a, b)).variance)
    reach = math.sqrt(variance * (1 / len(a) + 1 / len(b))) * float(special.stdtrit(pooled.degrees, (1 + level) / 2))
    reach = min(reach, FARTHEST)
    return Interval(value, value * math.exp(-reach), value * math.exp(reach))


def from_quartiles(a: float, b: float, spreads: tuple[Quartiles, Quartiles], level: float) -> Interval:
    """Median ``b`` over median ``a``, of whose values only the quartiles are known."""
    errors = [1.25 * math.log(high / low) / (1.35 * math.sqrt(size)) for low, high, size in spreads]
    degrees = min(size for *_, size in spreads) - 1
    if degrees < 1:
        return Interval(b / a)
    reach = math.hypot(*errors) * float(special.stdtrit(degrees, (1 + level) / 2))
    reach = min(reach, FARTHEST)
    return Interval(b / a, b / a * math.exp(-reach), b / a * math.exp(reach))


def _between(draws: Floats, tail: float, ends: tuple[float, float]) -> tuple[float, float]:
    """Two percentiles as ratios; the ends of what can be drawn where the tail is thinner than a resample."""
    place = int(tail * draws.size)
    if place < 1:
        low, high = ends
    else:
        low, high = np.partition(draws, (place - 1, draws.size - place))[[place - 1, draws.size - place]]
    return math.exp(low), math.exp(high)


def _medians(ordered: Floats, side: str) -> Floats:
    """The medians of resamples of some sorted values."""
    low, high = _middles(ordered.size, side)
    return np.asarray((ordered[low] + ordered[high]) / 2)


@functools.lru_cache(maxsize=16)
def _middles(size: int, side: str) -> tuple[Integers, Integers]:
    """Which sorted values are the middle ones of each resample; the two sides' are independent.

    The k-th of n uniform numbers has the distribution Beta(k, n − k + 1); given it, the next one's share of what is
    left above has Beta(1, n − k).
    """
    rng = np.random.default_rng([size, ord(side)])
    rank = (size + 1) // 2
    low = rng.beta(rank, size - rank + 1, RESAMPLES)
    high = low + (1 - low) * rng.beta(1, size - rank, RESAMPLES) if size % 2 == 0 else low
    first, second = (np.minimum((uniform * size).astype(np.int64), size - 1) for uniform in (low, high))
    return first, second
