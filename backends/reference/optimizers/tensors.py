"""Steps that look at each tensor as a whole: at its norm, or at the means of its rows and columns."""

import numpy as np

from backends.reference.clips import norm
from backends.reference.optimizers.averages import moments
from backends.reference.optimizers.step import At, State
from harness.backend import Floats
from harness.spec.optimizers import LAMB, LARS, Adafactor


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


def trust(above: float, below: float) -> float:
    """above/below, or 1 where either is 0."""
    return above / below if above and below else 1.0


def rms(w: Floats) -> float:
    """√(mean of w²)."""
    return float(np.sqrt(np.mean(w**2)))
