"""Muon: the matrices' averaged gradients orthogonalised, all other tensors by Adam."""

import math

import numpy as np

from backends.numpy.flat import Array, Flat, norm
from backends.numpy.memory import Memory
from backends.numpy.optimizers.averages import fold
from backends.numpy.optimizers.moments import Adam
from harness.spec import optimizers as spec

A, B, C = 3.4445, -4.7750, 2.0315


class Muon:
    """B ← μB + g; Δ = ηs′·NS of c(g/(1 − μᵗ) + μB/(1 − μᵗ⁺¹)), or of cB/(1 − μᵗ); the divisors 1 if not corrected.

    c = 1 − μ, or 1 where B is a sum. The averages are those of the whole vector, in one go. What is no matrix is
    gathered into a vector of its own.
    """

    def __init__(self, optimizer: spec.Muon, g: Flat, memory: Memory) -> None:
        o = optimizer
        self.spec, self.g, self.b, self.direction = o, g.vector, memory.state(g.vector), g.twin()
        views = self.direction.views.values()
        self.matrices = [
            (view, scale(o, *view.shape), NewtonSchulz(view, o.iterations, o.eps)) for view in views if view.ndim == 2
        ]
        self.others, self.places = (
            [piece for piece, view in zip(flat.pieces, views, strict=True) if view.ndim != 2]
            for flat in (g, self.direction)
        )
        self.gathered = np.concatenate([g.vector[:0], *self.others])
        self.adam = Adam(spec.Adam(o.lr, o.beta1, o.beta2, o.adam_eps), self.gathered, memory)
        self.deltas = np.split(self.adam.delta, np.cumsum([piece.size for piece in self.others])[:-1])

    def __call__(self, eta: float, t: int) -> Array:
        self._average(t)
        for view, size, orthogonal in self.matrices:
            np.multiply(orthogonal(view), eta * size, out=view)
        if self.others:
            np.concatenate(self.others, out=self.gathered)
            self.adam(eta, t)
            for place, delta in zip(self.places, self.deltas, strict=True):
                np.copyto(place, delta)
        return self.direction.vector

    def _average(self, t: int) -> None:
        """What is orthogonalised."""
        o, mu, direction = self.spec, self.spec.momentum, self.direction.vector
        now, following = (1 - mu**t, 1 - mu ** (t + 1)) if o.buffer == "corrected" else (1.0, 1.0)
        share = 1.0 if o.buffer == "sum" else (1 - mu) / now
        fold(self.g, mu, self.b)
        if not o.nesterov:
            np.multiply(self.b, share, out=direction)
            return
        np.multiply(self.b, mu * now / following, out=direction)
        np.add(direction, self.g, out=direction)
        if share != 1:
            np.multiply(direction, share, out=direction)


def scale(optimizer: spec.Muon, inputs: int, outputs: int) -> float:
    """√max(1, outputs/inputs), 0.2√max(inputs, outputs), or 1."""
    match optimizer.scale:
        case "outputs":
            return math.sqrt(max(1.0, outputs / inputs))
        case "rms":
            return 0.2 * math.sqrt(max(inputs, outputs))
        case "none":
            return 1.0


class NewtonSchulz:
    """X = M/(‖M‖ + ε), the shorter side first; A = XXᵀ; X ← (aI + bA + cA²)X."""

    def __init__(self, like: Array, iterations: int, eps: float) -> None:
        self.iterations, self.eps = iterations, eps
        short, long = sorted(like.shape)
        self.tall = like.shape[0] > like.shape[1]
        self.x, self.product = (np.empty((short, long), like.dtype, like=like) for _ in range(2))
        self.gram, self.polynomial = (np.empty((short, short), like.dtype, like=like) for _ in range(2))
        self.diagonal = self.polynomial.reshape(-1)[:: short + 1]

    def __call__(self, m: Array) -> Array:
        """The orthogonal factor of M, nearly, in a buffer that the next call overwrites."""
        x, product, gram, polynomial = self.x, self.product, self.gram, self.polynomial
        np.divide(m.T if self.tall else m, norm(m.reshape(-1)) + self.eps, out=x)
        for _ in range(self.iterations):
            np.dot(x, x.T, out=gram)
            np.dot(gram, gram, out=polynomial)
            np.multiply(gram, B, out=gram)
            np.multiply(polynomial, C, out=polynomial)
            np.add(polynomial, gram, out=polynomial)
            np.add(self.diagonal, A, out=self.diagonal)
            np.dot(polynomial, x, out=product)
            x, product = product, x
        return x.T if self.tall else x
