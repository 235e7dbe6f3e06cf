"""The gradient divided by the root of a sum or average of its squares."""

import math

import numpy as np

from backends.numpy.flat import Array
from backends.numpy.memory import Memory
from backends.numpy.optimizers.averages import fold, fold_square, root
from harness.spec import optimizers as spec


class AdaGrad:
    """h ← h + g²; Δ = ηg/√(h + ε), or ηg/(√h + ε)."""

    def __init__(self, optimizer: spec.AdaGrad, g: Array, memory: Memory) -> None:
        self.spec, self.g = optimizer, g
        self.h, self.delta = memory.state(g, optimizer.initial_accumulator), memory.scratch(g)

    def __call__(self, eta: float, t: int) -> Array:
        g, h, delta = self.g, self.h, self.delta
        np.multiply(g, g, out=delta)
        np.add(h, delta, out=h)
        root(h, 1.0, self.spec.eps, self.spec.eps_placement, delta)
        np.divide(g, delta, out=delta)
        return np.multiply(delta, eta, out=delta)


class RMSProp:
    """ĥ = kH with k = 1 − β, or (1 − β)/(1 − βᵗ) with the bias corrected; centred: h − m² = k(H − kM²)."""

    def __init__(self, optimizer: spec.RMSProp, g: Array, memory: Memory) -> None:
        self.spec, self.g = optimizer, g
        self.h, self.delta, self.variance = memory.state(g), memory.scratch(g), memory.scratch(g)
        self.m = memory.state(g) if optimizer.centred else g[:0]
        self.v = memory.state(g) if optimizer.momentum else g[:0]

    def __call__(self, eta: float, t: int) -> Array:
        o, g, h, m, v, delta = self.spec, self.g, self.h, self.m, self.v, self.delta
        k = (1 - o.beta) / (1 - o.beta**t if o.bias_correction else 1.0)
        fold_square(g, o.beta, h, delta)
        if o.centred:
            fold(g, o.beta, m)
            np.multiply(m, m, out=delta)
            np.multiply(delta, k, out=delta)
            h = np.subtract(h, delta, out=self.variance)
        root(h, k, o.eps, o.eps_placement, delta)
        np.divide(g, delta, out=delta)
        inside = o.rate == "inside" or not o.momentum
        np.multiply(delta, (eta if inside else 1.0) / math.sqrt(k), out=delta)
        if not o.momentum:
            return delta
        fold(delta, o.momentum, v)
        return v if inside else np.multiply(v, eta, out=delta)


class Adadelta:
    """u = √((A + ε′)/(H + ε′))·g with ε′ = ε/(1 − ρ); A ← ρA + u²; Δ = ηu."""

    def __init__(self, optimizer: spec.Adadelta, g: Array, memory: Memory) -> None:
        self.spec, self.g = optimizer, g
        self.h, self.a = memory.state(g), memory.state(g)
        self.u, self.delta = memory.scratch(g), memory.scratch(g)

    def __call__(self, eta: float, t: int) -> Array:
        rho, eps, h, a, u, delta = (
            self.spec.rho,
            self.spec.eps / (1 - self.spec.rho),
            self.h,
            self.a,
            self.u,
            self.delta,
        )
        fold_square(self.g, rho, h, delta)
        np.add(h, eps, out=delta)
        np.add(a, eps, out=u)
        np.divide(u, delta, out=u)
        np.sqrt(u, out=u)
        np.multiply(u, self.g, out=u)
        fold_square(u, rho, a, delta)
        return np.multiply(u, eta, out=delta)
