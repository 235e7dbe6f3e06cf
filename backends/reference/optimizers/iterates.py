"""Steps that remember where the weights were: means of the iterates, or the steps between them."""

import numpy as np

from backends.reference.clips import norm
from backends.reference.optimizers.step import At, State
from harness.backend import Floats
from harness.spec.optimizers import LBFGS, ScheduleFree


def schedule_free(spec: ScheduleFree, at: At, state: State) -> tuple[Floats, State]:
    """z ← z − η(u + λw); x ← (1 − c)x + cz; the new w is (1 − β)z + βx, and Δ what it is short of the old."""
    v, u = state["v"], at.g
    if spec.base == "adam":
        v = spec.beta2 * v + (1 - spec.beta2) * at.g**2
        u = at.g / (np.sqrt(v / (1 - spec.beta2**at.t)) + spec.eps)
    z = state["z"] - at.eta * (u + at.decay * at.w)
    squares = state["squares"] + at.eta * at.eta
    c = 1 / at.t if spec.weights == "equal" else at.eta * at.eta / squares if squares else 0.0
    x = (1 - c) * state["x"] + c * z
    return at.w - ((1 - spec.beta) * z + spec.beta * x), {"z": z, "x": x, "v": v, "squares": squares}


def lbfgs(spec: LBFGS, at: At, state: State) -> tuple[Floats, State]:
    """Δ = η(Hg + λw) over all tensors in one vector, H by two loops over the pairs (s, y), oldest first.

    s = −Δ₋₁, y = g − g₋₁.
    """
    pairs = state["pairs"]
    if at.t == 1:
        size = {"l1": np.abs(at.g).sum(), "l2": norm(at.g), "plain": 0.0}[spec.first]
        u = min(1.0, 1 / size if size else 1.0) * at.g
    else:
        s, y = state["s"], at.g - state["g"]
        if s @ y > spec.curvature:
            pairs = (*pairs, (s, y))[-spec.memory :]
        u = two_loops(pairs, at.g)
    delta = at.eta * (u + at.decay * at.w)
    return delta, {"pairs": pairs, "s": -delta, "g": at.g}


def two_loops(pairs: tuple[tuple[Floats, Floats], ...], g: Floats) -> Floats:
    """Hg, with H₀ = γI, γ = sᵀy/yᵀy of the newest pair, or 1 (Nocedal & Wright 2006, algorithm 7.4)."""
    q, steps = g, []
    for s, y in reversed(pairs):
        a = (s @ q) / (s @ y)
        q = q - a * y
        steps.append(a)
    if pairs:
        s, y = pairs[-1]
        q = (s @ y) / (y @ y) * q
    for (s, y), a in zip(pairs, reversed(steps), strict=True):
        q = q + (a - (y @ q) / (s @ y)) * s
    return q
