"""Activations, forward and back: y from x, and ∂L/∂x = δφ'(x)."""

import math
from functools import partial

import numpy as np
from scipy import special

from backends.numpy.flat import Array
from backends.numpy.tape import Pair, Tape, Tapes, maxima
from harness.spec.activations import (
    SELU,
    Activation,
    Elu,
    Exponential,
    Gelu,
    LeakyRelu,
    Linear,
    Mish,
    Relu,
    Selu,
    Sigmoid,
    Softmax,
    Softplus,
    Swish,
    Tanh,
)

CUBIC, STRETCH = 0.044715, math.sqrt(2 / math.pi)  # of the tanh form of GELU


def activation(layer: Activation, x: Pair, y: Pair) -> Tapes:
    """The tapes of one activation."""
    match layer:
        case Linear():
            raise TypeError("linear is a view of its inputs")
        case Relu():
            return relu(x, y)
        case LeakyRelu(slope=slope):
            return leaky_relu(x, y, slope)
        case Elu(alpha=alpha):
            return elu(x, y, 1.0, alpha)
        case Selu():
            return elu(x, y, *SELU)
        case Sigmoid():
            return sigmoid(x, y)
        case Tanh():
            return tanh(x, y)
        case Softplus():
            return softplus(x, y)
        case Swish():
            return swish(x, y)
        case Mish():
            return mish(x, y)
        case Gelu(form="exact"):
            return gelu(x, y)
        case Gelu():
            return gelu_by_tanh(x, y)
        case Exponential():
            return Tapes([partial(np.exp, x.value, y.value)], [partial(np.multiply, y.d, y.value, x.d)])
        case Softmax():
            return softmax(x, y)


def relu(x: Pair, y: Pair) -> Tapes:
    """max(x, 0)."""
    zeros, positive = np.zeros_like(x.value), np.empty_like(x.value, np.bool_)  # a scalar 0 takes twice as long
    return Tapes(
        [partial(np.maximum, x.value, zeros, out=y.value)],
        [partial(np.greater, x.value, zeros, positive), partial(np.multiply, y.d, positive, x.d)],
    )


def leaky_relu(x: Pair, y: Pair, slope: float) -> Tapes:
    """The greater, for a slope above 1 the lesser, of x and slope·x; of derivative 1 where x > 0, else the slope."""
    zeros, factor = np.zeros_like(x.value), np.empty_like(x.value)
    choose = np.maximum if slope <= 1 else np.minimum
    return Tapes(
        [partial(np.multiply, x.value, slope, y.value), partial(choose, x.value, y.value, out=y.value)],
        [
            partial(np.greater, x.value, zeros, factor),
            partial(np.multiply, factor, 1 - slope, factor),
            partial(np.add, factor, slope, factor),
            partial(np.multiply, y.d, factor, x.d),
        ],
    )


def elu(x: Pair, y: Pair, scale: float, alpha: float) -> Tapes:
    """λ·max(x, 0) + e with e = λα(e^min(x, 0) − 1), of derivative e + λα, and λ − λα more where x > 0."""
    zeros, e, other = np.zeros_like(x.value), np.empty_like(x.value), np.empty_like(x.value)
    jump: Tape = [
        partial(np.greater, x.value, zeros, other),
        partial(np.multiply, other, scale - scale * alpha, other),
        partial(np.add, x.d, other, x.d),
    ]
    return Tapes(
        [
            partial(np.minimum, x.value, zeros, out=e),
            partial(np.expm1, e, e),
            *(_times(e, scale * alpha)),
            partial(np.maximum, x.value, zeros, out=other),
            *(_times(other, scale)),
            partial(np.add, other, e, y.value),
        ],
        [partial(np.add, e, scale * alpha, x.d), *(jump if alpha != 1 else []), partial(np.multiply, x.d, y.d, x.d)],
    )


def sigmoid(x: Pair, y: Pair) -> Tapes:
    """σ(x), of derivative (1 − y)y."""
    return Tapes(
        logistic(x.value, y.value),
        [
            partial(np.subtract, 1, y.value, x.d),
            partial(np.multiply, x.d, y.value, x.d),
            partial(np.multiply, x.d, y.d, x.d),
        ],
    )


def tanh(x: Pair, y: Pair) -> Tapes:
    """The hyperbolic tangent, of derivative 1 − y²."""
    return Tapes(
        [partial(np.tanh, x.value, y.value)],
        [
            partial(np.multiply, y.value, y.value, x.d),
            partial(np.subtract, 1, x.d, x.d),
            partial(np.multiply, x.d, y.d, x.d),
        ],
    )


def softplus(x: Pair, y: Pair) -> Tapes:
    """log(1 + eˣ), of derivative σ(x) = 1 − e⁻ʸ."""
    return Tapes(
        _softplus(x.value, y.value),
        [*_sigmoid_of_softplus(y.value, x.d), partial(np.multiply, x.d, y.d, x.d)],
    )


def swish(x: Pair, y: Pair) -> Tapes:
    """xs with s = σ(x), of derivative s + y(1 − s)."""
    s = np.empty_like(x.value)
    return Tapes(
        [*logistic(x.value, s), partial(np.multiply, x.value, s, y.value)],
        [
            partial(np.subtract, 1, s, x.d),
            partial(np.multiply, x.d, y.value, x.d),
            partial(np.add, x.d, s, x.d),
            partial(np.multiply, x.d, y.d, x.d),
        ],
    )


def mish(x: Pair, y: Pair) -> Tapes:
    """xT with T = tanh s, s = log(1 + eˣ), of derivative T + x(1 − T²)σ(x), σ(x) = 1 − e⁻ˢ."""
    s, t, slope = np.empty((3, *x.value.shape), x.value.dtype, like=x.value)
    return Tapes(
        [*_softplus(x.value, s), partial(np.tanh, s, t), partial(np.multiply, x.value, t, y.value)],
        [
            *_sigmoid_of_softplus(s, slope),
            partial(np.multiply, t, t, x.d),
            partial(np.subtract, 1, x.d, x.d),
            partial(np.multiply, x.d, slope, x.d),
            partial(np.multiply, x.d, x.value, x.d),
            partial(np.add, x.d, t, x.d),
            partial(np.multiply, x.d, y.d, x.d),
        ],
    )


def gelu(x: Pair, y: Pair) -> Tapes:
    """xΦ(x), of derivative Φ + x·e^(−x²/2)/√(2π)."""
    phi = np.empty_like(x.value)
    return Tapes(
        [partial(special.ndtr, x.value, phi), partial(np.multiply, x.value, phi, y.value)],
        [
            partial(np.multiply, x.value, x.value, x.d),
            partial(np.multiply, x.d, -0.5, x.d),
            partial(np.exp, x.d, x.d),
            partial(np.multiply, x.d, x.value, x.d),
            partial(np.multiply, x.d, 1 / math.sqrt(2 * math.pi), x.d),
            partial(np.add, x.d, phi, x.d),
            partial(np.multiply, x.d, y.d, x.d),
        ],
    )


def gelu_by_tanh(x: Pair, y: Pair) -> Tapes:
    """xq with q = (1 + T)/2, T = tanh u, u = √(2/π)(x + 0.044715x³).

    The derivative is q + 2y(1 − q)u', for 1 − T² = 4q(1 − q).
    """
    q, square = np.empty((2, *x.value.shape), x.value.dtype, like=x.value)
    return Tapes(
        [
            partial(np.multiply, x.value, x.value, square),
            partial(np.multiply, square, STRETCH * CUBIC, q),
            partial(np.add, q, STRETCH, q),
            partial(np.multiply, q, x.value, q),
            partial(np.tanh, q, q),
            partial(np.add, q, 1, q),
            partial(np.multiply, q, 0.5, q),
            partial(np.multiply, x.value, q, y.value),
        ],
        [
            partial(np.multiply, square, 6 * STRETCH * CUBIC, square),
            partial(np.add, square, 2 * STRETCH, square),
            partial(np.subtract, 1, q, x.d),
            partial(np.multiply, x.d, square, x.d),
            partial(np.multiply, x.d, y.value, x.d),
            partial(np.add, x.d, q, x.d),
            partial(np.multiply, x.d, y.d, x.d),
        ],
    )


def softmax(x: Pair, y: Pair) -> Tapes:
    """eˢ/Σeˢ, s = x − max x, along the last axis; back: y(δ − Σδy)."""
    rows, outputs, of_inputs = x.rows(), y.rows(), x.rows().d
    level = np.empty((len(rows.value), 1), rows.value.dtype, like=rows.value)
    ones = np.ones_like(rows.value, order="C", shape=(rows.value.shape[1], 1))
    return Tapes(
        [
            *maxima(rows.value, level),
            partial(np.subtract, rows.value, level, outputs.value),
            partial(np.exp, outputs.value, outputs.value),
            partial(np.dot, outputs.value, ones, level),
            partial(np.divide, outputs.value, level, outputs.value),
        ],
        [
            partial(np.multiply, outputs.d, outputs.value, of_inputs),
            partial(np.dot, of_inputs, ones, level),
            partial(np.subtract, outputs.d, level, of_inputs),
            partial(np.multiply, of_inputs, outputs.value, of_inputs),
        ],
    )


def logistic(x: Array, out: Array) -> Tape:
    """σ(x) = 1/(1 + e⁻ˣ)."""
    return [
        partial(np.negative, x, out),
        partial(np.exp, out, out),
        partial(np.add, out, 1, out),
        partial(np.reciprocal, out, out),
    ]


def _softplus(x: Array, out: Array) -> Tape:
    """log(1 + eˣ) = max(x, 0) + log(1 + e^−|x|)."""
    above, zeros = np.empty_like(x), np.zeros_like(x)
    return [
        partial(np.maximum, x, zeros, out=above),
        partial(np.abs, x, out),
        partial(np.negative, out, out),
        partial(np.exp, out, out),
        partial(np.log1p, out, out),
        partial(np.add, out, above, out),
    ]


def _sigmoid_of_softplus(s: Array, out: Array) -> Tape:
    """σ(x) = 1 − e⁻ˢ with s = log(1 + eˣ), exact in both tails."""
    return [partial(np.negative, s, out), partial(np.expm1, out, out), partial(np.negative, out, out)]


def _times(array: Array, factor: float) -> Tape:
    """The array times a number, in place."""
    return [] if factor == 1 else [partial(np.multiply, array, factor, array)]
