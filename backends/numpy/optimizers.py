"""Optimizers over the flat vector, in place: each call turns g, which it may overwrite, into Δ.

Moving averages are kept without their constant: M = m/(1 − β) obeys M ← βM + g, one pass over memory less.
The scalars that this leaves, with the bias corrections, are gathered into one factor of the step.
"""

import math
from typing import Protocol

import numpy as np

from backends.numpy.flat import Array
from harness.spec import optimizers as spec
from harness.spec.optimizers import Optimizer


class Bound(Protocol):
    """An optimizer with its state."""

    def __call__(self, g: Array, eta: float, t: int) -> Array:
        """Δ at step t = 1, 2, … in a buffer that the next call overwrites; the caller only reads it."""
        ...


def bind(optimizer: Optimizer, like: Array) -> Bound:
    """The optimizer at step 0 for a vector of this size and precision."""
    match optimizer:
        case spec.SGD():
            return SGD()
        case spec.Momentum():
            return Momentum(optimizer, like)
        case spec.AdaGrad():
            return AdaGrad(optimizer, like)
        case spec.RMSProp():
            return RMSProp(optimizer, like)
        case spec.Adam():
            return Adam(optimizer, like)


class SGD:
    """Δ = ηg."""

    def __call__(self, g: Array, eta: float, t: int) -> Array:
        return np.multiply(g, eta, out=g)


class Momentum:
    """v ← μv + (1 − d)g; Δ = ηv, or η(g + μv); with the rate inside, ηg takes the place of g."""

    def __init__(self, optimizer: spec.Momentum, like: Array) -> None:
        self.spec = optimizer
        self.v, self.delta = np.zeros_like(like), np.empty_like(like)

    def __call__(self, g: Array, eta: float, t: int) -> Array:
        o, v, delta = self.spec, self.v, self.delta
        inside = o.rate == "inside"
        if inside:
            np.multiply(g, eta, out=g)
        np.multiply(v, o.momentum, out=v)
        if o.dampening and (t > 1 or o.first == "damped"):
            np.multiply(g, 1 - o.dampening, out=g)
        np.add(v, g, out=v)
        if o.nesterov:
            np.multiply(v, o.momentum, out=delta)
            np.add(delta, g, out=delta)
            return delta if inside else np.multiply(delta, eta, out=delta)
        return v if inside else np.multiply(v, eta, out=delta)


class AdaGrad:
    """h ← h + g²; Δ = ηg/√(h + ε), or ηg/(√h + ε)."""

    def __init__(self, optimizer: spec.AdaGrad, like: Array) -> None:
        self.spec = optimizer
        self.h, self.delta = np.full_like(like, optimizer.initial_accumulator), np.empty_like(like)

    def __call__(self, g: Array, eta: float, t: int) -> Array:
        h, delta = self.h, self.delta
        np.multiply(g, g, out=delta)
        np.add(h, delta, out=h)
        _root(h, 1.0, self.spec.eps, self.spec.eps_placement, delta)
        np.divide(g, delta, out=delta)
        return np.multiply(delta, eta, out=delta)


class RMSProp:
    """ĥ = kH with k = 1 − β, or (1 − β)/(1 − βᵗ) with the bias corrected; centred: h − m² = k(H − kM²)."""

    def __init__(self, optimizer: spec.RMSProp, like: Array) -> None:
        self.spec = optimizer
        self.h, self.m, self.v = np.zeros_like(like), np.zeros_like(like), np.zeros_like(like)
        self.delta, self.variance = np.empty_like(like), np.empty_like(like)

    def __call__(self, g: Array, eta: float, t: int) -> Array:
        o, h, m, v, delta = self.spec, self.h, self.m, self.v, self.delta
        k = (1 - o.beta) / (1 - o.beta**t if o.bias_correction else 1.0)
        np.multiply(h, o.beta, out=h)
        np.multiply(g, g, out=delta)
        np.add(h, delta, out=h)
        if o.centred:
            np.multiply(m, o.beta, out=m)
            np.add(m, g, out=m)
            np.multiply(m, m, out=delta)
            np.multiply(delta, k, out=delta)
            h = np.subtract(h, delta, out=self.variance)
        _root(h, k, o.eps, o.eps_placement, delta)
        np.divide(g, delta, out=delta)
        inside = o.rate == "inside" or not o.momentum
        np.multiply(delta, (eta if inside else 1.0) / math.sqrt(k), out=delta)
        if not o.momentum:
            return delta
        np.multiply(v, o.momentum, out=v)
        np.add(v, delta, out=v)
        return v if inside else np.multiply(v, eta, out=delta)


class Adam:
    """m̂ = k₁M with k₁ = (1 − β₁)/(1 − β₁ᵗ), v̂ = k₂V likewise; ε̂ beside √v is ε̂/√(1 − β₂ᵗ) beside √v̂."""

    def __init__(self, optimizer: spec.Adam, like: Array) -> None:
        self.spec = optimizer
        self.m, self.v = np.zeros_like(like), np.zeros_like(like)
        self.greatest, self.delta = np.zeros_like(like), np.empty_like(like)

    def __call__(self, g: Array, eta: float, t: int) -> Array:
        o, m, v, delta = self.spec, self.m, self.v, self.delta
        k1, c2 = (1 - o.beta1) / (1 - o.beta1**t), 1 - o.beta2**t
        k2 = (1 - o.beta2) / c2
        np.multiply(m, o.beta1, out=m)
        np.add(m, g, out=m)
        np.multiply(v, o.beta2, out=v)
        np.multiply(g, g, out=delta)
        np.add(v, delta, out=v)
        if o.amsgrad == "raw":
            v = np.maximum(self.greatest, v, out=self.greatest)
        elif o.amsgrad == "corrected":
            np.multiply(v, k2, out=delta)
            v, k2 = np.maximum(self.greatest, delta, out=self.greatest), 1.0
        _root(v, k2, o.eps / math.sqrt(c2) if o.eps_placement == "hat" else o.eps, o.eps_placement, delta)
        np.divide(m, delta, out=delta)
        return np.multiply(delta, eta * k1 / math.sqrt(k2), out=delta)


def _root(h: Array, k: float, eps: float, placement: str, out: Array) -> None:
    """√(kh + ε)/√k for ε inside, (√(kh) + ε)/√k for ε outside."""
    if placement == "inside":
        np.add(h, eps / k, out=out)
        np.sqrt(out, out=out)
    else:
        np.sqrt(h, out=out)
        np.add(out, eps / math.sqrt(k), out=out)
