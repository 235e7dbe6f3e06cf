"""Steps that look at each tensor as a whole: at its norm, or at the means of its rows and columns."""

import math
from collections.abc import Mapping

import numpy as np

from backends.numpy.decays import adder, some, sum_into
from backends.numpy.flat import Array, Flat, norm
from backends.numpy.memory import Memory
from backends.numpy.optimizers.averages import fold
from backends.numpy.optimizers.moments import Adam
from harness.spec import optimizers as spec


class LARS:
    """κ = c‖w‖/(‖g‖ + λ‖w‖ + ε), or c‖w‖/(‖g + λw‖ + ε); v ← μv + ηκ(g + λw); Δ = v."""

    def __init__(self, optimizer: spec.LARS, w: Flat, g: Flat, decay: Mapping[str, float], memory: Memory) -> None:
        self.spec, self.w, self.g = optimizer, w.pieces, g.pieces
        self.rates, rate = [decay.get(name, 0.0) for name in w.views], w.spread(decay)
        self.v, self.step = memory.state(g.vector), memory.scratch(g.vector)
        self.steps = w.split(self.step)
        self.add = sum_into(self.step, g.vector, rate, w.vector) if some(rate) else None

    def __call__(self, eta: float, t: int) -> Array:
        o, sums = self.spec, self.g if self.add is None else self.steps
        if self.add is not None:
            self.add()
        lengths, below = [norm(w) for w in self.w], [norm(g) for g in (self.g if o.norm == "separate" else sums)]
        if o.norm == "separate":
            below = [under + rate * length for under, rate, length in zip(below, self.rates, lengths, strict=True)]
        for u, length, under, step in zip(sums, lengths, below, self.steps, strict=True):
            np.multiply(u, eta * _trust(o.trust * length, under + o.eps), out=step)
        fold(self.step, o.momentum, self.v)
        return self.v


class LAMB:
    """r = m̂/(√v̂ + ε); u = r + λw; Δ = η‖w‖/‖u‖·u."""

    def __init__(self, optimizer: spec.LAMB, w: Flat, g: Flat, decay: Mapping[str, float], memory: Memory) -> None:
        o = optimizer
        self.adam = Adam(spec.Adam(o.lr, o.beta1, o.beta2, o.eps), g.vector, memory)
        self.add = adder(w.spread(decay), w.vector, self.adam.delta, memory)
        self.pairs = list(zip(w.pieces, w.split(self.adam.delta), strict=True))

    def __call__(self, eta: float, t: int) -> Array:
        u = self.adam(1.0, t)
        self.add()
        for w, piece in self.pairs:
            np.multiply(piece, eta * _trust(norm(w), norm(piece)), out=piece)
        return u


def _trust(above: float, below: float) -> float:
    """above/below, and 1 where either is 0."""
    return 1.0 if above == 0 or below == 0 else above / below


class Adafactor:
    """u = g/√V; Δ = α·u/max(1, rms(u)/d); α = max(ε₂, rms(w))·ρ or ρ; ρ = min(η, 1/√t) or η.

    What is averaged of all tensors, g² or its means, lies in one vector. What holds g² holds u thereafter.
    """

    def __init__(self, optimizer: spec.Adafactor, w: Flat, g: Flat, memory: Memory) -> None:
        self.spec, self.g, self.square = optimizer, g.vector, memory.scratch(g.vector)
        views = list(g.views.values())
        kinds = [Factored if optimizer.factored and view.ndim >= 2 else Whole for view in views]
        ends = np.cumsum([kind.size(view) for kind, view in zip(kinds, views, strict=True)])
        self.now, self.inverse = np.zeros((2, int(ends[-1])), g.vector.dtype, like=g.vector)
        self.averaged = memory.state(self.now)
        squares, *buffers = (
            g.split(self.square),
            *(np.split(vector, ends[:-1]) for vector in (self.now, self.averaged, self.inverse)),
        )
        bound = [
            kind(view, square.reshape(view.shape), *pieces)
            for kind, view, square, *pieces in zip(kinds, views, squares, *buffers, strict=True)
        ]
        self.tensors = list(zip(w.pieces, squares, bound, strict=True))

    def __call__(self, eta: float, t: int) -> Array:
        o, beta = self.spec, 1 - t**-self.spec.beta2_decay
        np.multiply(self.g, self.g, out=self.square)
        for _, _, tensor in self.tensors:
            tensor.measure()
        np.add(self.now, o.eps1, out=self.now)
        np.multiply(self.now, 1 - beta, out=self.now)
        fold(self.now, beta, self.averaged)
        np.sqrt(self.averaged, out=self.inverse)
        np.reciprocal(self.inverse, out=self.inverse)
        rate = min(eta, 1 / math.sqrt(t)) if o.rate == "capped" else eta
        for w, u, tensor in self.tensors:
            tensor.divide()
            alpha = max(o.eps2, _rms(w)) * rate if o.relative else rate
            np.multiply(u, alpha / max(1.0, _rms(u) / o.clip), out=u)
        return self.square


class Whole:
    """V the average of g² itself."""

    def __init__(self, g: Array, square: Array, now: Array, averaged: Array, inverse: Array) -> None:
        self.g, self.square, self.now, self.inverse = (a.reshape(g.shape) for a in (g, square, now, inverse))

    @staticmethod
    def size(g: Array) -> int:
        """Numbers that are averaged."""
        return g.size

    def measure(self) -> None:
        """What is averaged, from g²."""
        np.copyto(self.now, self.square)

    def divide(self) -> None:
        """u = g/√V, from 1/√ of the averages, in the place of g²."""
        np.multiply(self.g, self.inverse, out=self.square)


class Factored:
    """V = RC/mean(R) of the averages of the means of g² over the last axis, R, and over the one before, C."""

    def __init__(self, g: Array, square: Array, now: Array, averaged: Array, inverse: Array) -> None:
        *others, inputs, outputs = g.shape
        rows = (*others, inputs)
        self.g, self.square = g, square
        (self.row, self.column), (self.rows, _), (self.inverse_rows, self.inverse_columns) = (
            (vector[: math.prod(rows)].reshape(rows), vector[math.prod(rows) :].reshape(*others, outputs))
            for vector in (now, averaged, inverse)
        )
        self.over_rows, self.over_columns = (np.full_like(g, 1 / n, shape=n) for n in (inputs, outputs))
        self.level = np.empty((*others, 1), g.dtype, like=g)

    @staticmethod
    def size(g: Array) -> int:
        """Numbers that are averaged."""
        return int(g.size // g.shape[-1] + g.size // g.shape[-2])

    def measure(self) -> None:
        """What is averaged, from g²."""
        np.matmul(self.square, self.over_columns, out=self.row)
        np.matmul(self.over_rows, self.square, out=self.column)

    def divide(self) -> None:
        """u = g/√V, from 1/√ of the averages, in the place of g²."""
        np.mean(self.rows, axis=-1, out=self.level, keepdims=True)
        np.sqrt(self.level, out=self.level)
        np.multiply(self.inverse_rows, self.level, out=self.inverse_rows)
        np.multiply(self.g, self.inverse_rows[..., None], out=self.square)
        np.multiply(self.square, self.inverse_columns[..., None, :], out=self.square)


def _rms(v: Array) -> float:
    """√(mean of v²)."""
    return norm(v) / math.sqrt(v.size)
