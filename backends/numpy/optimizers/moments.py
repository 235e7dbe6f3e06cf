"""Adam and what descends from it: an average of gradients over the root of an average of squares.

m̂ = k₁M with k₁ = (1 − β₁)/(1 − β₁ᵗ), v̂ = k₂V likewise; ε̂ beside √v is ε̂/√(1 − β₂ᵗ) beside √v̂.
"""

import math

import numpy as np

from backends.numpy.flat import Array
from backends.numpy.memory import Memory, number
from backends.numpy.optimizers.averages import fold, fold_square, root
from harness.spec import optimizers as spec


class Adam:
    """Δ = ηm̂/(√v̂ + ε), in the spec's variants of ε and of AMSGrad."""

    def __init__(self, optimizer: spec.Adam, g: Array, memory: Memory) -> None:
        self.spec, self.g = optimizer, g
        self.beta1, self.beta2 = number(optimizer.beta1, g), number(optimizer.beta2, g)
        self.m, self.v, self.delta = memory.state(g), memory.state(g), memory.scratch(g)
        self.greatest = memory.state(g) if optimizer.amsgrad != "no" else g[:0]

    def __call__(self, eta: float, t: int) -> Array:
        o, m, v, delta = self.spec, self.m, self.v, self.delta
        k1, c2 = (1 - o.beta1) / (1 - o.beta1**t), 1 - o.beta2**t
        k2 = (1 - o.beta2) / c2
        fold(self.g, self.beta1, m)
        fold_square(self.g, self.beta2, v, delta)
        if o.amsgrad == "raw":
            v = np.maximum(self.greatest, v, out=self.greatest)
        elif o.amsgrad == "corrected":
            np.multiply(v, k2, out=delta)
            v, k2 = np.maximum(self.greatest, delta, out=self.greatest), 1.0
        root(v, k2, o.eps / math.sqrt(c2) if o.eps_placement == "hat" else o.eps, o.eps_placement, delta)
        np.divide(m, delta, out=delta)
        return np.multiply(delta, eta * k1 / math.sqrt(k2), out=delta)


class Adamax:
    """u ← max(β₂u, |g| + ε); Δ = ηk₁M/u; with ε outside u ← max(β₂u, |g|); Δ = ηk₁M/(u + ε)."""

    def __init__(self, optimizer: spec.Adamax, g: Array, memory: Memory) -> None:
        self.spec, self.g = optimizer, g
        self.m, self.u, self.delta = memory.state(g), memory.state(g), memory.scratch(g)

    def __call__(self, eta: float, t: int) -> Array:
        o, g, u, delta = self.spec, self.g, self.u, self.delta
        fold(g, o.beta1, self.m)
        np.abs(g, out=delta)
        np.multiply(u, o.beta2, out=u)
        if o.eps_placement == "inside":
            np.add(delta, o.eps, out=delta)
            below = np.maximum(u, delta, out=u)
        else:
            np.maximum(u, delta, out=u)
            below = np.add(u, o.eps, out=delta)
        np.divide(self.m, below, out=delta)
        return np.multiply(delta, eta * (1 - o.beta1) / (1 - o.beta1**t), out=delta)


class NAdam:
    """Δ = η[(1 − μₜ)/(1 − Pₜ)·g + (1 − β₁)μₜ₊₁/(1 − Pₜ₊₁)·M]/(√v̂ + ε), Pₜ = μ₁⋯μₜ."""

    def __init__(self, optimizer: spec.NAdam, g: Array, memory: Memory) -> None:
        self.spec, self.g = optimizer, g
        self.m, self.v = memory.state(g), memory.state(g)
        self.ahead, self.delta = memory.scratch(g), memory.scratch(g)
        self.product = 1.0

    def __call__(self, eta: float, t: int) -> Array:
        o, g, ahead, delta = self.spec, self.g, self.ahead, self.delta
        mu, following = self._momentum(t), self._momentum(t + 1)
        self.product *= mu
        k2 = (1 - o.beta2) / (1 - o.beta2**t)
        fold(g, o.beta1, self.m)
        fold_square(g, o.beta2, self.v, delta)
        root(self.v, k2, o.eps, "outside", delta)
        of_g = (1 - mu) / (1 - self.product)
        of_m = (1 - o.beta1) * following / (1 - self.product * following)
        np.multiply(self.m, of_m / of_g, out=ahead)
        np.add(ahead, g, out=ahead)
        np.divide(ahead, delta, out=delta)
        return np.multiply(delta, eta * of_g / math.sqrt(k2), out=delta)

    def _momentum(self, t: int) -> float:
        """μₜ = β₁(1 − ½·0.96^(tψ)), or β₁ throughout."""
        beta1, psi = self.spec.beta1, self.spec.momentum_decay
        return beta1 if self.spec.momentum == "constant" else beta1 * (1 - 0.96 ** (t * psi) / 2)


class RAdam:
    """Δ = ηrₜm̂/(√v̂ + ε) where ρₜ > threshold, else ηm̂."""

    def __init__(self, optimizer: spec.RAdam, g: Array, memory: Memory) -> None:
        self.spec, self.g = optimizer, g
        self.m, self.v, self.delta = memory.state(g), memory.state(g), memory.scratch(g)

    def __call__(self, eta: float, t: int) -> Array:
        o, delta = self.spec, self.delta
        k1, c2 = (1 - o.beta1) / (1 - o.beta1**t), 1 - o.beta2**t
        k2 = (1 - o.beta2) / c2
        fold(self.g, o.beta1, self.m)
        fold_square(self.g, o.beta2, self.v, delta)
        r = self._rectification(t)
        if r is None:
            return np.multiply(self.m, eta * k1, out=delta)
        root(self.v, k2, o.eps / math.sqrt(c2) if o.eps_placement == "hat" else o.eps, "outside", delta)
        np.divide(self.m, delta, out=delta)
        return np.multiply(delta, eta * r * k1 / math.sqrt(k2), out=delta)

    def _rectification(self, t: int) -> float | None:
        """rₜ = √((ρₜ − 4)(ρₜ − 2)ρ∞/((ρ∞ − 4)(ρ∞ − 2)ρₜ)) with ρₜ = ρ∞ − 2tβ₂ᵗ/(1 − β₂ᵗ), None up to the threshold."""
        power, limit = self.spec.beta2**t, 2 / (1 - self.spec.beta2) - 1
        rho = limit - 2 * t * power / (1 - power)
        if rho <= self.spec.threshold:
            return None
        return math.sqrt((rho - 4) * (rho - 2) / rho * limit / ((limit - 4) * (limit - 2)))


class Yogi:
    """v ← v − (1 − β₂)sign(v − g²)g²; Δ = ηm̂/(√v̂ + ε), m̂ = k₁M, v̂ = v/(1 − β₂ᵗ), or m = (1 − β₁)M and v."""

    def __init__(self, optimizer: spec.Yogi, g: Array, memory: Memory) -> None:
        self.spec, self.g = optimizer, g
        self.m = memory.state(g, optimizer.initial_accumulator / (1 - optimizer.beta1))
        self.v = memory.state(g, optimizer.initial_accumulator)
        self.apart, self.change, self.delta = memory.scratch(g), memory.scratch(g), memory.scratch(g)

    def __call__(self, eta: float, t: int) -> Array:
        o, g, v, apart, change, delta = self.spec, self.g, self.v, self.apart, self.change, self.delta
        c1, c2 = (1 - o.beta1**t, 1 - o.beta2**t) if o.bias_correction else (1.0, 1.0)
        fold(g, o.beta1, self.m)
        np.multiply(g, g, out=delta)
        np.subtract(v, delta, out=apart)
        np.sign(apart, out=change)  # in place it takes five times as long
        np.multiply(change, delta, out=change)
        np.multiply(change, 1 - o.beta2, out=change)
        np.subtract(v, change, out=v)
        root(v, 1 / c2, o.eps, "outside", delta)
        np.divide(self.m, delta, out=delta)
        return np.multiply(delta, eta * (1 - o.beta1) / c1 * math.sqrt(c2), out=delta)


class AdaBelief:
    """M without its constant; s ← β₂s + (1 − β₂)(g − m)² + ε'; Δ = ηk₁M/(√(s/c₂) + ε)."""

    def __init__(self, optimizer: spec.AdaBelief, g: Array, memory: Memory) -> None:
        self.spec, self.g = optimizer, g
        self.m, self.s, self.delta = memory.state(g), memory.state(g), memory.scratch(g)

    def __call__(self, eta: float, t: int) -> Array:
        o, g, m, s, delta = self.spec, self.g, self.m, self.s, self.delta
        fold(g, o.beta1, m)
        np.multiply(m, 1 - o.beta1, out=delta)
        np.subtract(g, delta, out=delta)
        np.multiply(delta, delta, out=delta)
        np.multiply(delta, 1 - o.beta2, out=delta)
        np.multiply(s, o.beta2, out=s)
        np.add(s, delta, out=s)
        np.add(s, o.eps_inside, out=s)
        np.divide(s, 1 - o.beta2**t, out=delta)
        np.sqrt(delta, out=delta)
        np.add(delta, o.eps, out=delta)
        np.divide(m, delta, out=delta)
        return np.multiply(delta, eta * (1 - o.beta1) / (1 - o.beta1**t), out=delta)


class Adan:
    """d = g − g₋₁; M, D, N without their constants; Δ = η(k₁M + kk₂D)/(√(k₃N) + ε), k = β₂ or 1 − β₂."""

    def __init__(self, optimizer: spec.Adan, g: Array, memory: Memory) -> None:
        self.spec, self.g = optimizer, g
        self.m, self.d, self.n, self.before = (memory.state(g) for _ in range(4))
        self.ahead, self.delta = memory.scratch(g), memory.scratch(g)

    def __call__(self, eta: float, t: int) -> Array:
        o, g, ahead, delta = self.spec, self.g, self.ahead, self.delta
        k = o.beta2 if o.ahead == "beta2" else 1 - o.beta2
        k1, k2, k3 = ((1 - beta) / (1 - beta**t) for beta in (o.beta1, o.beta2, o.beta3))
        np.subtract(g, self.before if t > 1 else g, out=ahead)
        np.copyto(self.before, g)
        fold(g, o.beta1, self.m)
        fold(ahead, o.beta2, self.d)
        np.multiply(ahead, k, out=ahead)
        np.add(ahead, g, out=ahead)
        fold_square(ahead, o.beta3, self.n, delta)
        root(self.n, k3, o.eps, "outside", delta)
        np.multiply(self.d, k * k2 / k1, out=ahead)
        np.add(ahead, self.m, out=ahead)
        np.divide(ahead, delta, out=delta)
        return np.multiply(delta, eta * k1 / math.sqrt(k3), out=delta)
