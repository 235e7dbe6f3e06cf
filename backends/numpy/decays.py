"""Weight decay over the flat vector, with a rate that is 0 out of scope."""

from collections.abc import Callable

import numpy as np

from backends.numpy.flat import Flat
from harness.spec.recipe import Coupled, Decay, Decoupled, NoDecay, touched


def decay(spec: Decay, w: Flat, g: Flat, lr: float) -> Callable[[float], None] | None:
    """A function of the schedule's factor that changes g (coupled) or w (decoupled), or None.

    Called before the step: neither Δ nor the decay depends on what the other does to w.
    """
    if isinstance(spec, NoDecay):
        return None
    rate = w.spread(dict.fromkeys(touched(spec.on, w.views), spec.rate))
    amount = np.empty_like(rate)

    def couple(factor: float) -> None:
        np.multiply(w.vector, rate, out=amount)
        np.add(g.vector, amount, out=g.vector)

    def shrink(factor: float) -> None:
        np.multiply(w.vector, rate, out=amount)
        np.multiply(amount, scale * factor, out=amount)
        np.subtract(w.vector, amount, out=w.vector)

    match spec:
        case Coupled():
            return couple
        case Decoupled(scaled_by=scaled_by):
            scale = lr if scaled_by == "rate" else 1.0
            return shrink
