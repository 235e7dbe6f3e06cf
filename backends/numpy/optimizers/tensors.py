"""Steps that look at each tensor as a whole: at its norm, or at the means of its rows and columns."""

import math
from collections.abc import Mapping

import numpy as np

from backends.numpy.decays import adder
from backends.numpy.flat import Array, Flat, norm
from backends.numpy.optimizers.averages import fold
from backends.numpy.optimizers.moments import Adam
from harness.spec import optimizers as spec


class LARS:
    """κ = c‖w‖/(‖g‖ + λ‖w‖ + ε), or c‖w‖/(‖g + λw‖ + ε); v ← μv + ηκ(g + λw); Δ = v."""

    def __init__(self, optimizer: spec.LARS, w: Flat, g: Flat, decay: Mapping[str, float]) -> None:
        self.spec, self.w, self.g = optimizer, w, g
        self.decay, self.add = [decay.get(name, 0.0) for name in w.views], adder(decay, w, g.vector)
        self.v = np.zeros_like(g.vector)

    def __call__(self, eta: float, t: int) -> Array:
        o, gs = self.spec, self.g.pieces
        lengths = [norm(w) for w in self.w.pieces]
        if o.norm == "separate":
            below = [norm(g) + rate * length for g, rate, length in zip(gs, self.decay, lengths, strict=True)]
            self.add()
        else:
            self.add()
            below = [norm(g) for g in gs]
        for g, length, under in zip(gs, lengths, below, strict=True):
            np.multiply(g, eta * _trust(o.trust * length, under + o.eps), out=g)
        fold(self.g.vector, o.momentum, self.v)
        return self.v


class LAMB:
    """r = m̂/(√v̂ + ε); u = r + λw; Δ = η‖w‖/‖u‖·u."""

    def __init__(self, optimizer: spec.LAMB, w: Flat, g: Flat, decay: Mapping[str, float]) -> None:
        o = optimizer
        self.adam = Adam(spec.Adam(o.lr, o.beta1, o.beta2, o.eps), g.vector)
        self.add = adder(decay, w, self.adam.delta)
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
    """u = g/√V; Δ = α·u/max(1, rms(u)/d); α = max(ε₂, rms(w))·ρ or ρ; ρ = min(η, 1/√t) or η."""

    def __init__(self, optimizer: spec.Adafactor, w: Flat, g: Flat) -> None:
        self.spec, self.g = optimizer, g
        kinds = [Factored if optimizer.factored and view.ndim >= 2 else Whole for view in g.views.values()]
        squares = [kind(view, optimizer.eps1) for kind, view in zip(kinds, g.views.values(), strict=True)]
        self.tensors = list(zip(w.pieces, g.pieces, squares, strict=True))

    def __call__(self, eta: float, t: int) -> Array:
        o, beta = self.spec, 1 - t**-self.spec.beta2_decay
        rate = min(eta, 1 / math.sqrt(t)) if o.rate == "capped" else eta
        for w, g, squares in self.tensors:
            squares.divide(beta)
            alpha = max(o.eps2, _rms(w)) * rate if o.relative else rate
            np.multiply(g, alpha / max(1.0, _rms(g) / o.clip), out=g)
        return self.g.vector


class Whole:
    """V ← β̂V + (1 − β̂)(g² + ε₁); g ← g/√V."""

    def __init__(self, g: Array, eps: float) -> None:
        self.g, self.eps, self.v, self.square = g, eps, np.zeros_like(g), np.empty_like(g)

    def divide(self, beta: float) -> None:
        """Update V and divide g by its root."""
        np.multiply(self.g, self.g, out=self.square)
        _mean(self.square, self.eps, beta, self.v)
        np.sqrt(self.v, out=self.square)
        np.divide(self.g, self.square, out=self.g)


class Factored:
    """R and C ← β̂· + (1 − β̂)(mean of g² over the last axis or the one before, + ε₁); g ← g/√(RC/mean R)."""

    def __init__(self, g: Array, eps: float) -> None:
        self.g, self.eps, self.square = g, eps, np.empty_like(g)
        self.rows, self.columns = (np.zeros_like(g.sum(axis, keepdims=True)) for axis in (-1, -2))
        self.row, self.column = np.empty_like(self.rows), np.empty_like(self.columns)
        self.level = np.empty_like(self.rows.sum(-2, keepdims=True))

    def divide(self, beta: float) -> None:
        """Update R and C and divide g by the root of what they stand for."""
        g, square, row, column, level = self.g, self.square, self.row, self.column, self.level
        inputs, outputs = g.shape[-2:]
        np.multiply(g, g, out=square)
        for axis, size, mean, averaged in ((-1, outputs, row, self.rows), (-2, inputs, column, self.columns)):
            np.add.reduce(square, axis, out=mean, keepdims=True)
            np.divide(mean, size, out=mean)
            _mean(mean, self.eps, beta, averaged)
        np.add.reduce(self.rows, -2, out=level, keepdims=True)
        np.divide(level, inputs, out=level)
        np.divide(level, self.rows, out=row)
        np.sqrt(row, out=row)
        np.sqrt(self.columns, out=column)
        np.multiply(g, row, out=g)
        np.divide(g, column, out=g)


def _mean(square: Array, eps: float, beta: float, into: Array) -> None:
    """V ← βV + (1 − β)(g² + ε)."""
    np.add(square, eps, out=square)
    np.multiply(square, 1 - beta, out=square)
    fold(square, beta, into)


def _rms(v: Array) -> float:
    """√(mean of v²)."""
    return norm(v) / math.sqrt(v.size)
