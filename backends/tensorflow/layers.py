"""Networks of Keras layers. Keras keeps a kernel with its outputs last, the canonical layout."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from zlib import crc32

import keras
import tensorflow as tf

from backends.tensorflow import activations, attention, convolution, normalisation, recurrent
from backends.tensorflow.arranged import Arranged
from harness.backend import Origin
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
    Shape,
    SimpleRNN,
)
from harness.spec.problem import Network as NetworkProblem
from harness.spec.problem import Problem

# A parameter's role under Keras's name; elsewhere Keras's names are the roles.
ROLES = {"kernel": "weight", "embeddings": "weight", "recurrent_kernel": "recurrent", "gamma": "scale", "beta": "shift"}


def origin(problem: Problem, exact: bool) -> Origin:
    """Where the model comes from: composed if any of its layers is."""
    if not isinstance(problem, NetworkProblem):
        return Origin("native", "TensorFlow ops")
    origins = [_origin(layer, exact) for layer in every(problem.model)]
    composed = any(origin.how == "composed" for origin in origins)
    by = dict.fromkeys(["keras.layers", *(origin.by for origin in origins)])
    why = dict.fromkeys(origin.why for origin in origins if origin.why)
    return Origin("composed" if composed else "native", ", ".join(by), "; ".join(why))


Look = Callable[[str, tf.Tensor], tf.Tensor]


class Network:
    """Layers one after another, in the precision of Keras's policy; a residual is a network within."""

    def __init__(self, model: tuple[Layer, ...], inputs: Shape, exact: bool, cuda: bool, within: str = "") -> None:
        self.layers: dict[str, Any] = {}
        self.parameters: dict[str, keras.Variable] = {}  # by the spec's names, in its order
        self.state: list[keras.Variable] = []  # what else training changes: running moments, random seeds
        for name, layer in zip(names(model, within), model, strict=True):
            if isinstance(layer, Residual):
                inner = Network(layer.layers, inputs, exact, cuda, name)
                self.layers[name], parameters, state = inner, inner.parameters, inner.state
            else:
                self.layers[name] = made = _layer(layer, name, inputs, exact, cuda)
                parameters, state = _parameters(name, made), made.non_trainable_variables
            self.parameters |= parameters
            self.state += state
            inputs = output_shape(layer, inputs)

    def __call__(
        self, x: tf.Tensor, training: bool, masks: Mapping[str, tf.Tensor], look: Look | None = None
    ) -> tf.Tensor:
        """The outputs; ``masks`` are m/(1 − p), by name, of the dropouts that do not draw their own.

        ``look`` takes each layer's outputs and hands them on.
        """
        for name, layer in self.layers.items():
            if isinstance(layer, Network):
                x = keras.ops.add(x, layer(x, training, masks, look))
            else:
                x = layer(x, training=training)
            if name in masks:
                x = x * masks[name]
            if look is not None:
                x = look(name, x)
        return x


def every(model: tuple[Layer, ...]) -> Iterator[Layer]:
    """All layers, those inside residuals too."""
    for layer in model:
        yield layer
        if isinstance(layer, Residual):
            yield from every(layer.layers)


def _origin(layer: Layer, exact: bool) -> Origin:
    match layer:
        case Conv2D() | MaxPool() | AveragePool() | GlobalAveragePool():
            return convolution.origin(layer)
        case Position():
            return Origin("native", "tf.add")
        case Attention():
            return attention.origin(exact)
        case Dropout():
            why = "keras.layers.Dropout draws its own masks"
            return Origin("composed", "m·x with shared masks", why) if exact else Origin("native", "keras.layers", why)
        case BatchNorm() | LayerNorm():
            return normalisation.origin(layer, exact)
        case Dense() | Flatten() | Reshape() | Embedding() | SimpleRNN() | LSTM() | GRU():
            return Origin("native", "keras.layers")
        case Residual():
            return Origin("native", "keras.ops.add")
        case _:
            return activations.origin(layer, exact)


def _layer(layer: Layer, name: str, inputs: Shape, exact: bool, cuda: bool) -> Any:
    """One layer, built."""
    match layer:
        case SimpleRNN() | LSTM() | GRU():
            return recurrent.layer(layer, name, inputs, exact, cuda)
        case Attention():
            return attention.layer(layer, name, inputs, exact)
    made = _unbuilt(layer, name, inputs, exact)
    made.build((None, *inputs))
    return made


def _unbuilt(layer: Layer, name: str, inputs: Shape, exact: bool) -> keras.Layer:
    match layer:
        case Dense(units=units, bias=bias):
            return keras.layers.Dense(units, use_bias=bias, name=name)
        case Conv2D() | MaxPool() | AveragePool() | GlobalAveragePool():
            return convolution.layer(layer, name, inputs)
        case Flatten():
            return keras.layers.Flatten(name=name)
        case Reshape(shape=shape):
            return keras.layers.Reshape(shape, name=name)
        case Embedding(vocabulary=vocabulary, units=units):
            return keras.layers.Embedding(vocabulary, units, name=name)
        case Position():
            return Places(name=name)
        case Dropout() if exact:
            return keras.layers.Identity(name=name)  # the network multiplies by the mask that it is given
        case Dropout(rate=rate):
            return keras.layers.Dropout(rate, seed=crc32(name.encode()), name=name)
        case BatchNorm() | LayerNorm():
            return normalisation.layer(layer, name, exact)
        case SimpleRNN() | LSTM() | GRU() | Attention() | Residual():
            raise TypeError(f"{name} is built elsewhere")
        case _:
            return activations.layer(layer, name, exact)


def _parameters(name: str, made: Any) -> dict[str, keras.Variable]:
    """The parameters of one layer by the spec's names."""
    if isinstance(made, Arranged):
        return {f"{name}.{role}": variable for role, variable in made.own.items()}
    return {f"{name}.{ROLES.get(variable.name, variable.name)}": variable for variable in made.trainable_variables}


class Places(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """y = x + W, a vector for each place."""

    def build(self, input_shape: Shape) -> None:
        """Make W."""
        self.weight = self.add_weight(tuple(input_shape[1:]), "zeros", name="weight")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """y."""
        return x + tf.convert_to_tensor(self.weight)
