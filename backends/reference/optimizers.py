"""Optimizers: one pure function an algorithm, (g, state, η, t) → (Δ, new state) for one tensor, t = 1, 2, …

The names are those of ``harness.spec.optimizers``, whose formulas these are.
"""

from collections.abc import Mapping

import numpy as np

from harness.backend import Floats
from harness.spec.optimizers import SGD, AdaGrad, Adam, Momentum, Optimizer, RMSProp

State = Mapping[str, Floats]


def initial(spec: Optimizer, w: Floats) -> State:
    """The state before the first step, for a tensor of the shape of w."""
    match spec:
        case SGD():
            return {}
        case Momentum():
            return {"v": np.zeros_like(w)}
        case AdaGrad():
            return {"h": np.full_like(w, spec.initial_accumulator)}
        case RMSProp():
            return {name: np.zeros_like(w) for name in ("h", "m", "v")}
        case Adam():
            return {name: np.zeros_like(w) for name in ("m", "v", "maximum")}


def delta(spec: Optimizer, g: Floats, state: State, eta: float, t: int) -> tuple[Floats, State]:
    """Δ and the new state of any optimizer."""
    match spec:
        case SGD():
            return eta * g, {}
        case Momentum():
            return momentum(spec, g, state, eta, t)
        case AdaGrad():
            return adagrad(spec, g, state, eta)
        case RMSProp():
            return rmsprop(spec, g, state, eta, t)
        case Adam():
            return adam(spec, g, state, eta, t)


def momentum(spec: Momentum, g: Floats, state: State, eta: float, t: int) -> tuple[Floats, State]:
    """v ← μv + (1 − d)g; Δ = ηv, with nesterov Δ = η(g + μv). d = 0 in a plain first step.

    Rate inside: v ← μv + η(1 − d)g; Δ = v, with nesterov Δ = ηg + μv.
    """
    mu = spec.momentum
    d = 0.0 if t == 1 and spec.first == "plain" else spec.dampening
    if spec.rate == "inside":
        v = mu * state["v"] + eta * (1 - d) * g
        return (eta * g + mu * v if spec.nesterov else v), {"v": v}
    v = mu * state["v"] + (1 - d) * g
    return eta * (g + mu * v if spec.nesterov else v), {"v": v}


def adagrad(spec: AdaGrad, g: Floats, state: State, eta: float) -> tuple[Floats, State]:
    """h ← h + g²; Δ = ηg/√(h + ε), or ηg/(√h + ε)."""
    h = state["h"] + g**2
    return eta * g / root(h, spec.eps, spec.eps_placement), {"h": h}


def rmsprop(spec: RMSProp, g: Floats, state: State, eta: float, t: int) -> tuple[Floats, State]:
    """h ← βh + (1 − β)g²; m ← βm + (1 − β)g; ĥ = h, or h/(1 − βᵗ) with the bias corrected, or h − m² if centred.

    u = g/√(ĥ + ε), or g/(√ĥ + ε); Δ = ηu.
    With momentum v ← μv + u; Δ = ηv; rate inside: v ← μv + ηu; Δ = v.
    """
    beta, mu = spec.beta, spec.momentum
    h = beta * state["h"] + (1 - beta) * g**2
    m = beta * state["m"] + (1 - beta) * g
    h_hat = h / (1 - beta**t) if spec.bias_correction else h
    u = g / root(h_hat - m**2 if spec.centred else h_hat, spec.eps, spec.eps_placement)
    if spec.rate == "inside":
        v = mu * state["v"] + eta * u
        return v, {"h": h, "m": m, "v": v}
    v = mu * state["v"] + u
    return eta * v, {"h": h, "m": m, "v": v}


def adam(spec: Adam, g: Floats, state: State, eta: float, t: int) -> tuple[Floats, State]:
    """m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²; m̂ = m/(1 − β₁ᵗ); v̂ = v/(1 − β₂ᵗ).

    ε outside: Δ = ηm̂/(√v̂ + ε); inside: Δ = ηm̂/√(v̂ + ε); hat: Δ = η√(1 − β₂ᵗ)/(1 − β₁ᵗ)·m/(√v + ε̂).
    AMSGrad raw: the greatest v so far in place of v; corrected: the greatest v̂ in place of v̂, hence
    (1 − β₂ᵗ)v̂ in place of v.
    """
    c1, c2 = 1 - spec.beta1**t, 1 - spec.beta2**t
    m = spec.beta1 * state["m"] + (1 - spec.beta1) * g
    v = spec.beta2 * state["v"] + (1 - spec.beta2) * g**2
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


def root(h: Floats, eps: float, placement: str) -> Floats:
    """√(h + ε) with ε inside, √h + ε with ε outside."""
    return np.sqrt(h + eps) if placement == "inside" else np.sqrt(h) + eps
