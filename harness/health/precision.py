"""What floating point can still see: the least change of a weight, and how much of a sum is rounding."""

import math
from typing import Literal

import numpy as np

from harness.problems.data import Floats

Precision = Literal["float32", "float64"]


def frozen(weights: Floats, steps: Floats, precision: Precision) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Where w − Δ is w: |Δ| is less than half the distance to the next number (IEEE 754, to nearest, ties to even).

    Whatever the gradient's size: Δ is what the optimizer makes of it. The distance below a power of two is half of
    that above, and a tie goes to the even number; so w − Δ itself is rounded, and compared. A weight that should not
    move (Δ = 0) is not frozen but at rest.
    """
    w = weights.astype(precision)
    return np.asarray(np.equal(w - steps.astype(precision), w) & np.not_equal(steps, 0), dtype=np.bool_)


def half_ulp(weights: Floats, precision: Precision) -> Floats:
    """Half the distance from each |w| to the next larger number."""
    return np.asarray(np.spacing(np.abs(weights).astype(precision)), dtype=np.float64) / 2


def unit(precision: Precision) -> float:
    """u, the largest relative error of one rounding: 2⁻²⁴ or 2⁻⁵³."""
    return float(np.finfo(precision).eps) / 2


def rounding_floor(size: float, terms: int, precision: Precision, error: float | None = None) -> float:
    """What rounding leaves of a sum of ``terms`` numbers that cancel, whose squares have the mean size².

    Each of n terms carries its own relative ``error``, of the order of u, and these add like a random walk, to
    error·size·√n. The additions, whose partial sums grow like size·√k, add at most u·size·√(Σk) = u·size·n/√2, where
    they are made one after another (Higham & Mary 2019; pairwise sums make √(n log n) of the n). A norm below this
    floor says nothing.
    """
    u = unit(precision)
    own = (u if error is None else error) * size * math.sqrt(terms)
    return math.hypot(own, u * size * terms / math.sqrt(2))


def smallest(precision: Precision) -> float:
    """Numbers below this have lost digits (subnormal), and a square of one below its root is 0 or nearly so."""
    return float(np.finfo(precision).tiny)
