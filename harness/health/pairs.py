"""What an activation does to a pair of correlated pre-activations, for all pairs of a batch at once.

K is a matrix of covariances of pre-activations, those of one unit at the samples (and places) of a batch. Behind an
activation it is E[φ(u)φ(v)], and on the way back a matrix of gradients is multiplied, element by element, by
E[φ'(u)φ'(v)], (u, v) ~ N(0, [[Kₐₐ, Kₐᵦ], [Kₐᵦ, Kᵦᵦ]]).
"""

import numpy as np

from harness.health.elementwise import both
from harness.health.mean_field import ORDERS, hermite, nodes
from harness.problems.data import Floats
from harness.spec.activations import Elementwise, Exponential, LeakyRelu, Linear, Relu


def through(layer: Elementwise, kernel: Floats) -> tuple[Floats, Floats]:
    """(E[φ(u)φ(v)], E[φ'(u)φ'(v)]) for every pair."""
    return between(layer, kernel, np.diag(kernel), np.diag(kernel))


def between(layer: Elementwise, kernel: Floats, left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """The same for the pairs of two groups, whose variances are ``left`` (rows) and ``right`` (columns).

    ReLU, θ the angle between u and v: √(KₐₐKᵦᵦ)(sin θ + (π − θ)cos θ)/2π and (π − θ)/2π (Cho & Saul 2009); leaky ReLU
    is slope·u + (1 − slope)·ReLU(u). The exponential: e^((Kₐₐ + Kᵦᵦ)/2 + Kₐᵦ). All others by Mehler's series.
    """
    match layer:
        case Linear():
            return kernel, np.ones_like(kernel)
        case Relu():
            return _relu(kernel, left, right, 0.0)
        case LeakyRelu(slope=slope):
            return _relu(kernel, left, right, slope)
        case Exponential():
            products = np.exp((left[:, None] + right) / 2 + kernel)
            return products, products
        case _:
            return _series(layer, kernel, left, right)


def _relu(kernel: Floats, left: Floats, right: Floats, slope: float) -> tuple[Floats, Floats]:
    c, size = _correlations(kernel, left, right)
    angle = np.arccos(c)
    ramps = size * (np.sin(angle) + (np.pi - angle) * c) / (2 * np.pi)
    steps = (np.pi - angle) / (2 * np.pi)
    return slope * kernel + (1 - slope) ** 2 * ramps, slope + (1 - slope) ** 2 * steps


def _series(layer: Elementwise, kernel: Floats, left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Σ aₖ(Kₐₐ)aₖ(Kᵦᵦ)cᵏ, aₖ(q) = E[φ(√q z)hₖ(z)] (Mehler 1866).

    What is left beyond the last order, of a kink or a steep sigmoid, stands at that order, so that c = 1 is exact: with
    SELU, the worst of all, the error elsewhere is below 1e-3.
    """
    c, _ = _correlations(kernel, left, right)
    value, slope = (_summed(a, b, c) for a, b in zip(_expanded(layer, left), _expanded(layer, right), strict=True))
    return value, slope


def _expanded(layer: Elementwise, q: Floats) -> list[Floats]:
    """Of φ and of φ': (orders + 1, len(q)), the last what is left."""
    found = []
    z, weights = nodes()
    for values in both(layer, np.sqrt(q)[:, None] * z):
        a = hermite() @ values.T
        rest = np.sqrt(np.maximum(values**2 @ weights - np.sum(a**2, axis=0), 0))
        found.append(np.vstack([a, rest]))
    return found


def _summed(a: Floats, b: Floats, c: Floats) -> Floats:
    """Horner's way; the orders that an even or odd function lacks are left out."""
    total = np.outer(a[ORDERS], b[ORDERS])
    negligible = 1e-12 * np.max(np.abs(a), initial=0.0)
    for k in reversed(range(ORDERS)):
        total *= c
        if not np.max(np.abs(a[k]), initial=0.0) < negligible:
            total += np.outer(a[k], b[k])
    return total


def _correlations(kernel: Floats, left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """c = K/√(KₐₐKᵦᵦ), and that root. A signal that is zero is correlated with nothing.

    What rounding leaves below c = 1 is 1: arccos would make its square root of it.
    """
    size = np.outer(np.sqrt(left), np.sqrt(right))
    c = np.divide(kernel, size, out=np.zeros_like(kernel), where=size != 0)
    return np.where(np.abs(c) > 1 - 1e-14, np.sign(c), c), size
