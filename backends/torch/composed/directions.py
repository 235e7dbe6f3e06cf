"""Steps along the gradient, its average or its signs, by no average of its size."""

import torch
from torch import Tensor

from backends.torch.composed.step import At, State
from harness.spec.optimizers import Lion, Momentum, Rprop


def momentum(spec: Momentum, at: At, state: State) -> Tensor:
    """v ← μv + (1 − d)g; Δ = ηv, with nesterov Δ = η(g + μv). d = 0 in a plain first step.

    Rate inside: v ← μv + η(1 − d)g; Δ = v, with nesterov Δ = ηg + μv.
    """
    inside, outside = (at.eta, 1.0) if spec.rate == "inside" else (1.0, at.eta)
    damped = 1.0 if at.t == 1 and spec.first == "plain" else 1 - spec.dampening
    v = state["v"].mul_(spec.momentum).add_(at.g, alpha=damped * inside)
    return outside * (inside * at.g + spec.momentum * v if spec.nesterov else v)


def lion(spec: Lion, at: At, state: State) -> Tensor:
    """Δ = η sign(β₁m + (1 − β₁)g); m ← β₂m + (1 − β₂)g."""
    m = state["m"]
    u = m.mul(spec.beta1).add_(at.g, alpha=1 - spec.beta1).sign_()
    m.mul_(spec.beta2).add_(at.g, alpha=1 - spec.beta2)
    return at.eta * u


def rprop(spec: Rprop, at: At, state: State) -> Tensor:
    """s grows where g keeps its sign and shrinks where it changes, where g then counts as 0; Δ = (η/lr)·s·sign(g)."""
    agrees = at.g * state["g"]
    s = torch.where(agrees > 0, spec.grow * state["s"], spec.shrink * state["s"]).clamp_(spec.smallest, spec.largest)
    state["s"] = torch.where(agrees == 0, state["s"], s)
    state["g"] = at.g.masked_fill(agrees < 0, 0.0)
    return at.eta / spec.lr * state["s"] * state["g"].sign()
