"""Layers as tapes: lists of NumPy calls, bound to their buffers once for a batch size and then only called.

Nothing is looked up, decided or allocated in the loop.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from backends.numpy.flat import Array
from harness.spec import layers as spec
from harness.spec.layers import Layer

Tape = list[Callable[[], object]]


class Pair(NamedTuple):
    """Values, and d: the gradient of the loss with respect to them."""

    value: Array
    d: Array


class Tapes(NamedTuple):
    """Outputs from inputs, and the gradients of inputs and parameters from that of the outputs."""

    forward: Tape
    backward: Tape


def pair(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Pair:
    """New buffers."""
    return Pair(np.empty(shape, dtype), np.empty(shape, dtype))


def build(model: tuple[Layer, ...], inputs: Pair, parameters: Mapping[str, Pair]) -> tuple[Tapes, Pair]:
    """The tapes of a model, and its outputs. Backward ends at the first layer that has parameters."""
    forward: Tape = []
    backward: Tape = []
    x, trained = inputs, False
    for name, layer in zip(spec.names(model), model, strict=True):
        match layer:
            case spec.Linear():
                continue
            case spec.Flatten():
                x = Pair(x.value.reshape(len(x.value), -1), x.d.reshape(len(x.value), -1))
                continue
            case spec.Dense(units=units):
                y = pair((len(x.value), units), x.value.dtype)
                tapes = dense(x, y, parameters[f"{name}.weight"], parameters.get(f"{name}.bias"), trained)
                trained = True
            case _:
                y = pair(x.value.shape, x.value.dtype)
                tapes = activation(layer, x, y)
        forward = forward + tapes.forward
        backward = tapes.backward + backward if trained else []
        x = y
    return Tapes(forward, backward), x


def dense(x: Pair, y: Pair, weight: Pair, bias: Pair | None, backpropagates: bool) -> Tapes:
    """y = xW + b; the gradient of x only where a layer below needs it."""
    forward: Tape = [partial(np.dot, x.value, weight.value, out=y.value)]
    backward: Tape = [partial(np.dot, x.value.T, y.d, out=weight.d)]
    if bias is not None:
        ones = np.ones(len(x.value), x.value.dtype)
        forward.append(partial(np.add, y.value, bias.value, out=y.value))
        backward.append(partial(np.dot, ones, y.d, out=bias.d))  # the sum over samples, faster than np.sum
    if backpropagates:
        backward.append(partial(np.dot, y.d, weight.value.T, out=x.d))
    return Tapes(forward, backward)


def activation(layer: spec.Activation, inputs: Pair, outputs: Pair) -> Tapes:
    """y = φ(x); dx = dy·φ'(x), with φ' from y where that is shorter."""
    (x, dx), (y, dy) = inputs, outputs
    match layer:
        case spec.Relu():
            return _relu(x, dx, y, dy)
        case spec.LeakyRelu(slope=slope):
            return _leaky_relu(x, dx, y, dy, slope)
        case spec.Elu(alpha=alpha):
            return _elu(x, dx, y, dy, alpha)
        case spec.Sigmoid():
            return _sigmoid(x, dx, y, dy)
        case spec.Tanh():
            return _tanh(x, dx, y, dy)
        case spec.Linear():
            return Tapes([partial(np.copyto, y, x)], [partial(np.copyto, dx, dy)])


def _relu(x: Array, dx: Array, y: Array, dy: Array) -> Tapes:
    zero, positive = np.zeros((), x.dtype), np.empty(x.shape, np.bool_)
    return Tapes(
        [partial(np.maximum, x, zero, out=y)],
        [partial(np.greater, x, zero, out=positive), partial(np.multiply, dy, positive, out=dx)],
    )


def _leaky_relu(x: Array, dx: Array, y: Array, dy: Array, slope: float) -> Tapes:
    positive = np.empty(x.shape, np.bool_)
    return Tapes(
        [
            partial(np.greater, x, 0, out=positive),
            partial(np.multiply, x, slope, out=y),
            partial(np.copyto, y, x, where=positive),
        ],
        [partial(np.multiply, dy, slope, out=dx), partial(np.copyto, dx, dy, where=positive)],
    )


def _elu(x: Array, dx: Array, y: Array, dy: Array, alpha: float) -> Tapes:
    """For x ≤ 0 φ' = y + α."""
    positive = np.empty(x.shape, np.bool_)
    return Tapes(
        [
            partial(np.greater, x, 0, out=positive),
            partial(np.expm1, x, out=y),
            partial(np.multiply, y, alpha, out=y),
            partial(np.copyto, y, x, where=positive),
        ],
        [
            partial(np.add, y, alpha, out=dx),
            partial(np.multiply, dx, dy, out=dx),
            partial(np.copyto, dx, dy, where=positive),
        ],
    )


def _sigmoid(x: Array, dx: Array, y: Array, dy: Array) -> Tapes:
    """φ' = (1 − y)y."""
    return Tapes(
        logistic(x, y),
        [
            partial(np.subtract, 1, y, out=dx),
            partial(np.multiply, dx, y, out=dx),
            partial(np.multiply, dx, dy, out=dx),
        ],
    )


def _tanh(x: Array, dx: Array, y: Array, dy: Array) -> Tapes:
    """φ' = 1 − y²."""
    return Tapes(
        [partial(np.tanh, x, out=y)],
        [
            partial(np.multiply, y, y, out=dx),
            partial(np.subtract, 1, dx, out=dx),
            partial(np.multiply, dx, dy, out=dx),
        ],
    )


def logistic(x: Array, out: Array) -> Tape:
    """1/(1 + e⁻ˣ)."""
    return [
        partial(np.negative, x, out=out),
        partial(np.exp, out, out=out),
        partial(np.add, out, 1, out=out),
        partial(np.reciprocal, out, out=out),
    ]
