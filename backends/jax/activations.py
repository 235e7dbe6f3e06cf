"""Activations: jax.nn's where the derivative at the kink is the spec's."""

import jax
import jax.numpy as jnp
from jax import Array

from harness.backend import Origin
from harness.spec.activations import (
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


def origin(layer: Activation, exact: bool) -> Origin:
    """Where an activation comes from."""
    match layer:
        case LeakyRelu() if exact:
            return Origin("composed", "jnp.where", "the derivative of jax.nn.leaky_relu at 0 is 1")
        case LeakyRelu():
            return Origin("native", "jax.nn", "the derivative of leaky_relu at 0 is 1, not the slope")
        case _:
            return Origin("native", "jax.nn")


def activation(layer: Activation, z: Array, exact: bool) -> Array:
    """φ(z)."""
    match layer:
        case Linear():
            return z
        case Sigmoid():
            return jax.nn.sigmoid(z)
        case Tanh():
            return jnp.tanh(z)
        case Relu():
            return jax.nn.relu(z)
        case LeakyRelu(slope=slope) if exact:
            return jnp.where(z > 0, z, slope * z)
        case LeakyRelu(slope=slope):
            return jax.nn.leaky_relu(z, slope)
        case Elu(alpha=alpha):
            return jax.nn.elu(z, alpha)
        case Selu():
            return jax.nn.selu(z)
        case Softplus():
            return jax.nn.softplus(z)
        case Swish():
            return jax.nn.silu(z)
        case Mish():
            return jax.nn.mish(z)
        case Gelu(form=form):
            return jax.nn.gelu(z, approximate=form == "tanh")
        case Exponential():
            return jnp.exp(z)
        case Softmax():
            return jax.nn.softmax(z)
