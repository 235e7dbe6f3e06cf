"""Moving averages kept without their constant: M = m/(1 − β) obeys M ← βM + x, one pass over memory less.

The scalars that this leaves, with the bias corrections, are gathered into one factor of the step.
"""

import math

import numpy as np

from backends.numpy.flat import Array


def fold(x: Array, beta: float | Array, into: Array) -> None:
    """M ← βM + x."""
    np.multiply(into, beta, into)
    np.add(into, x, into)


def fold_square(x: Array, beta: float | Array, into: Array, square: Array) -> None:
    """V ← βV + x², by way of the buffer ``square``."""
    np.multiply(x, x, square)
    fold(square, beta, into)


def root(v: Array, k: float, eps: float, placement: str, out: Array) -> None:
    """√(kV + ε)/√k for ε inside, (√(kV) + ε)/√k for ε outside."""
    if placement == "inside":
        np.add(v, eps / k, out=out)
        np.sqrt(out, out=out)
    else:
        np.sqrt(v, out=out)
        np.add(out, eps / math.sqrt(k), out=out)
