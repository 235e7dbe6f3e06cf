"""Steps that remember where the weights were: means of the iterates, or the steps between them."""

from typing import Any

import torch
from torch import Tensor

from backends.torch.composed.step import At, State
from backends.torch.composed.tensors import norm
from harness.spec.optimizers import LBFGS, ScheduleFree


def schedule_free(spec: ScheduleFree, at: At, state: State) -> Tensor:
    """z ← z − η(u + λw); x ← (1 − c)x + cz; the new w is (1 − β)z + βx, and Δ what it is short of the old."""
    u = at.g
    if spec.base == "adam":
        v = state["v"].mul_(spec.beta2).addcmul_(at.g, at.g, value=1 - spec.beta2)
        u = at.g / ((v / (1 - spec.beta2**at.t)).sqrt() + spec.eps)
    z = state["z"].sub_(u.add(at.w, alpha=at.decay), alpha=at.eta)
    squares = float(state["squares"].add_(at.eta**2))
    c = 1 / at.t if spec.weights == "equal" else at.eta**2 / (squares or 1.0)
    x = state["x"].lerp_(z, c)
    return at.w - torch.lerp(z, x, spec.beta)


def lbfgs(spec: LBFGS, g: Tensor, decay: Tensor, eta: float, state: dict[str, Any]) -> Tensor:
    """Δ = η(Hg + λw) over all tensors in one vector, H by two loops over the pairs (s, y), oldest first.

    s = −Δ₋₁, y = g − g₋₁; ``decay`` is λw.
    """
    if "g" in state:
        s, y = state["s"], g - state["g"]
        if s.dot(y) > spec.curvature:
            state["pairs"] = [*state["pairs"], (s, y)][-spec.memory :]
        u = two_loops(state["pairs"], g)
    else:
        state["pairs"] = []
        u = _first(spec, g) * g
    step = eta * (u + decay)
    state["s"], state["g"] = -step, g
    return step


def _first(spec: LBFGS, g: Tensor) -> Tensor | float:
    """min(1, 1/‖g‖₁), min(1, 1/‖g‖₂) or 1."""
    return 1.0 if spec.first == "plain" else (1 / norm(g, 1 if spec.first == "l1" else 2)).clamp(max=1.0)


def two_loops(pairs: list[tuple[Tensor, Tensor]], g: Tensor) -> Tensor:
    """Hg, with H₀ = γI, γ = sᵀy/yᵀy of the newest pair, or 1 (Nocedal & Wright 2006, algorithm 7.4)."""
    q, weights = g.clone(), []
    for s, y in reversed(pairs):
        weights.append(s.dot(q) / s.dot(y))
        q -= weights[-1] * y
    if pairs:
        s, y = pairs[-1]
        q *= s.dot(y) / y.dot(y)
    for (s, y), a in zip(pairs, reversed(weights), strict=True):
        q += (a - y.dot(q) / s.dot(y)) * s
    return q
