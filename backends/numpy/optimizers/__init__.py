"""Optimizers in place on flat vectors: each step makes Δ of g, which stays as it is."""

from collections.abc import Mapping
from typing import Protocol

from backends.numpy.flat import Array, Flat, Spread
from backends.numpy.memory import Memory
from backends.numpy.optimizers import directions, iterates, moments, muon, squares, tensors
from harness.spec import optimizers as spec

# Those that look at tensors, or at all parameters, as a whole; the step of the others is each parameter's own affair.
Whole = spec.Adafactor | spec.LARS | spec.LAMB | spec.Muon | spec.LBFGS
WHOLE = (spec.Adafactor, spec.LARS, spec.LAMB, spec.Muon, spec.LBFGS)
Elementwise = (
    spec.SGD
    | spec.Momentum
    | spec.Lion
    | spec.Rprop
    | spec.AdaGrad
    | spec.RMSProp
    | spec.Adadelta
    | spec.Adam
    | spec.Adamax
    | spec.NAdam
    | spec.RAdam
    | spec.Yogi
    | spec.AdaBelief
    | spec.Adan
    | spec.ScheduleFree
)


class Bound(Protocol):
    """An optimizer with its state, bound to the buffer of the gradients."""

    def __call__(self, eta: float, t: int) -> Array:
        """Δ at step t = 1, 2, … in a buffer that the next call overwrites; the caller only reads it."""
        ...


def whole(optimizer: Whole, w: Flat, g: Flat, decay: Mapping[str, float], memory: Memory) -> Bound:
    """The optimizer at step 0, at the weights w. ``decay`` is the λ of each tensor whose decay is in the formula."""
    match optimizer:
        case spec.Adafactor():
            return tensors.Adafactor(optimizer, w, g, memory)
        case spec.LARS():
            return tensors.LARS(optimizer, w, g, decay, memory)
        case spec.LAMB():
            return tensors.LAMB(optimizer, w, g, decay, memory)
        case spec.Muon():
            return muon.Muon(optimizer, g, memory)
        case spec.LBFGS():
            return iterates.LBFGS(optimizer, w, g, decay, memory)


def elementwise(optimizer: Elementwise, w: Array, g: Array, decay: Spread, memory: Memory) -> Bound:
    """The same for any stretch of the vectors."""
    match optimizer:
        case spec.SGD():
            return directions.SGD(g, memory)
        case spec.Momentum():
            return directions.Momentum(optimizer, g, memory)
        case spec.Lion():
            return directions.Lion(optimizer, g, memory)
        case spec.Rprop():
            return directions.Rprop(optimizer, g, memory)
        case spec.AdaGrad():
            return squares.AdaGrad(optimizer, g, memory)
        case spec.RMSProp():
            return squares.RMSProp(optimizer, g, memory)
        case spec.Adadelta():
            return squares.Adadelta(optimizer, g, memory)
        case spec.Adam():
            return moments.Adam(optimizer, g, memory)
        case spec.Adamax():
            return moments.Adamax(optimizer, g, memory)
        case spec.NAdam():
            return moments.NAdam(optimizer, g, memory)
        case spec.RAdam():
            return moments.RAdam(optimizer, g, memory)
        case spec.Yogi():
            return moments.Yogi(optimizer, g, memory)
        case spec.AdaBelief():
            return moments.AdaBelief(optimizer, g, memory)
        case spec.Adan():
            return moments.Adan(optimizer, g, memory)
        case spec.ScheduleFree():
            return iterates.ScheduleFree(optimizer, w, g, decay, memory)
