"""Adam and what descends from it: an average of gradients over the root of an average of squares."""

import numpy as np

from backends.reference.optimizers.averages import moments, root
from backends.reference.optimizers.step import At, State
from harness.backend import Floats
from harness.spec.optimizers import AdaBelief, Adam, Adamax, Adan, NAdam, RAdam, Yogi


def adam(spec: Adam, at: At, state: State) -> tuple[Floats, State]:
    """m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²; m̂ = m/(1 − β₁ᵗ); v̂ = v/(1 − β₂ᵗ).

    ε outside: Δ = ηm̂/(√v̂ + ε); inside: Δ = ηm̂/√(v̂ + ε); hat: Δ = η√(1 − β₂ᵗ)/(1 − β₁ᵗ)·m/(√v + ε̂).
    AMSGrad raw: the greatest v so far in place of v; corrected: the greatest v̂ in place of v̂, hence
    (1 − β₂ᵗ)v̂ in place of v.
    """
    c1, c2, eta = 1 - spec.beta1**at.t, 1 - spec.beta2**at.t, at.eta
    m, v = moments(spec, at.g, state)
    match spec.amsgrad:
        case "no":
            used, maximum = v, state["maximum"]
        case "raw":
            used = maximum = np.maximum(state["maximum"], v)
        case "corrected":
            maximum = np.maximum(state["maximum"], v / c2)
            used = c2 * maximum
    state = {"m": m, "v": v, "maximum": maximum}
    if spec.eps_placement == "hat":
        return eta * np.sqrt(c2) / c1 * m / (np.sqrt(used) + spec.eps), state
    m_hat, v_hat = m / c1, used / c2
    return eta * m_hat / root(v_hat, spec.eps, spec.eps_placement), state


def adamax(spec: Adamax, at: At, state: State) -> tuple[Floats, State]:
    """m ← β₁m + (1 − β₁)g; u ← max(β₂u, |g| + ε); Δ = η/(1 − β₁ᵗ)·m/u; ε outside: Δ = η/(1 − β₁ᵗ)·m/(u + ε)."""
    within, beside = (spec.eps, 0.0) if spec.eps_placement == "inside" else (0.0, spec.eps)
    m = spec.beta1 * state["m"] + (1 - spec.beta1) * at.g
    u = np.maximum(spec.beta2 * state["u"], np.abs(at.g) + within)
    return at.eta / (1 - spec.beta1**at.t) * m / (u + beside), {"m": m, "u": u}


def nadam(spec: NAdam, at: At, state: State) -> tuple[Floats, State]:
    """Δ = η[(1 − μₜ)/(1 − Pₜ)·g + μₜ₊₁/(1 − Pₜ₊₁)·m]/(√v̂ + ε), Pₜ = μ₁⋯μₜ."""
    mu, after = (nadam_momentum(spec, t) for t in (at.t, at.t + 1))
    m, v = moments(spec, at.g, state)
    product = state["product"] * mu
    ahead = (1 - mu) / (1 - product) * at.g + after / (1 - product * after) * m
    v_hat = v / (1 - spec.beta2**at.t)
    return at.eta * ahead / (np.sqrt(v_hat) + spec.eps), {"m": m, "v": v, "product": product}


def nadam_momentum(spec: NAdam, t: int) -> float:
    """μₜ = β₁(1 − ½·0.96^(tψ)), or β₁ throughout."""
    rise: float = 0.5 * 0.96 ** (t * spec.momentum_decay) if spec.momentum == "scheduled" else 0.0
    return spec.beta1 * (1 - rise)


def radam(spec: RAdam, at: At, state: State) -> tuple[Floats, State]:
    """ρ∞ = 2/(1 − β₂) − 1; ρₜ = ρ∞ − 2tβ₂ᵗ/(1 − β₂ᵗ); rₜ² = (ρₜ − 4)(ρₜ − 2)ρ∞/((ρ∞ − 4)(ρ∞ − 2)ρₜ).

    Δ = ηrₜm̂/(√v̂ + ε) where ρₜ > threshold, else ηm̂. ε-hat: √(1 − β₂ᵗ)/(√v + ε̂) in place of 1/(√v̂ + ε).
    """
    m, v = moments(spec, at.g, state)
    c1, c2 = 1 - spec.beta1**at.t, 1 - spec.beta2**at.t
    limit = 2 / (1 - spec.beta2) - 1
    rho = limit - 2 * at.t * spec.beta2**at.t / c2
    if rho <= spec.threshold:
        return at.eta * m / c1, {"m": m, "v": v}
    r = np.sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))
    hat = spec.eps_placement == "hat"
    scale = np.sqrt(c2) / (np.sqrt(v) + spec.eps) if hat else 1 / (np.sqrt(v / c2) + spec.eps)
    return at.eta * r * m / c1 * scale, {"m": m, "v": v}


def yogi(spec: Yogi, at: At, state: State) -> tuple[Floats, State]:
    """v ← v − (1 − β₂)sign(v − g²)g²; Δ = ηm̂/(√v̂ + ε), or ηm/(√v + ε) without the bias correction."""
    m = spec.beta1 * state["m"] + (1 - spec.beta1) * at.g
    v = state["v"] - (1 - spec.beta2) * np.sign(state["v"] - at.g**2) * at.g**2
    c1, c2 = (1 - spec.beta1**at.t, 1 - spec.beta2**at.t) if spec.bias_correction else (1.0, 1.0)
    return at.eta * (m / c1) / (np.sqrt(v / c2) + spec.eps), {"m": m, "v": v}


def adabelief(spec: AdaBelief, at: At, state: State) -> tuple[Floats, State]:
    """s ← β₂s + (1 − β₂)(g − m)² + ε'; Δ = ηm̂/(√ŝ + ε)."""
    m = spec.beta1 * state["m"] + (1 - spec.beta1) * at.g
    s = spec.beta2 * state["s"] + (1 - spec.beta2) * (at.g - m) ** 2 + spec.eps_inside
    m_hat, s_hat = m / (1 - spec.beta1**at.t), s / (1 - spec.beta2**at.t)
    return at.eta * m_hat / (np.sqrt(s_hat) + spec.eps), {"m": m, "s": s}


def adan(spec: Adan, at: At, state: State) -> tuple[Floats, State]:
    """d = g − g₋₁; m, v, n ← means of g, d, (g + kd)²; Δ = η(m̂ + kv̂)/(√n̂ + ε); k = β₂ or 1 − β₂."""
    g, k = at.g, spec.beta2 if spec.ahead == "beta2" else 1 - spec.beta2
    d = g - state["g"] if at.t > 1 else np.zeros_like(g)
    m = spec.beta1 * state["m"] + (1 - spec.beta1) * g
    v = spec.beta2 * state["v"] + (1 - spec.beta2) * d
    n = spec.beta3 * state["n"] + (1 - spec.beta3) * (g + k * d) ** 2
    c1, c2, c3 = (1 - beta**at.t for beta in (spec.beta1, spec.beta2, spec.beta3))
    return at.eta * (m / c1 + k * v / c2) / (np.sqrt(n / c3) + spec.eps), {"g": g, "m": m, "v": v, "n": n}
