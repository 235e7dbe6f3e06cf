"""Steps along the gradient, its average or its signs, by no average of its size."""

import numpy as np

from backends.reference.optimizers.step import At, State
from harness.backend import Floats
from harness.spec.optimizers import Lion, Momentum, Rprop


def momentum(spec: Momentum, at: At, state: State) -> tuple[Floats, State]:
    """v ← μv + (1 − d)g; Δ = ηv, with nesterov Δ = η(g + μv). d = 0 in a plain first step.

    Rate inside: v ← μv + η(1 − d)g; Δ = v, with nesterov Δ = ηg + μv.
    """
    mu, g, eta = spec.momentum, at.g, at.eta
    d = 0.0 if at.t == 1 and spec.first == "plain" else spec.dampening
    if spec.rate == "inside":
        v = mu * state["v"] + eta * (1 - d) * g
        return (eta * g + mu * v if spec.nesterov else v), {"v": v}
    v = mu * state["v"] + (1 - d) * g
    return eta * (g + mu * v if spec.nesterov else v), {"v": v}


def lion(spec: Lion, at: At, state: State) -> tuple[Floats, State]:
    """Δ = η sign(β₁m + (1 − β₁)g); m ← β₂m + (1 − β₂)g."""
    u = np.sign(spec.beta1 * state["m"] + (1 - spec.beta1) * at.g)
    return at.eta * u, {"m": spec.beta2 * state["m"] + (1 - spec.beta2) * at.g}


def rprop(spec: Rprop, at: At, state: State) -> tuple[Floats, State]:
    """s grows where g keeps its sign and shrinks where it changes, where g then counts as 0; Δ = (η/lr)·s·sign(g)."""
    agrees = np.sign(at.g * state["g"])
    s = np.where(agrees > 0, spec.grow * state["s"], np.where(agrees < 0, spec.shrink * state["s"], state["s"]))
    s = np.where(agrees != 0, np.clip(s, spec.smallest, spec.largest), s)
    g = np.where(agrees < 0, 0.0, at.g)
    return at.eta / spec.lr * s * np.sign(g), {"g": g, "s": s}
