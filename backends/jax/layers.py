"""Layers and activations: pure functions of the dict of parameters, which keep the canonical layout."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import Array

from harness.backend import Origin
from harness.spec import layers as spec
from harness.spec.layers import Layer

Arrays = Mapping[str, Array]


def origin(model: tuple[Layer, ...], exact: bool) -> Origin:
    """Where the layers come from."""
    if not any(isinstance(layer, spec.LeakyRelu) for layer in model):
        return Origin("native", "jax.nn")
    if exact:
        return Origin("composed", "jnp.where", "the derivative of jax.nn.leaky_relu at 0 is 1")
    return Origin("native", "jax.nn", "the derivative of leaky_relu at 0 is 1, not the slope")


def apply(model: tuple[Layer, ...], parameters: Arrays, x: Array, exact: bool) -> Array:
    """The outputs of the network for a batch ``x``."""
    for name, layer in zip(spec.names(model), model, strict=True):
        x = dense(layer, name, parameters, x, exact) if isinstance(layer, spec.Dense) else activation(layer, x, exact)
    return x


def dense(layer: spec.Dense, name: str, parameters: Arrays, x: Array, exact: bool) -> Array:
    """xW + b. In ``exact`` a GPU may not round the factors to TF32, its default."""
    z = jnp.matmul(x, parameters[f"{name}.weight"], precision="highest" if exact else None)
    return z + parameters[f"{name}.bias"] if layer.bias else z


def activation(layer: Layer, z: Array, exact: bool) -> Array:
    """What a layer without parameters makes of a batch."""
    match layer:
        case spec.Flatten():
            return z.reshape(len(z), -1)
        case spec.Sigmoid():
            return jax.nn.sigmoid(z)
        case spec.Tanh():
            return jnp.tanh(z)
        case spec.Relu():
            return jax.nn.relu(z)
        case spec.LeakyRelu(slope=slope) if exact:
            return jnp.where(z > 0, z, slope * z)
        case spec.LeakyRelu(slope=slope):
            return jax.nn.leaky_relu(z, slope)
        case spec.Elu(alpha=alpha):
            return jax.nn.elu(z, alpha)
        case _:
            return z
