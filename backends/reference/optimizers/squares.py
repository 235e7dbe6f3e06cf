"""The gradient divided by the root of a sum or average of its squares."""

import numpy as np

from backends.reference.optimizers.averages import root
from backends.reference.optimizers.step import At, State
from harness.backend import Floats
from harness.spec.optimizers import Adadelta, AdaGrad, RMSProp


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


def adadelta(spec: Adadelta, at: At, state: State) -> tuple[Floats, State]:
    """h ← ρh + (1 − ρ)g²; u = √(a + ε)/√(h + ε)·g; a ← ρa + (1 − ρ)u²; Δ = ηu."""
    h = spec.rho * state["h"] + (1 - spec.rho) * at.g**2
    u = np.sqrt(state["a"] + spec.eps) / np.sqrt(h + spec.eps) * at.g
    return at.eta * u, {"h": h, "a": spec.rho * state["a"] + (1 - spec.rho) * u**2}
