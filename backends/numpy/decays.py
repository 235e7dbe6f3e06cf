"""Weight decay: λ of each tensor, 0 out of scope, and what is done with it along the flat vector."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from backends.numpy.flat import Array, Spread
from backends.numpy.memory import Memory
from harness.spec.optimizers import decays_inside
from harness.spec.recipe import Coupled, Decay, Decoupled, Recipe, touched

Rates = Mapping[str, float]  # by tensor; 0 for those that are left out


def coupled(spec: Decay, tensors: Iterable[str]) -> Rates:
    """λ of g + λw."""
    return dict.fromkeys(touched(spec.on, tensors), spec.rate) if isinstance(spec, Coupled) else {}


def decoupled(recipe: Recipe, tensors: Iterable[str]) -> Rates:
    """λ of w − Δ − fλw, f the schedule's factor: λ·lr if scaled by the rate. None where it is part of the formula."""
    spec = recipe.decay
    if not isinstance(spec, Decoupled) or decays_inside(recipe.optimizer):
        return {}
    rate = spec.rate * recipe.optimizer.lr if spec.scaled_by == "rate" else spec.rate
    return dict.fromkeys(touched(spec.on, tensors), rate)


def inside(recipe: Recipe, tensors: Iterable[str]) -> Rates:
    """λ of a decay that is part of the formula, which multiplies it by η: λ/lr if scaled by the schedule."""
    spec = recipe.decay
    if not isinstance(spec, Decoupled) or not decays_inside(recipe.optimizer):
        return {}
    rate = spec.rate if spec.scaled_by == "rate" else spec.rate / recipe.optimizer.lr
    return dict.fromkeys(touched(spec.on, tensors), rate)


def some(rate: Spread) -> bool:
    """Whether anything decays at all."""
    return not np.isscalar(rate) or rate != 0


def sum_into(out: Array, g: Array, rate: Spread, w: Array) -> Callable[[], object]:
    """out = g + λw."""

    def couple() -> None:
        np.multiply(w, rate, out=out)
        np.add(out, g, out=out)

    return couple


def adder(rate: Spread, w: Array, to: Array, memory: Memory) -> Callable[[], object]:
    """u ← u + λw, u the array ``to``; nothing where nothing decays."""
    if not some(rate):
        return lambda: None
    amount = memory.scratch(w)

    def add() -> None:
        np.multiply(w, rate, out=amount)
        np.add(to, amount, out=to)

    return add


def shrinkage(rate: Spread, w: Array, memory: Memory) -> Callable[[float], Array] | None:
    """fλw as a function of f, in scratch; None where nothing decays."""
    if not some(rate):
        return None
    amount = memory.scratch(w)

    def shrink(factor: float) -> Array:
        np.multiply(w, rate, out=amount)
        return amount if factor == 1 else np.multiply(amount, factor, out=amount)

    return shrink
