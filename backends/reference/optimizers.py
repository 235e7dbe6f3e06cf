"""Optimizers: one pure function an algorithm, (what is at hand, state) → (Δ, new state) for one tensor.

The names are those of ``harness.spec.optimizers``, whose formulas these are.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from harness.backend import Floats
from harness.spec.optimizers import (
    LAMB,
    LARS,
    LBFGS,
    SGD,
    AdaBelief,
    Adadelta,
    Adafactor,
    AdaGrad,
    Adam,
    Adamax,
    Adan,
    Lion,
    Momentum,
    Muon,
    NAdam,
    Optimizer,
    RAdam,
    RMSProp,
    Rprop,
    ScheduleFree,
    Yogi,
)

State = Mapping[str, Any]


class At(NamedTuple):
    """One tensor at one step."""

    g: Floats  # the clipped gradient, with the coupled decay
    w: Floats  # the weights at which it was taken
    eta: float  # the rate of this step
    t: int  # 1, 2, …
    decay: float | Floats = 0.0  # λ of a decoupled decay inside the formula; of each weight in a joint one


def initial(spec: Optimizer, w: Floats) -> State:
    """The state before the first step, for a tensor that starts at w."""
    zero = np.zeros_like(w)
    match spec:
        case SGD():
            return {}
        case Momentum() | LARS():
            return {"v": zero}
        case AdaGrad():
            return {"h": np.full_like(w, spec.initial_accumulator)}
        case RMSProp():
            return {"h": zero, "m": zero, "v": zero}
        case Adam():
            return {"m": zero, "v": zero, "maximum": zero}
        case Adadelta():
            return {"h": zero, "a": zero}
        case Adamax():
            return {"m": zero, "u": zero}
        case NAdam():
            return {"m": zero, "v": zero, "product": 1.0}
        case RAdam() | LAMB():
            return {"m": zero, "v": zero}
        case AdaBelief():
            return {"m": zero, "s": zero}
        case Lion():
            return {"m": zero}
        case Adafactor():
            return {"rows": 0.0, "columns": 0.0, "v": zero}
        case Muon():
            return {"b": zero} if w.ndim == 2 else {"m": zero, "v": zero, "maximum": zero}
        case Rprop():
            return {"g": zero, "s": np.full_like(w, spec.lr)}
        case Yogi():
            start = np.full_like(w, spec.initial_accumulator)
            return {"m": start, "v": start}
        case Adan():
            return {"g": zero, "m": zero, "v": zero, "n": zero}
        case ScheduleFree():
            return {"z": w, "x": w, "v": zero, "squares": 0.0}
        case LBFGS():
            return {"pairs": ()}


def delta(spec: Optimizer, at: At, state: State) -> tuple[Floats, State]:
    """Δ and the new state of any optimizer."""
    match spec:
        case SGD():
            return at.eta * at.g, state
        case Momentum():
            return momentum(spec, at, state)
        case AdaGrad():
            return adagrad(spec, at, state)
        case RMSProp():
            return rmsprop(spec, at, state)
        case Adam():
            return adam(spec, at, state)
        case Adadelta():
            return adadelta(spec, at, state)
        case Adamax():
            return adamax(spec, at, state)
        case NAdam():
            return nadam(spec, at, state)
        case RAdam():
            return radam(spec, at, state)
        case Lion():
            return lion(spec, at, state)
        case Adafactor():
            return adafactor(spec, at, state)
        case LARS():
            return lars(spec, at, state)
        case LAMB():
            return lamb(spec, at, state)
        case Muon():
            return muon(spec, at, state)
        case Rprop():
            return rprop(spec, at, state)
        case Yogi():
            return yogi(spec, at, state)
        case AdaBelief():
            return adabelief(spec, at, state)
        case Adan():
            return adan(spec, at, state)
        case ScheduleFree():
            return schedule_free(spec, at, state)
        case LBFGS():
            return lbfgs(spec, at, state)


def is_joint(spec: Optimizer) -> bool:
    """Whether the formula is one of all tensors together, in one vector."""
    return isinstance(spec, LBFGS)


def evaluated_at(spec: Optimizer, w: Floats, state: State) -> Floats:
    """The weights at which a network is evaluated: x of a schedule-free optimizer, else w."""
    x: Floats = state["x"] if isinstance(spec, ScheduleFree) else w
    return x


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


def adagrad(spec: AdaGrad, at: At, state: State) -> tuple[Floats, State]:
    """h ← h + g²; Δ = ηg/√(h + ε), or ηg/(√h + ε)."""
    h = state["h"] + at.g**2
    return at.eta * at.g / root(h, spec.eps, spec.eps_placement), {"h": h}


def rmsprop(spec: RMSProp, at: At, state: State) -> tuple[Floats, State]:
    """h ← βh + (1 − β)g²; m ← βm + (1 − β)g; ĥ = h, or h/(1 − βᵗ) with the bias corrected, or h − m² if centred.

    u = g/√(ĥ + ε), or g/(√ĥ + ε); Δ = ηu.
    With momentum v ← μv + u; Δ = ηv; rate inside: v ← μv + ηu; Δ = v.
    """
    beta, mu, g, eta = spec.beta, spec.momentum, at.g, at.eta
    h = beta * state["h"] + (1 - beta) * g**2
    m = beta * state["m"] + (1 - beta) * g
    h_hat = h / (1 - beta**at.t) if spec.bias_correction else h
    u = g / root(h_hat - m**2 if spec.centred else h_hat, spec.eps, spec.eps_placement)
    if spec.rate == "inside":
        v = mu * state["v"] + eta * u
        return v, {"h": h, "m": m, "v": v}
    v = mu * state["v"] + u
    return eta * v, {"h": h, "m": m, "v": v}


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


def adadelta(spec: Adadelta, at: At, state: State) -> tuple[Floats, State]:
    """h ← ρh + (1 − ρ)g²; u = √(a + ε)/√(h + ε)·g; a ← ρa + (1 − ρ)u²; Δ = ηu."""
    h = spec.rho * state["h"] + (1 - spec.rho) * at.g**2
    u = np.sqrt(state["a"] + spec.eps) / np.sqrt(h + spec.eps) * at.g
    return at.eta * u, {"h": h, "a": spec.rho * state["a"] + (1 - spec.rho) * u**2}


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


def lion(spec: Lion, at: At, state: State) -> tuple[Floats, State]:
    """Δ = η sign(β₁m + (1 − β₁)g); m ← β₂m + (1 − β₂)g."""
    u = np.sign(spec.beta1 * state["m"] + (1 - spec.beta1) * at.g)
    return at.eta * u, {"m": spec.beta2 * state["m"] + (1 - spec.beta2) * at.g}


def adafactor(spec: Adafactor, at: At, state: State) -> tuple[Floats, State]:
    """β̂ = 1 − t^(−c); V ← β̂V + (1 − β̂)(g² + ε₁), or RC/mean(R) of its means R over the last axis, C the one before.

    u = g/√V; Δ = α·u/max(1, rms(u)/d); α = max(ε₂, rms(w))·ρ or ρ; ρ = min(η, 1/√t) or η.
    """
    beta = 1 - at.t**-spec.beta2_decay
    square = at.g**2 + spec.eps1
    if spec.factored and at.g.ndim >= 2:
        rows = beta * state["rows"] + (1 - beta) * square.mean(axis=-1, keepdims=True)
        columns = beta * state["columns"] + (1 - beta) * square.mean(axis=-2, keepdims=True)
        v = rows * columns / rows.mean(axis=-2, keepdims=True)
        state = {"rows": rows, "columns": columns}
    else:
        v = beta * state["v"] + (1 - beta) * square
        state = {"v": v}
    u = at.g / np.sqrt(v)
    rate = min(at.eta, 1 / np.sqrt(at.t)) if spec.rate == "capped" else at.eta
    alpha = max(spec.eps2, rms(at.w)) * rate if spec.relative else rate
    return alpha * u / max(1, rms(u) / spec.clip), state


def lars(spec: LARS, at: At, state: State) -> tuple[Floats, State]:
    """κ = c‖w‖/(‖g‖ + λ‖w‖ + ε), or c‖w‖/(‖g + λw‖ + ε); v ← μv + ηκ(g + λw); Δ = v."""
    g = at.g + at.decay * at.w
    below = norm(g) if spec.norm == "joint" else norm(at.g) + norm(at.decay * at.w)
    v = spec.momentum * state["v"] + at.eta * trust(spec.trust * norm(at.w), below + spec.eps) * g
    return v, {"v": v}


def lamb(spec: LAMB, at: At, state: State) -> tuple[Floats, State]:
    """u = m̂/(√v̂ + ε) + λw; Δ = η‖w‖/‖u‖·u."""
    m, v = moments(spec, at.g, state)
    m_hat, v_hat = m / (1 - spec.beta1**at.t), v / (1 - spec.beta2**at.t)
    u = m_hat / (np.sqrt(v_hat) + spec.eps) + at.decay * at.w
    return at.eta * trust(norm(at.w), norm(u)) * u, {"m": m, "v": v}


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


def rprop(spec: Rprop, at: At, state: State) -> tuple[Floats, State]:
    """s grows where g keeps its sign and shrinks where it changes, where g then counts as 0; Δ = (η/lr)·s·sign(g)."""
    agrees = np.sign(at.g * state["g"])
    s = np.where(agrees > 0, spec.grow * state["s"], np.where(agrees < 0, spec.shrink * state["s"], state["s"]))
    s = np.where(agrees != 0, np.clip(s, spec.smallest, spec.largest), s)
    g = np.where(agrees < 0, 0.0, at.g)
    return at.eta / spec.lr * s * np.sign(g), {"g": g, "s": s}


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


def moments(spec: Adam | NAdam | RAdam | LAMB, g: Floats, state: State) -> tuple[Floats, Floats]:
    """m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²."""
    return (
        spec.beta1 * state["m"] + (1 - spec.beta1) * g,
        spec.beta2 * state["v"] + (1 - spec.beta2) * g**2,
    )


def trust(above: float, below: float) -> float:
    """above/below, or 1 where either is 0."""
    return above / below if above and below else 1.0


def norm(w: Floats) -> float:
    """‖w‖ = √Σw²."""
    return float(np.sqrt(np.sum(w**2)))


def rms(w: Floats) -> float:
    """√(mean of w²)."""
    return float(np.sqrt(np.mean(w**2)))


def root(h: Floats, eps: float, placement: str) -> Floats:
    """√(h + ε) with ε inside, √h + ε with ε outside."""
    return np.sqrt(h + eps) if placement == "inside" else np.sqrt(h) + eps
