"""Networks: pure functions of the dict of parameters, which keep the canonical layout."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from zlib import crc32

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from backends.jax import activations, attention, convolution, normalisation, recurrent
from backends.jax.normalisation import Moments
from harness.backend import Origin
from harness.spec.architecture import names
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

Arrays = Mapping[str, Array]


class Pass(NamedTuple):
    """What a pass through a network depends on beside parameters and inputs."""

    exact: bool
    training: bool
    running: Mapping[str, Moments]  # of every batch norm, by the layer's name
    noise: Any = None  # of dropouts, in training: in ``exact`` m/(1 − p) by the layer's name, in ``shipped`` a key
    look: Callable[[str, Array], Array] | None = None  # takes each layer's outputs and hands them on


def origin(model: tuple[Layer, ...], exact: bool) -> Origin:
    """Where the layers come from: composed if one of them is."""
    found = [_origin(layer, exact) for layer in _flat(model)]
    composed = [one for one in found if one.how == "composed"]
    by = dict.fromkeys(one.by for one in composed or found)
    why = dict.fromkeys(one.why for one in found if one.why)
    return Origin("composed" if composed else "native", ", ".join(by), "; ".join(why))


def apply(
    model: tuple[Layer, ...], parameters: Arrays, x: Array, at: Pass, within: str = ""
) -> tuple[Array, dict[str, Moments]]:
    """The outputs of the network for a batch ``x``, and every batch norm's running moments after it."""
    after: dict[str, Moments] = {}
    for name, layer in zip(names(model, within), model, strict=True):
        match layer:
            case Residual(layers=inner):
                y, of_inner = apply(inner, parameters, x, at, name)
                x, after = x + y, after | of_inner
            case BatchNorm():
                theta = own(name, parameters)
                x, after[name] = normalisation.by_batch(layer, theta, x, at.running[name], at.training)
            case Dropout(rate=rate):
                x = dropout(rate, name, x, at) if at.training else x
            case _:
                x = forward(layer, own(name, parameters), x, at.exact)
        x = x if at.look is None else at.look(name, x)
    return x, after


def own(name: str, parameters: Arrays) -> dict[str, Array]:
    """The parameters of the layer of that name, by role."""
    prefix = f"{name}."
    return {parameter.removeprefix(prefix): w for parameter, w in parameters.items() if parameter.startswith(prefix)}


def forward(layer: Layer, theta: Arrays, x: Array, exact: bool) -> Array:
    """y of one layer that is the same function in training and after it."""
    match layer:
        case Dense():
            return dense(layer, theta, x, exact)
        case Conv2D():
            return convolution.convolve(layer, theta, x, exact)
        case MaxPool() | AveragePool():
            return convolution.pool(layer, x)
        case GlobalAveragePool():
            return jnp.mean(x, axis=tuple(range(1, x.ndim - 1)))
        case Flatten():
            return x.reshape(len(x), -1)
        case Reshape(shape=shape):
            return x.reshape(len(x), *shape)
        case Embedding():
            return theta["weight"][x.astype(jnp.int32)]
        case Position():
            return x + theta["weight"]
        case SimpleRNN() | LSTM() | GRU():
            return recurrent.recur(layer, theta, x, exact)
        case Attention():
            return attention.attend(layer, theta, x, exact)
        case LayerNorm():
            return normalisation.by_layer(layer, theta, x, exact)
        case Residual() | BatchNorm() | Dropout():
            raise TypeError(f"{layer.spelling()} depends on more than its inputs")
        case _:
            return activations.activation(layer, x, exact)


def dense(layer: Dense, theta: Arrays, x: Array, exact: bool) -> Array:
    """xW + b. In ``exact`` a GPU may not round the factors to TF32, its default."""
    z = jnp.matmul(x, theta["weight"], precision="highest" if exact else None)
    return z + theta["bias"] if layer.bias else z


def dropout(rate: float, name: str, x: Array, at: Pass) -> Array:
    """mx/(1 − p), m given or, in ``shipped``, drawn from the step's key and the layer's name."""
    if at.exact:
        return x * jnp.asarray(at.noise[name])
    key = jax.random.fold_in(at.noise, np.uint32(crc32(name.encode())))
    return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0.0)


def _flat(model: tuple[Layer, ...]) -> Iterator[Layer]:
    """All layers, those inside a residual in its place."""
    for layer in model:
        yield from _flat(layer.layers) if isinstance(layer, Residual) else (layer,)


def _origin(layer: Layer, exact: bool) -> Origin:
    match layer:
        case Conv2D() | MaxPool() | AveragePool():
            return convolution.origin(layer)
        case SimpleRNN() | LSTM() | GRU():
            return recurrent.origin()
        case Attention():
            return attention.origin(exact)
        case BatchNorm() | LayerNorm():
            return normalisation.origin(layer, exact)
        case Dropout():
            return Origin("composed", "mx/(1 − p)" if exact else "jax.random.bernoulli", "jax.nn has no dropout")
        case Dense() | Flatten() | Embedding() | GlobalAveragePool() | Position() | Reshape() | Residual():
            return Origin("native", "jax.numpy")
        case _:
            return activations.origin(layer, exact)
