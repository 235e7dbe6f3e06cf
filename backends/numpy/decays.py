"""Weight decay over the flat vector, with a rate that is 0 out of scope."""

from collections.abc import Callable, Mapping

import numpy as np

from backends.numpy.flat import Array, Flat
from harness.spec.optimizers import decays_inside
from harness.spec.recipe import Coupled, Decay, Decoupled, Recipe, touched


def coupled(spec: Decay, w: Flat, g: Flat) -> Callable[[], None] | None:
    """g ← g + λw, or None."""
    return (
        adder(dict.fromkeys(touched(spec.on, w.views), spec.rate), w, g.vector) if isinstance(spec, Coupled) else None
    )


def decoupled(recipe: Recipe, w: Flat) -> Callable[[float], Array] | None:
    """ηλw as a function of the schedule's factor, in a buffer that the next call overwrites; or None."""
    spec = recipe.decay
    if not isinstance(spec, Decoupled) or decays_inside(recipe.optimizer):
        return None
    rate = spec.rate * recipe.optimizer.lr if spec.scaled_by == "rate" else spec.rate
    rates = w.spread(dict.fromkeys(touched(spec.on, w.views), rate))
    amount = np.empty_like(rates)

    def shrinkage(factor: float) -> Array:
        np.multiply(w.vector, rates, out=amount)
        return np.multiply(amount, factor, out=amount)

    return shrinkage


def inside(recipe: Recipe, w: Flat) -> dict[str, float]:
    """λ of each tensor whose decay is part of the formula, which multiplies it by η: λ/lr if scaled by the schedule."""
    spec = recipe.decay
    if not isinstance(spec, Decoupled) or not decays_inside(recipe.optimizer):
        return {}
    rate = spec.rate if spec.scaled_by == "rate" else spec.rate / recipe.optimizer.lr
    return dict.fromkeys(touched(spec.on, w.views), rate)


def adder(rates: Mapping[str, float], w: Flat, to: Array) -> Callable[[], None]:
    """u ← u + λw, u the vector ``to``, λ the tensors' ``rates``; nothing where there are none."""
    if not rates:
        return lambda: None
    rate = w.spread(rates)
    amount = np.empty_like(rate)

    def add() -> None:
        np.multiply(w.vector, rate, out=amount)
        np.add(to, amount, out=to)

    return add
