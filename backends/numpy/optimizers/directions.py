"""Steps along the gradient, its average or its signs, by no average of its size."""

import numpy as np

from backends.numpy.flat import Array
from backends.numpy.optimizers.averages import fold
from harness.spec import optimizers as spec


class SGD:
    """Δ = ηg."""

    def __init__(self, g: Array) -> None:
        self.g = g

    def __call__(self, eta: float, t: int) -> Array:
        return np.multiply(self.g, eta, out=self.g)


class Momentum:
    """v ← μv + (1 − d)g; Δ = ηv, or η(g + μv); with the rate inside, ηg takes the place of g."""

    def __init__(self, optimizer: spec.Momentum, g: Array) -> None:
        self.spec, self.g = optimizer, g
        self.v, self.delta = np.zeros_like(g), np.empty_like(g)

    def __call__(self, eta: float, t: int) -> Array:
        o, g, v, delta = self.spec, self.g, self.v, self.delta
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


class Lion:
    """Δ = η sign(kM + g) with k = β₁(1 − β₂)/(1 − β₁); then M ← β₂M + g."""

    def __init__(self, optimizer: spec.Lion, g: Array) -> None:
        self.spec, self.g = optimizer, g
        self.m, self.delta = np.zeros_like(g), np.empty_like(g)

    def __call__(self, eta: float, t: int) -> Array:
        o, g, m, delta = self.spec, self.g, self.m, self.delta
        np.multiply(m, o.beta1 * (1 - o.beta2) / (1 - o.beta1), out=delta)
        np.add(delta, g, out=delta)
        np.sign(delta, out=delta)
        fold(g, o.beta2, m)
        return np.multiply(delta, eta, out=delta)


class Rprop:
    """s ← s⁺s where sign(g)·σ > 0, s⁻s where it is < 0, within limits; σ ← sign(g), 0 there; Δ = (η/lr)sσ.

    Of the gradient before, only the signs σ are kept, whose product does not underflow.
    """

    def __init__(self, optimizer: spec.Rprop, g: Array) -> None:
        self.spec, self.g = optimizer, g
        self.s, self.sign, self.delta = np.full_like(g, optimizer.lr), np.zeros_like(g), np.empty_like(g)
        self.same, self.turned, self.either = np.empty((3, g.size), np.bool_)

    def __call__(self, eta: float, t: int) -> Array:
        o, s, sign, agrees = self.spec, self.s, self.sign, self.delta
        np.sign(self.g, out=self.g)
        np.multiply(self.g, sign, out=agrees)
        np.greater(agrees, 0, out=self.same)
        np.less(agrees, 0, out=self.turned)
        np.logical_or(self.same, self.turned, out=self.either)
        np.multiply(s, o.grow, out=s, where=self.same)
        np.multiply(s, o.shrink, out=s, where=self.turned)
        np.maximum(s, o.smallest, out=s, where=self.either)
        np.minimum(s, o.largest, out=s, where=self.either)
        np.copyto(sign, self.g)
        np.copyto(sign, 0.0, where=self.turned)
        np.multiply(s, sign, out=self.delta)
        return np.multiply(self.delta, eta / o.lr, out=self.delta)
