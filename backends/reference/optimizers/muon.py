"""Muon: the matrices' averaged gradients orthogonalised, all other tensors by Adam."""

from backends.reference.clips import norm
from backends.reference.optimizers.moments import adam
from backends.reference.optimizers.step import At, State
from harness.backend import Floats
from harness.spec.optimizers import Adam, Muon


def muon(spec: Muon, at: At, state: State) -> tuple[Floats, State]:
    """B ← μB + g; Δ = ηs·NS(g + μB), in the spec's variants; Adam for what is no matrix."""
    if at.g.ndim != 2:
        return adam(Adam(spec.lr, spec.beta1, spec.beta2, spec.adam_eps), at, state)
    mu = spec.momentum
    share = 1.0 if spec.buffer == "sum" else 1 - mu
    b = mu * state["b"] + share * at.g
    corrected = spec.buffer == "corrected"
    if spec.nesterov:
        now, after = (1 - mu**at.t, 1 - mu ** (at.t + 1)) if corrected else (1.0, 1.0)
        direction = share * at.g / now + mu * b / after
    else:
        direction = b / (1 - mu**at.t) if corrected else b
    inputs, outputs = at.g.shape
    scale = {"outputs": max(1, outputs / inputs) ** 0.5, "rms": 0.2 * max(inputs, outputs) ** 0.5, "none": 1.0}
    return at.eta * scale[spec.scale] * newton_schulz(direction, spec.iterations, spec.eps), {"b": b}


def newton_schulz(m: Floats, iterations: int, eps: float) -> Floats:
    """X = M/(‖M‖ + ε) towards UVᵀ of M = UΣVᵀ: A = XXᵀ; X ← aX + (bA + cA²)X, with the shorter side first."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = m.T if m.shape[0] > m.shape[1] else m
    x = x / (norm(x) + eps)
    for _ in range(iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if m.shape[0] > m.shape[1] else x
