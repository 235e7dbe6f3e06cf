"""Steps along the gradient, its average or its signs, by no average of its size."""

import numpy as np

from backends.numpy.flat import Array
from backends.numpy.memory import Memory, number
from backends.numpy.optimizers.averages import fold
from harness.spec import optimizers as spec


class SGD:
    """Δ = ηg."""

    def __init__(self, g: Array, memory: Memory) -> None:
        self.g, self.delta = g, memory.scratch(g)

    def __call__(self, eta: float, t: int) -> Array:
        return np.multiply(self.g, eta, self.delta)


class Momentum:
    """v ← μv + (1 − d)g; Δ = ηv, or η(g + μv); with the rate inside, ηg takes the place of g."""

    def __init__(self, optimizer: spec.Momentum, g: Array, memory: Memory) -> None:
        self.spec, self.g, self.momentum = optimizer, g, number(optimizer.momentum, g)
        self.v, self.step, self.delta = memory.state(g), memory.scratch(g), memory.scratch(g)

    def __call__(self, eta: float, t: int) -> Array:
        o, g, v, delta = self.spec, self.g, self.v, self.delta
        inside = o.rate == "inside"
        damped = o.dampening and (t > 1 or o.first == "damped")
        if inside or damped:
            g = np.multiply(g, (eta if inside else 1.0) * (1 - o.dampening if damped else 1.0), out=self.step)
        fold(g, self.momentum, v)
        if o.nesterov:
            np.multiply(v, self.momentum, out=delta)
            np.add(delta, g, out=delta)
            return delta if inside else np.multiply(delta, eta, out=delta)
        return v if inside else np.multiply(v, eta, out=delta)


class Lion:
    """Δ = η sign(kM + g) with k = β₁(1 − β₂)/(1 − β₁); then M ← β₂M + g."""

    def __init__(self, optimizer: spec.Lion, g: Array, memory: Memory) -> None:
        self.g = g
        self.m, self.mixed, self.delta = memory.state(g), memory.scratch(g), memory.scratch(g)
        o = optimizer
        self.k, self.beta2 = number(o.beta1 * (1 - o.beta2) / (1 - o.beta1), g), number(o.beta2, g)

    def __call__(self, eta: float, t: int) -> Array:
        g, m, mixed, delta = self.g, self.m, self.mixed, self.delta
        np.multiply(m, self.k, out=mixed)
        np.add(mixed, g, out=mixed)
        fold(g, self.beta2, m)
        np.sign(mixed, out=delta)  # in place it takes five times as long
        return np.multiply(delta, eta, out=delta)


class Rprop:
    """a = sign(g)·σ; s ← s⁺s where a = 1, s⁻s where a = −1, within limits; σ ← sign(g), 0 there; Δ = (η/lr)sσ.

    Of the gradient before, only the signs σ are kept, whose product does not underflow. The factor of s is
    1 + a(s⁺ − s⁻)/2 + a²((s⁺ + s⁻)/2 − 1): a ufunc's ``where`` is slower.
    """

    def __init__(self, optimizer: spec.Rprop, g: Array, memory: Memory) -> None:
        self.spec, self.g = optimizer, g
        self.s, self.sign = memory.state(g, optimizer.lr), memory.state(g)
        self.agrees, self.factor = memory.scratch(g), memory.scratch(g)
        self.moved = np.empty_like(g, np.bool_)

    def __call__(self, eta: float, t: int) -> Array:
        o, g, s, sign, agrees, factor = self.spec, self.g, self.s, self.sign, self.agrees, self.factor
        np.copyto(agrees, sign)
        np.sign(g, out=sign)
        np.multiply(agrees, sign, out=agrees)
        np.multiply(agrees, (o.grow + o.shrink) / 2 - 1, out=factor)
        np.add(factor, (o.grow - o.shrink) / 2, out=factor)
        np.multiply(factor, agrees, out=factor)
        np.add(factor, 1, out=factor)
        np.multiply(s, factor, out=s)
        # The first sizes may lie beyond the limits, which hold only where a sign has been compared.
        first_within = o.smallest <= o.lr <= o.largest
        held = s if first_within else factor
        np.maximum(s, o.smallest, out=held)
        np.minimum(held, o.largest, out=held)
        if not first_within:
            np.copyto(s, held, where=np.not_equal(agrees, 0, out=self.moved))
        np.minimum(agrees, 0, out=agrees)
        np.add(agrees, 1, out=agrees)
        np.multiply(sign, agrees, out=sign)
        np.multiply(s, sign, out=factor)
        return np.multiply(factor, eta / o.lr, out=factor)
