"""Steps that look at each tensor as a whole: at its norm, or at the means of its rows and columns."""

import math

import torch
from torch import Tensor

from backends.torch.composed.averages import moments
from backends.torch.composed.step import At, State
from harness.spec.optimizers import LAMB, LARS, Adafactor


def adafactor(spec: Adafactor, at: At, state: State) -> Tensor:
    """β̂ = 1 − t^(−c); V ← β̂V + (1 − β̂)(g² + ε₁), or RC/mean(R) of its means R over the last axis, C the one before.

    u = g/√V; Δ = α·u/max(1, rms(u)/d); α = max(ε₂, rms(w))·ρ or ρ; ρ = min(η, 1/√t) or η.
    """
    fresh, square = at.t**-spec.beta2_decay, at.g.square() + spec.eps1
    if "rows" in state:
        rows = state["rows"].lerp_(square.mean(-1, keepdim=True), fresh)
        columns = state["columns"].lerp_(square.mean(-2, keepdim=True), fresh)
        # Factor by factor: where both are near ε₁, float32 cannot hold their product.
        u = at.g * (rows / rows.mean(-2, keepdim=True)).rsqrt() * columns.rsqrt()
    else:
        u = at.g * state["v"].lerp_(square, fresh).rsqrt()
    rho = min(at.eta, 1 / math.sqrt(at.t)) if spec.rate == "capped" else at.eta
    u = u / (_rms(u) / spec.clip).clamp(min=1.0)
    return rho * _rms(at.w).clamp(min=spec.eps2) * u if spec.relative else rho * u


def lars(spec: LARS, at: At, state: State) -> Tensor:
    """κ = c‖w‖/(‖g‖ + λ‖w‖ + ε), or c‖w‖/(‖g + λw‖ + ε); v ← μv + ηκ(g + λw); Δ = v."""
    g, size = at.g.add(at.w, alpha=at.decay), norm(at.w)
    below = norm(g) if spec.norm == "joint" else norm(at.g) + at.decay * size
    kappa = _ratio(spec.trust * size, below + spec.eps)
    return state["v"].mul_(spec.momentum).add_(at.eta * kappa * g)


def lamb(spec: LAMB, at: At, state: State) -> Tensor:
    """u = m̂/(√v̂ + ε) + λw; Δ = η‖w‖/‖u‖·u."""
    m, v = moments(spec, at.g, state)
    m_hat, v_hat = m / (1 - spec.beta1**at.t), v / (1 - spec.beta2**at.t)
    u = (m_hat / (v_hat.sqrt() + spec.eps)).add_(at.w, alpha=at.decay)
    return at.eta * _ratio(norm(at.w), norm(u)) * u


def norm(w: Tensor, order: int = 2) -> Tensor:
    """‖w‖ = √Σw², or of another order."""
    norm: Tensor = torch.linalg.vector_norm(w, order)
    return norm


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    """above/below, or 1 where either is 0, without waiting for the device."""
    return torch.where((above == 0) | (below == 0), 1.0, above / below)


def _rms(w: Tensor) -> Tensor:
    return w.square().mean().sqrt()
