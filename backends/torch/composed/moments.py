"""Adam and what descends from it: an average of gradients over the root of an average of squares."""

import math

import torch
from torch import Tensor

from backends.torch.composed.averages import moments, root
from backends.torch.composed.step import At, State
from harness.spec.optimizers import AdaBelief, Adam, Adamax, Adan, RAdam, Yogi


def adam(spec: Adam, at: At, state: State) -> Tensor:
    """Δ = ηm̂/(√v̂ + ε), or ηm̂/√(v̂ + ε); ε-hat is ε/√(1 − β₂ᵗ). AMSGrad: the greatest v so far, or v̂."""
    c1, c2 = 1 - spec.beta1**at.t, 1 - spec.beta2**at.t
    m, v = moments(spec, at.g, state)
    match spec.amsgrad:
        case "no":
            v_hat = v / c2
        case "raw":
            v_hat = torch.maximum(state["maximum"], v, out=state["maximum"]) / c2
        case "corrected":
            v_hat = torch.maximum(state["maximum"], v / c2, out=state["maximum"])
    eps = spec.eps / math.sqrt(c2) if spec.eps_placement == "hat" else spec.eps
    return at.eta * (m / c1) / root(v_hat, eps, spec.eps_placement)


def adamax(spec: Adamax, at: At, state: State) -> Tensor:
    """m ← β₁m + (1 − β₁)g; u ← max(β₂u, |g| + ε); Δ = η/(1 − β₁ᵗ)·m/u; ε outside: Δ = η/(1 − β₁ᵗ)·m/(u + ε)."""
    within, beside = (spec.eps, 0.0) if spec.eps_placement == "inside" else (0.0, spec.eps)
    m = state["m"].lerp_(at.g, 1 - spec.beta1)
    u = torch.maximum(spec.beta2 * state["u"], at.g.abs() + within, out=state["u"])
    return at.eta / (1 - spec.beta1**at.t) * m / (u + beside)


def radam(spec: RAdam, at: At, state: State) -> Tensor:
    """Δ = ηrₜm̂/(√v̂ + ε) where ρₜ > threshold, else ηm̂; ε-hat is ε/√(1 − β₂ᵗ).

    ρ∞ = 2/(1 − β₂) − 1; ρₜ = ρ∞ − 2tβ₂ᵗ/(1 − β₂ᵗ); rₜ² = (ρₜ − 4)(ρₜ − 2)ρ∞/((ρ∞ − 4)(ρ∞ − 2)ρₜ).
    """
    m, v = moments(spec, at.g, state)
    m_hat, c2 = m / (1 - spec.beta1**at.t), 1 - spec.beta2**at.t
    limit = 2 / (1 - spec.beta2) - 1
    rho = limit - 2 * at.t * spec.beta2**at.t / c2
    if rho <= spec.threshold:
        return at.eta * m_hat
    r = math.sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))
    eps = spec.eps / math.sqrt(c2) if spec.eps_placement == "hat" else spec.eps
    return at.eta * r * m_hat / ((v / c2).sqrt() + eps)


def yogi(spec: Yogi, at: At, state: State) -> Tensor:
    """v ← v − (1 − β₂)sign(v − g²)g²; Δ = ηm̂/(√v̂ + ε), or ηm/(√v + ε) without the bias correction."""
    square = at.g.square()
    m = state["m"].lerp_(at.g, 1 - spec.beta1)
    v = state["v"].addcmul_((state["v"] - square).sign_(), square, value=spec.beta2 - 1)
    c1, c2 = (1 - spec.beta1**at.t, 1 - spec.beta2**at.t) if spec.bias_correction else (1.0, 1.0)
    return at.eta * (m / c1) / ((v / c2).sqrt() + spec.eps)


def adabelief(spec: AdaBelief, at: At, state: State) -> Tensor:
    """s ← β₂s + (1 − β₂)(g − m)² + ε'; Δ = ηm̂/(√ŝ + ε)."""
    m = state["m"].lerp_(at.g, 1 - spec.beta1)
    error = at.g - m
    s = state["s"].mul_(spec.beta2).addcmul_(error, error, value=1 - spec.beta2).add_(spec.eps_inside)
    m_hat, s_hat = m / (1 - spec.beta1**at.t), s / (1 - spec.beta2**at.t)
    return at.eta * m_hat / (s_hat.sqrt() + spec.eps)


def adan(spec: Adan, at: At, state: State) -> Tensor:
    """d = g − g₋₁; m, v, n ← means of g, d, (g + kd)²; Δ = η(m̂ + kv̂)/(√n̂ + ε); k = β₂ or 1 − β₂."""
    k = spec.beta2 if spec.ahead == "beta2" else 1 - spec.beta2
    d = at.g - state["g"] if at.t > 1 else torch.zeros_like(at.g)
    state["g"] = at.g.clone()  # the gradient's memory is torch's, which fills it again
    ahead = at.g.add(d, alpha=k)
    m = state["m"].lerp_(at.g, 1 - spec.beta1)
    v = state["v"].lerp_(d, 1 - spec.beta2)
    n = state["n"].mul_(spec.beta3).addcmul_(ahead, ahead, value=1 - spec.beta3)
    c1, c2, c3 = (1 - beta**at.t for beta in (spec.beta1, spec.beta2, spec.beta3))
    return at.eta * (m / c1).add_(v, alpha=k / c2) / ((n / c3).sqrt() + spec.eps)
