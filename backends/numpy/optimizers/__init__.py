"""Optimizers in place on the flat vectors: each step turns g, which it may overwrite, into Δ."""

from collections.abc import Mapping
from typing import Protocol

from backends.numpy.flat import Array, Flat
from backends.numpy.optimizers import directions, iterates, moments, muon, squares, tensors
from harness.spec import optimizers as spec
from harness.spec.optimizers import Optimizer


class Bound(Protocol):
    """An optimizer with its state, bound to the buffer of the gradients."""

    def __call__(self, eta: float, t: int) -> Array:
        """Δ at step t = 1, 2, … in a buffer that the next call overwrites; the caller only reads it."""
        ...


def bind(optimizer: Optimizer, w: Flat, g: Flat, decay: Mapping[str, float]) -> Bound:
    """The optimizer at step 0, at the weights w. ``decay`` is the λ of each tensor whose decay is in the formula."""
    match optimizer:
        case spec.SGD():
            return directions.SGD(g.vector)
        case spec.Momentum():
            return directions.Momentum(optimizer, g.vector)
        case spec.Lion():
            return directions.Lion(optimizer, g.vector)
        case spec.Rprop():
            return directions.Rprop(optimizer, g.vector)
        case spec.AdaGrad():
            return squares.AdaGrad(optimizer, g.vector)
        case spec.RMSProp():
            return squares.RMSProp(optimizer, g.vector)
        case spec.Adadelta():
            return squares.Adadelta(optimizer, g.vector)
        case spec.Adam():
            return moments.Adam(optimizer, g.vector)
        case spec.Adamax():
            return moments.Adamax(optimizer, g.vector)
        case spec.NAdam():
            return moments.NAdam(optimizer, g.vector)
        case spec.RAdam():
            return moments.RAdam(optimizer, g.vector)
        case spec.Yogi():
            return moments.Yogi(optimizer, g.vector)
        case spec.AdaBelief():
            return moments.AdaBelief(optimizer, g.vector)
        case spec.Adan():
            return moments.Adan(optimizer, g.vector)
        case spec.Adafactor():
            return tensors.Adafactor(optimizer, w, g)
        case spec.LARS():
            return tensors.LARS(optimizer, w, g, decay)
        case spec.LAMB():
            return tensors.LAMB(optimizer, w, g, decay)
        case spec.Muon():
            return muon.Muon(optimizer, g)
        case spec.ScheduleFree():
            return iterates.ScheduleFree(optimizer, w, g, decay)
        case spec.LBFGS():
            return iterates.LBFGS(optimizer, w, g, decay)
