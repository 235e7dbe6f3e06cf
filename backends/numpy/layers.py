"""Layers as tapes: lists of NumPy calls, bound to their buffers once for a batch size and then only called.

Nothing is looked up, decided or allocated in the loop. Outputs are given as last positional argument, where NumPy
lets us: a ``partial`` with keywords takes a slower way, worth 5 % of a step of a small network.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from backends.numpy.flat import Array
from harness.spec.activations import Elu, LeakyRelu, Linear, Relu, Sigmoid, Tanh
from harness.spec.architecture import names, output_shape
from harness.spec.layers import Dense, Flatten, Layer

Tape = list[Callable[[], object]]


class Pair(NamedTuple):
    """Values, and d: the gradient of the loss with respect to them."""

    value: Array
    d: Array


class Tapes(NamedTuple):
    """Outputs from inputs, and the gradients of inputs and parameters from that of the outputs."""

    forward: Tape
    backward: Tape


def build(model: tuple[Layer, ...], inputs: Pair, parameters: Mapping[str, Pair]) -> tuple[Tapes, Pair]:
    """The tapes of a model, and its outputs. Backward ends at the first layer that has parameters."""
    forward: Tape = []
    backward: Tape = []
    x, trained = inputs, False
    for name, layer in zip(names(model), model, strict=True):
        samples, *shape = x.value.shape
        y = _pair((samples, *output_shape(layer, tuple(shape))), x.value.dtype)
        match layer:
            case Linear() | Flatten():
                x = Pair(x.value.reshape(y.value.shape), x.d.reshape(y.value.shape))
                continue
            case Dense():
                tapes = dense(x, y, parameters[f"{name}.weight"], parameters.get(f"{name}.bias"), trained)
                trained = True
            case Relu():
                tapes = relu(x, y)
            case LeakyRelu(slope=slope):
                tapes = leaky_relu(x, y, slope)
            case Elu(alpha=alpha):
                tapes = elu(x, y, alpha)
            case Sigmoid():
                tapes = sigmoid(x, y)
            case Tanh():
                tapes = tanh(x, y)
        forward = forward + tapes.forward
        backward = tapes.backward + backward if trained else []
        x = y
    return Tapes(forward, backward), x


def _pair(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Pair:
    return Pair(np.empty(shape, dtype), np.empty(shape, dtype))


def dense(x: Pair, y: Pair, weight: Pair, bias: Pair | None, backpropagates: bool) -> Tapes:
    """y = xW + b; the gradient of x only where a layer below needs it."""
    forward: Tape = [partial(np.dot, x.value, weight.value, y.value)]
    backward: Tape = [partial(np.dot, x.value.T, y.d, weight.d)]
    if bias is not None:
        ones = np.ones(len(x.value), x.value.dtype)
        forward.append(partial(np.add, y.value, bias.value, y.value))
        backward.append(partial(np.dot, ones, y.d, bias.d))  # the sum over samples, faster than np.sum
    if backpropagates:
        backward.append(partial(np.dot, y.d, weight.value.T, x.d))
    return Tapes(forward, backward)


def relu(x: Pair, y: Pair) -> Tapes:
    """max(x, 0)."""
    zero, positive = np.zeros((), x.value.dtype), np.empty(x.value.shape, np.bool_)
    return Tapes(
        [partial(np.maximum, x.value, zero, out=y.value)],
        [partial(np.greater, x.value, zero, positive), partial(np.multiply, y.d, positive, x.d)],
    )


def leaky_relu(x: Pair, y: Pair, slope: float) -> Tapes:
    """x where x > 0, else slope·x."""
    positive = np.empty(x.value.shape, np.bool_)
    return Tapes(
        [
            partial(np.greater, x.value, 0, positive),
            partial(np.multiply, x.value, slope, y.value),
            partial(np.copyto, y.value, x.value, "same_kind", positive),
        ],
        [partial(np.multiply, y.d, slope, x.d), partial(np.copyto, x.d, y.d, "same_kind", positive)],
    )


def elu(x: Pair, y: Pair, alpha: float) -> Tapes:
    """x where x > 0, else α(eˣ − 1), of derivative y + α."""
    positive = np.empty(x.value.shape, np.bool_)
    return Tapes(
        [
            partial(np.greater, x.value, 0, positive),
            partial(np.expm1, x.value, y.value),
            partial(np.multiply, y.value, alpha, y.value),
            partial(np.copyto, y.value, x.value, "same_kind", positive),
        ],
        [
            partial(np.add, y.value, alpha, x.d),
            partial(np.multiply, x.d, y.d, x.d),
            partial(np.copyto, x.d, y.d, "same_kind", positive),
        ],
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


def logistic(x: Array, out: Array) -> Tape:
    """σ(x) = 1/(1 + e⁻ˣ)."""
    return [
        partial(np.negative, x, out),
        partial(np.exp, out, out),
        partial(np.add, out, 1, out),
        partial(np.reciprocal, out, out),
    ]
