"""λ₁Σ|w| + λ₂Σw² over the flat vector, with λ₁ and λ₂ vectors that are 0 out of scope."""

from collections.abc import Callable

import numpy as np

from backends.numpy.flat import Flat
from harness.spec.recipe import NoPenalty, Penalty, coefficients, touched


def penalty(spec: Penalty, w: Flat, g: Flat, samples: int) -> Callable[[], float] | None:
    """A function that adds the penalty's gradient to g and returns its value, or None where there is none."""
    if isinstance(spec, NoPenalty):
        return None
    l1, l2 = coefficients(spec, samples)
    on = touched(spec.on, w.views)
    signs, slopes = w.spread(dict.fromkeys(on, l1)), w.spread(dict.fromkeys(on, 2 * l2))
    gradient = np.empty_like(w.vector)

    def add() -> float:
        value = 0.0
        if l1:
            np.sign(w.vector, out=gradient)
            np.multiply(gradient, signs, out=gradient)
            np.add(g.vector, gradient, out=g.vector)
            value += float(np.dot(gradient, w.vector))
        if l2:
            np.multiply(w.vector, slopes, out=gradient)
            np.add(g.vector, gradient, out=g.vector)
            value += float(np.dot(gradient, w.vector)) / 2
        return value

    return add
