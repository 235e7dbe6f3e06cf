"""What one wide layer at its start does to a signal: averages of an activation over Gaussian pre-activations.

In the limit of infinite width a unit's pre-activation is √q·z, z ~ N(0, 1), and a layer acts on a signal by a few
numbers (Poole et al. 2016; Schoenholz et al. 2017):

    V(q) = E[φ(√q z)²]      the mean square of the outputs
    m(q) = E[φ(√q z)]       their mean
    χ(q) = E[φ'(√q z)²]     what a squared gradient is multiplied by on its way back

The averages are integrals over |z| ≤ 12, where the density has fallen to e⁻⁷², in panels that shrink towards 0: there
the kinks lie, which are so never inside a panel, and there a steep sigmoid turns.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from harness.health.elementwise import both
from harness.problems.data import Floats
from harness.spec.activations import Elementwise, Exponential

ORDERS = 64  # Hermite polynomials that a pair of pre-activations is expanded in


@dataclass(frozen=True)
class Averages:
    """Of one activation at pre-activations of variance q, each of q's shape."""

    square: Floats  # V = E φ²
    mean: Floats  # m = E φ
    slope: Floats  # χ = E φ'²
    fourth: Floats  # E φ⁴
    slope_fourth: Floats  # E φ'⁴
    both: Floats  # E φ²φ'²
    response: Floats  # d ln V/d ln q
    slope_response: Floats  # d ln χ/d ln q


def averages(layer: Elementwise, q: Floats) -> Averages:
    """All of them. The responses by Stein's lemma: 2q·dV/dq = E[(z² − 1)φ²], and likewise of φ'.

    The exponential's are known, E e^(k√q z) = e^(k²q/2), and lie far out, where no panel is.
    """
    if isinstance(layer, Exponential):
        with np.errstate(over="ignore"):
            square, mean, fourth = np.exp(2 * q), np.exp(q / 2), np.exp(8 * q)
        return Averages(square, mean, square, fourth, fourth, fourth, 2 * q, 2 * q)
    z, weights = nodes()
    with np.errstate(all="ignore"):
        value, slope = both(layer, np.sqrt(np.asarray(q))[..., None] * z)
        squares, slopes = value**2, slope**2
        v, chi = squares @ weights, slopes @ weights
        bend = weights * (z**2 - 1)
        return Averages(
            v,
            value @ weights,
            chi,
            squares**2 @ weights,
            slopes**2 @ weights,
            squares * slopes @ weights,
            squares @ bend / (2 * v),
            slopes @ bend / (2 * chi),
        )


@cache
def nodes() -> tuple[Floats, Floats]:
    """Points z and weights w with Σ w f(z) = E f(z), z ~ N(0, 1): Gauss-Legendre in each panel."""
    edges = np.concatenate([[0.0], 2.0 ** np.arange(-12, 0), np.arange(1.0, 13.0)])
    points, weights = np.polynomial.legendre.leggauss(16)
    middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    z = (middle[:, None] + half[:, None] * points).ravel()
    w = (half[:, None] * weights).ravel() * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return np.concatenate([-z[::-1], z]), np.concatenate([w[::-1], w])


@cache
def hermite() -> Floats:
    """(ORDERS, nodes) of w·hₖ(z), hₖ the polynomials that are orthonormal under N(0, 1)."""
    z, w = nodes()
    rows = [np.ones_like(z), z]
    for k in range(2, ORDERS):
        rows.append((z * rows[-1] - math.sqrt(k - 1) * rows[-2]) / math.sqrt(k))
    return np.stack(rows) * w


Phase = Literal["ordered", "critical", "chaotic"]


@dataclass(frozen=True)
class Depth:
    """Where a deep network of equal layers ends up (Schoenholz et al. 2017)."""

    q: float  # the variance of pre-activations that layers converge to; 0 or inf where there is no other
    chi: float  # χ₁ = σ_w²·χ(q): the squared gradient's factor a layer
    scale: float  # ξ = 1/|ln χ₁|: layers over which the squared gradient changes by e

    @property
    def phase(self) -> Phase:
        """Ordered: gradients vanish; chaotic: they explode; critical where it would take a thousand layers to."""
        if self.scale > 1000:
            return "critical"
        return "ordered" if self.chi < 1 else "chaotic"


def depth(layer: Elementwise, weight: float, bias: float = 0.0, q: float = 1.0) -> Depth:
    """Iterate q ← σ_w²V(q) + σ_b² from ``q``: σ_w² = fan_in·Var(weights), the ``weight``; σ_b² = Var(biases).

    Critical networks converge as 1/depth only, so after 4000 layers what is left is the answer.
    """
    for _ in range(4000):
        before, q = q, weight * float(averages(layer, np.array(q)).square) + bias
        if not 1e-300 < q < 1e300:
            q = 0.0 if q < 1 else math.inf
            break
        if abs(q - before) <= 1e-14 * q:
            break
    chi = weight * float(averages(layer, np.array(min(max(q, 1e-300), 1e300))).slope)
    return Depth(q, chi, 1 / abs(math.log(chi)) if chi > 0 and chi != 1 else math.inf if chi else 0.0)
