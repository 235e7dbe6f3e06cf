"""Muon: the matrices' averaged gradients orthogonalised, all other tensors by Adam."""

import functools
import math

import torch
from torch import Tensor

from backends.torch.composed.moments import adam
from backends.torch.composed.step import At, State
from backends.torch.composed.tensors import norm
from harness.spec.optimizers import Adam, Muon


def muon(spec: Muon, at: At, state: State) -> Tensor:
    """B ← μB + g; Δ = ηs·NS(g + μB), in the spec's variants; Adam for what is no matrix."""
    if at.g.dim() != 2:
        return adam(_adam_beside(spec), at, state)
    mu, share = spec.momentum, 1.0 if spec.buffer == "sum" else 1 - spec.momentum
    now, after = (1 - mu**at.t, 1 - mu ** (at.t + 1)) if spec.buffer == "corrected" else (1.0, 1.0)
    b = state["b"].mul_(mu).add_(at.g, alpha=share)
    direction = at.g * (share / now) + b * (mu / after) if spec.nesterov else b / now
    inputs, outputs = at.g.shape
    scale = {"outputs": math.sqrt(max(1, outputs / inputs)), "rms": 0.2 * math.sqrt(max(inputs, outputs)), "none": 1.0}
    return at.eta * scale[spec.scale] * newton_schulz(direction, spec.iterations, spec.eps)


@functools.cache
def _adam_beside(spec: Muon) -> Adam:
    return Adam(spec.lr, spec.beta1, spec.beta2, spec.adam_eps)


def newton_schulz(m: Tensor, iterations: int, eps: float) -> Tensor:
    """X = M/(‖M‖ + ε) towards UVᵀ of M = UΣVᵀ: A = XXᵀ; X ← aX + (bA + cA²)X, with the shorter side first."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = m.shape[0] > m.shape[1]
    x = m.T if tall else m
    x = x / (norm(x) + eps)
    for _ in range(iterations):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x
