"""What an update must at least move between memory and processor: it follows from the formula, as shapes do.

An update that treats each element by itself can be made in one pass: it reads g, reads and writes w, and reads and
writes each array of state in place. So it moves 3 + 2s arrays of the parameters' size, of which 2 + s are distinct, s
the number of arrays of state. Clip and penalty are no part of it; decay and rate move nothing more.

    s  optimizer                                                            what it keeps
    0  SGD                                                                  nothing
    1  momentum, AdaGrad, Lion, RMSProp                                     v, h, m, h
    2  Adam and its kin: Adamax, NAdam, RAdam, Yogi, AdaBelief              m, v
    2  Adadelta                                                             h, a
    2  Rprop                                                                s, the last g
    4  Adan                                                                 m, v, n, the last g

RMSProp keeps one more with ``centred`` and one more with momentum, AMSGrad one more than Adam. A schedule-free
optimizer keeps z, and v with the base adam; its x follows from z and w. Momentum 0 needs no array; other rates at which
a state could be left out (β = 0) are not looked for.

LARS, LAMB and Adafactor need a norm or a mean of a whole tensor before its first element can move, Muon a product of
matrices, L-BFGS scalar products of vectors of all tensors: what a second pass costs depends on the caches, so they have
no such floor.
"""

from typing import NamedTuple

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


class Traffic(NamedTuple):
    """In arrays of the parameters' size."""

    moved: int  # read plus written
    held: int  # distinct ones: the working set


def traffic(optimizer: Optimizer) -> Traffic | None:
    """The least that an update moves; None where one pass over memory is not enough."""
    kept = _state(optimizer)
    return None if kept is None else Traffic(3 + 2 * kept, 2 + kept)


def _state(optimizer: Optimizer) -> int | None:
    """The arrays that an elementwise update keeps from step to step."""
    match optimizer:
        case SGD():
            return 0
        case Momentum(momentum=momentum):
            return int(momentum > 0)
        case AdaGrad() | Lion():
            return 1
        case RMSProp(centred=centred, momentum=momentum):
            return 1 + centred + (momentum > 0)
        case Adam(amsgrad=amsgrad):
            return 2 + (amsgrad != "no")
        case Adadelta() | Adamax() | NAdam() | RAdam() | Yogi() | AdaBelief() | Rprop():
            return 2
        case Adan():
            return 4
        case ScheduleFree(base=base):
            return 2 if base == "adam" else 1
        case Adafactor() | LARS() | LAMB() | Muon() | LBFGS():
            return None
