"""Layers and activations as Keras layers. Keras keeps a kernel as (in, out), the canonical layout."""

from collections.abc import Callable

import keras
import tensorflow as tf

from harness.backend import Origin
from harness.spec import layers as spec
from harness.spec.layers import Layer, Shape
from harness.spec.problem import Network, Problem


def origin(problem: Problem, exact: bool) -> Origin:
    """Where the model comes from."""
    if not isinstance(problem, Network):
        return Origin("native", "TensorFlow ops")
    if not any(isinstance(layer, spec.LeakyRelu) for layer in problem.model):
        return Origin("native", "keras.layers")
    difference = "keras.layers.LeakyReLU rounds its slope to float32"
    return (
        Origin("composed", "keras.layers, tf.where", difference)
        if exact
        else Origin("native", "keras.layers", difference)
    )


def build(model: tuple[Layer, ...], inputs: Shape, exact: bool) -> keras.Sequential:
    """The network as a Sequential whose layers have the spec's names, in the precision of Keras's policy."""
    made = [_layer(name, layer, exact) for name, layer in zip(spec.names(model), model, strict=True)]
    return keras.Sequential([keras.Input(inputs), *made])


def named(network: keras.Sequential) -> dict[str, keras.Variable]:
    """The parameters by the spec's names, in the order of the layers."""
    roles = {"kernel": "weight", "bias": "bias"}
    return {f"{layer.name}.{roles[v.name]}": v for layer in network.layers for v in layer.trainable_variables}


def _layer(name: str, layer: Layer, exact: bool) -> keras.Layer:
    match layer:
        case spec.Dense(units=units, bias=bias):
            return keras.layers.Dense(units, use_bias=bias, name=name)
        case spec.Flatten():
            return keras.layers.Flatten(name=name)
        case spec.Linear():
            return keras.layers.Identity(name=name)
        case spec.Sigmoid():
            return keras.layers.Activation("sigmoid", name=name)
        case spec.Tanh():
            return keras.layers.Activation("tanh", name=name)
        case spec.Relu():
            return keras.layers.ReLU(name=name)
        case spec.LeakyRelu(slope=slope):
            if exact:
                return keras.layers.Activation(_leaky_relu(slope), name=name)
            return keras.layers.LeakyReLU(slope, name=name)
        case spec.Elu(alpha=alpha):
            return keras.layers.ELU(alpha, name=name)


def _leaky_relu(slope: float) -> Callable[[tf.Tensor], tf.Tensor]:
    return lambda z: tf.where(z > 0, z, slope * z)
