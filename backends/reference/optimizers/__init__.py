"""Optimizers: one pure function an algorithm, (what is at hand, state) → (Δ, new state) for one tensor.

The names are those of ``harness.spec.optimizers``, whose formulas these are.
"""

import numpy as np

from backends.reference.optimizers import directions, iterates, moments, muon, squares, tensors
from backends.reference.optimizers.step import At, State
from harness.backend import Floats
from harness.spec.optimizers import (
    LAMB,
    LARS,
    LBFGS,
    SGD,
    AdaBelief,
    Adadelta,
    Adafactor,
    AdaGrad,
    Adam,
    Adamax,
    Adan,
    Lion,
    Momentum,
    Muon,
    NAdam,
    Optimizer,
    RAdam,
    RMSProp,
    Rprop,
    ScheduleFree,
    Yogi,
)


def initial(spec: Optimizer, w: Floats) -> State:
    """The state before the first step, for a tensor that starts at w."""
    zero = np.zeros_like(w)
    match spec:
        case SGD():
            return {}
        case Momentum() | LARS():
            return {"v": zero}
        case AdaGrad():
            return {"h": np.full_like(w, spec.initial_accumulator)}
        case RMSProp():
            return {"h": zero, "m": zero, "v": zero}
        case Adam():
            return {"m": zero, "v": zero, "maximum": zero}
        case Adadelta():
            return {"h": zero, "a": zero}
        case Adamax():
            return {"m": zero, "u": zero}
        case NAdam():
            return {"m": zero, "v": zero, "product": 1.0}
        case RAdam() | LAMB():
            return {"m": zero, "v": zero}
        case AdaBelief():
            return {"m": zero, "s": zero}
        case Lion():
            return {"m": zero}
        case Adafactor():
            return {"rows": 0.0, "columns": 0.0, "v": zero}
        case Muon():
            return {"b": zero} if w.ndim == 2 else {"m": zero, "v": zero, "maximum": zero}
        case Rprop():
            return {"g": zero, "s": np.full_like(w, spec.lr)}
        case Yogi():
            start = np.full_like(w, spec.initial_accumulator)
            return {"m": start, "v": start}
        case Adan():
            return {"g": zero, "m": zero, "v": zero, "n": zero}
        case ScheduleFree():
            return {"z": w, "x": w, "v": zero, "squares": 0.0}
        case LBFGS():
            return {"pairs": ()}


def delta(spec: Optimizer, at: At, state: State) -> tuple[Floats, State]:
    """Δ and the new state of any optimizer."""
    match spec:
        case SGD():
            return at.eta * at.g, state
        case Momentum():
            return directions.momentum(spec, at, state)
        case AdaGrad():
            return squares.adagrad(spec, at, state)
        case RMSProp():
            return squares.rmsprop(spec, at, state)
        case Adam():
            return moments.adam(spec, at, state)
        case Adadelta():
            return squares.adadelta(spec, at, state)
        case Adamax():
            return moments.adamax(spec, at, state)
        case NAdam():
            return moments.nadam(spec, at, state)
        case RAdam():
            return moments.radam(spec, at, state)
        case Lion():
            return directions.lion(spec, at, state)
        case Adafactor():
            return tensors.adafactor(spec, at, state)
        case LARS():
            return tensors.lars(spec, at, state)
        case LAMB():
            return tensors.lamb(spec, at, state)
        case Muon():
            return muon.muon(spec, at, state)
        case Rprop():
            return directions.rprop(spec, at, state)
        case Yogi():
            return moments.yogi(spec, at, state)
        case AdaBelief():
            return moments.adabelief(spec, at, state)
        case Adan():
            return moments.adan(spec, at, state)
        case ScheduleFree():
            return iterates.schedule_free(spec, at, state)
        case LBFGS():
            return iterates.lbfgs(spec, at, state)


def is_joint(spec: Optimizer) -> bool:
    """Whether the formula is one of all tensors together, in one vector."""
    return isinstance(spec, LBFGS)


def evaluated_at(spec: Optimizer, w: Floats, state: State) -> Floats:
    """The weights at which a network is evaluated: x of a schedule-free optimizer, else w."""
    x: Floats = state["x"] if isinstance(spec, ScheduleFree) else w
    return x
