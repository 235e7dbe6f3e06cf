"""Weight decay over the flat vector, with a rate that is 0 out of scope."""

from collections.abc import Callable

import numpy as np

from backends.numpy.flat import Flat
from harness.spec.recipe import Coupled, Decay, Decoupled, NoDecay, touched


def decay(spec: Decay, w: Flat, g: Flat, lr: float) -> Callable[[float], None] | None:
    """A function of the schedule's factor that changes g (coupled) or w (decoupled), or None.

    Both come before the step: since Δ does not depend on w, w − ηλw − Δ is w − Δ − ηλw.
    """
    if isinstance(spec, NoDecay):
        return None
    scaled = isinstance(spec, Decoupled) and spec.scaled_by == "rate"
    rate = w.spread(dict.fromkeys(touched(spec.on, w.views), spec.rate * lr if scaled else spec.rate))
    amount = np.empty_like(rate)

    def couple(factor: float) -> None:
        np.multiply(w.vector, rate, out=amount)
        np.add(g.vector, amount, out=g.vector)

    def shrink(factor: float) -> None:
        np.multiply(w.vector, rate, out=amount)
        np.multiply(amount, factor, out=amount)
        np.subtract(w.vector, amount, out=w.vector)

    return couple if isinstance(spec, Coupled) else shrink
