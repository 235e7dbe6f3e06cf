"""Whether a gradient is signal or noise: the gradient noise scale (McCandlish et al. 2018).

A batch of B samples has the gradient G + noise of covariance Σ/B, so that E|g_B|² = |G|² + tr Σ/B. Two batch sizes tell
the two terms apart, without a bias:

    |G|² = (B|g_B|² − b|g_b|²)/(B − b)        tr Σ = (|g_b|² − |g_B|²)/(1/b − 1/B)

B_simple = tr Σ/|G|² is the batch at which both are equal: a batch B has the squared signal-to-noise ratio B/B_simple. A
ratio of means is biased, and a single |G|² may well be negative: so the two are averaged over steps before dividing,
and their errors are those of the averages.
"""

import math
from dataclasses import dataclass

import numpy as np

from harness.problems.data import Floats


@dataclass(frozen=True)
class Noise:
    """Estimates with their standard errors over ``steps`` independent pairs of batches."""

    signal: float  # |G|², unbiased: may be negative where there is none
    signal_error: float
    variance: float  # tr Σ, of one sample
    variance_error: float
    covariance: float  # of the two estimates, which are made of the same gradients
    steps: int

    @property
    def scale(self) -> float:
        """B_simple; infinite where no signal was seen."""
        return self.variance / self.signal if self.signal > 0 else math.inf

    @property
    def scale_error(self) -> float:
        """One standard error, to first order; infinite where no signal was seen."""
        if self.signal <= 0:
            return math.inf
        a, b = 1 / self.signal, -self.variance / self.signal**2
        square = (a * self.variance_error) ** 2 + (b * self.signal_error) ** 2 + 2 * a * b * self.covariance
        return math.sqrt(max(square, 0.0))

    def ratio(self, batch: int) -> float:
        """|G|²/(tr Σ/B): the squared signal-to-noise ratio of the gradient of a batch."""
        return self.signal * batch / self.variance if self.variance > 0 else math.inf


def estimate(small: Floats, large: Floats, b: int, big: int) -> Noise:
    """From |g|² of batches of ``b`` and of ``big`` > b samples, (steps,) each, two steps or more.

    Where a step has several small batches, ``small`` is the mean of their |g|², and the large one may be made of them.
    """
    signals = (big * large - b * small) / (big - b)
    variances = (small - large) / (1 / b - 1 / big)
    errors = np.cov(signals, variances) / len(signals)
    return Noise(
        float(np.mean(signals)),
        math.sqrt(errors[0, 0]),
        float(np.mean(variances)),
        math.sqrt(errors[1, 1]),
        float(errors[0, 1]),
        len(signals),
    )


def common(small: Floats, large: Floats) -> tuple[float, float]:
    """What the two halves of batches have in common: the mean over the steps of c, and its standard error.

    c = ⟨g₁, g₂⟩/(½|g₁|² + ½|g₂|²), from −1 to 1, of the halves' gradients; ``small`` is ½|g₁|² + ½|g₂|² and ``large``
    |½g₁ + ½g₂|², so that ⟨g₁, g₂⟩ = 2 large − small, which is |G|² on average. Where G = 0 and noise is as likely to
    point the other way, c is 0 on average. All steps count as much: where gradients grow by orders of magnitude, a
    mean of |G|² is that of the largest, and its error too. NaN where no gradient is finite and not 0.
    """
    some = np.isfinite(large) & np.isfinite(small) & (small > 0)
    shares = (2 * large[some] - small[some]) / small[some]
    if len(shares) < 2:
        return math.nan, math.nan
    return float(shares.mean()), float(shares.std(ddof=1) / math.sqrt(len(shares)))


def norm_deviation(signal: float, variance: float, freedom: float, batch: int) -> float:
    """Standard deviation of one |g_B|²: of a Gaussian gradient with Σ spread evenly over ``freedom`` directions.

    Var = 2 tr Σ²/B² + 4GᵀΣG/B (of a quadratic form), with tr Σ² = (tr Σ)²/freedom and GᵀΣG = |G|² tr Σ/freedom.
    """
    of_noise = 2 * variance**2 / (freedom * batch**2)
    return math.sqrt(of_noise + 4 * signal * variance / (freedom * batch))
