"""Networks as tapes: layer after layer bound to its buffers, forward and backward."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from backends.numpy import activations, attention, convolution, normalisation, recurrent
from backends.numpy.flat import Array
from backends.numpy.memory import number
from backends.numpy.normalisation import Moments
from backends.numpy.tape import Mark, Own, Pair, Tape, Tapes, pair, spread, take, total
from harness.spec.activations import Linear
from harness.spec.architecture import names, output_shape
from harness.spec.layers import (
    GRU,
    LSTM,
    Attention,
    AveragePool,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool,
    Layer,
    LayerNorm,
    MaxPool,
    Position,
    Reshape,
    Residual,
    SimpleRNN,
)

FEW = 64  # rows of an embedding whose gradient is faster as a matrix product


class Setting(NamedTuple):
    """What a network is bound to beside its inputs; ``masks`` and ``average`` are filled when it is built to train."""

    parameters: Mapping[str, Pair]
    running: Mapping[str, Moments]  # of batch norms, by the layers' names
    training: bool
    masks: dict[str, Array]  # m/(1 − p) of dropouts, by the layers' names, to be written before each pass
    average: Tape  # of batch norms: what a training step adds to the running moments


def build(
    model: tuple[Layer, ...], x: Pair, at: Setting, within: str = "", backpropagates: bool = False
) -> tuple[Tapes, Pair]:
    """The tapes of a model, and its outputs.

    A ``Mark`` of each layer stands behind what makes its outputs, and before what takes their gradient. Backward ends
    at the first layer that has parameters; inside a residual, if ``backpropagates``, at x.
    """
    forward: Tape = []
    backward: Tape = []
    for name, layer in zip(names(model, within), model, strict=True):
        own = {role.removeprefix(f"{name}."): w for role, w in at.parameters.items() if role.startswith(f"{name}.")}
        tapes, x = bind(layer, name, x, own, at, backpropagates)
        backpropagates = backpropagates or bool(own)
        mark = Mark(name, x)
        forward = [*forward, *tapes.forward, mark]
        backward = [mark, *tapes.backward, *backward] if backpropagates else []
    return Tapes(forward, backward), x


def bind(layer: Layer, name: str, x: Pair, own: Own, at: Setting, backpropagates: bool) -> tuple[Tapes, Pair]:
    """One layer's tapes and outputs; the gradient of x only where a layer below needs it."""
    samples, *inputs = x.value.shape
    shape = (samples, *output_shape(layer, tuple(inputs)))
    match layer:
        case Linear() | Flatten() | Reshape():
            return Tapes([], []), x.reshape(*shape)
        case Dropout():
            return dropout(name, x, at)
        case Residual():
            return residual(layer, name, x, at, backpropagates)
        case Position():
            return position(x, own["weight"])
        case BatchNorm():
            return batch_norm(layer, name, x, own, at, backpropagates)
    y = pair(shape, x.value)
    match layer:
        case Dense():
            tapes = dense(x, y, own["weight"], own.get("bias"), backpropagates)
        case Conv2D(kernel=(1, 1), strides=(1, 1)):
            tapes = dense(x, y, own["weight"].rows(), own.get("bias"), backpropagates)
        case Conv2D():
            tapes = convolution.convolution(layer, x, y, own, backpropagates)
        case MaxPool() | AveragePool():
            tapes = convolution.pool(layer, x, y)
        case GlobalAveragePool():
            tapes = global_average_pool(x, y)
        case Embedding():
            tapes = embedding(x, y, own["weight"])
        case SimpleRNN() | LSTM() | GRU():
            tapes = recurrent.recurrent(layer, x, y, own, backpropagates)
        case Attention():
            tapes = attention.attention(layer, x, y, own, backpropagates)
        case LayerNorm():
            tapes = normalisation.layer_norm(layer, x, y, own, backpropagates)
        case _:
            tapes = activations.activation(layer, x, y)
    return tapes, y


def dense(x: Pair, y: Pair, weight: Pair, bias: Pair | None, backpropagates: bool) -> Tapes:
    """y = xW + b along the last axis."""
    inputs, outputs = x.rows(), y.rows()
    forward: Tape = [partial(np.dot, inputs.value, weight.value, outputs.value)]
    backward: Tape = [partial(np.dot, inputs.value.T, outputs.d, weight.d)]
    if bias is not None:
        added, spreading = spread(bias.value, y.value)
        forward += [*spreading, partial(np.add, y.value, added, y.value)]
        backward += total(outputs.d, bias.d)
    if backpropagates:
        backward.append(partial(np.dot, outputs.d, weight.value.T, inputs.d))
    return Tapes(forward, backward)


def residual(layer: Residual, name: str, x: Pair, at: Setting, backpropagates: bool) -> tuple[Tapes, Pair]:
    """y = x + f(x): the gradient of x is that through f and that of y. f's outputs and y share one gradient."""
    inner, f = build(layer.layers, x, at, name, backpropagates)
    y = Pair(np.empty_like(x.value), f.d)
    backward = inner.backward
    if np.may_share_memory(f.d, x.d):  # f is views of x alone, and would overwrite the gradient of y
        y = pair(x.value.shape, x.value)
        backward = [partial(np.copyto, f.d, y.d), *backward]
    if backpropagates:
        backward = [*backward, partial(np.add, x.d, y.d, x.d)]
    return Tapes([*inner.forward, partial(np.add, x.value, f.value, y.value)], backward), y


def position(x: Pair, weight: Pair) -> tuple[Tapes, Pair]:
    """y = x + W; the gradient of y is that of x, and its sum over samples that of W."""
    y = Pair(np.empty_like(x.value), x.d)
    forward: Tape = [partial(np.add, x.value, weight.value, y.value)]
    return Tapes(forward, total(y.d.reshape(len(y.d), -1), weight.d.reshape(-1))), y


def embedding(x: Pair, y: Pair, weight: Pair) -> Tapes:
    """y = W[x]; each row of W gets the δ of all the places where it was looked up."""
    vocabulary, units = weight.value.shape
    tokens = np.empty_like(x.value, np.intp)
    forward: Tape = [
        partial(np.copyto, tokens, x.value, "unsafe"),
        take(weight.value, tokens, 0, y.value),
    ]
    deltas, count = y.rows().d, tokens.size
    if vocabulary <= FEW:
        active = np.empty((count, vocabulary), y.d.dtype, like=y.d)
        places, rows = np.empty(count, np.intp, like=y.d), np.arange(count, like=y.d) * vocabulary
        flat = active.reshape(-1)
        return Tapes(
            forward,
            [
                partial(active.fill, 0),
                partial(np.add, rows, tokens.reshape(-1), places),
                partial(flat.__setitem__, places, 1),
                partial(np.dot, active.T, deltas, weight.d),
            ],
        )
    elements = np.empty((count, units), np.intp, like=y.d)
    return Tapes(
        forward,
        [
            partial(np.multiply, tokens.reshape(-1, 1), units, elements),
            partial(np.add, elements, np.arange(units, like=y.d), elements),
            partial(weight.d.fill, 0),
            partial(np.add.at, weight.d.reshape(-1), elements.reshape(-1), deltas.reshape(-1)),
        ],
    )


def global_average_pool(x: Pair, y: Pair) -> Tapes:
    """The mean over all axes but the last."""
    samples, features = y.value.shape
    places = x.reshape(samples, -1, features)
    share = number(1 / places.value.shape[1], x.value)
    return Tapes(
        [partial(np.add.reduce, places.value, 1, None, y.value), partial(np.multiply, y.value, share, y.value)],
        [partial(np.multiply, y.d[:, None], share, places.d)],
    )


def dropout(name: str, x: Pair, at: Setting) -> tuple[Tapes, Pair]:
    """y = x·mask in training, else x."""
    if not at.training:
        return Tapes([], []), x
    y = pair(x.value.shape, x.value)
    mask = at.masks[name] = np.empty_like(x.value)
    return Tapes([partial(np.multiply, x.value, mask, y.value)], [partial(np.multiply, y.d, mask, x.d)]), y


def batch_norm(layer: BatchNorm, name: str, x: Pair, own: Own, at: Setting, backpropagates: bool) -> tuple[Tapes, Pair]:
    """By the batch's moments in training, which the running ones follow, else by these."""
    y = pair(x.value.shape, x.value)
    if not at.training:
        return Tapes(normalisation.normalised_by(layer, x, y, own, at.running[name]), []), y
    tapes, batch = normalisation.batch_norm(layer, x, y, own, backpropagates)
    at.average.extend(normalisation.averaged(layer, at.running[name], batch, len(x.rows().value)))
    return tapes, y
