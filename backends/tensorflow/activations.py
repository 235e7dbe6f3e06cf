"""Activations as Keras layers: Keras's own, or the formula in TensorFlow's primitives."""

import math
from collections.abc import Callable

import keras
import tensorflow as tf

from harness.backend import Origin
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

Function = Callable[[tf.Tensor], tf.Tensor]


def origin(spec: Activation, exact: bool) -> Origin:
    """Where an activation comes from."""
    match spec:
        case LeakyRelu():
            by, why = "tf.where", "keras.layers.LeakyReLU rounds its slope to float32"
        case Selu():
            by, why = "tf.where", "the derivative of tf.nn.selu at 0 is that from the right"
        case Gelu(form="exact"):
            by, why = "tf.math.erfc", "tf.nn.gelu rounds √2 to float32"
        case Gelu():
            by, why = "tf.tanh", "tf.nn.gelu rounds √(2/π) and 0.044715 to float32"
        case _:
            return Origin("native", "keras.layers")
    return Origin("composed", by, why) if exact else Origin("native", "keras.layers", why)


def layer(spec: Activation, name: str, exact: bool) -> keras.Layer:
    """φ as a Keras layer."""
    kinds = keras.layers
    match spec:
        case Linear():
            return kinds.Identity(name=name)
        case Relu():
            return kinds.ReLU(name=name)
        case LeakyRelu(slope=slope) if not exact:
            return kinds.LeakyReLU(slope, name=name)
        case Elu(alpha=alpha):
            return kinds.ELU(alpha, name=name)
        case Softmax():
            return kinds.Softmax(name=name)
        case _:
            return kinds.Activation(_function(spec, exact), name=name)


def _function(spec: Activation, exact: bool) -> str | Function:
    """What ``keras.layers.Activation`` takes."""
    match spec:
        case LeakyRelu(slope=slope):
            return lambda z: tf.where(z > 0, z, slope * z)
        case Selu():
            return _selu if exact else "selu"
        case Gelu(form="exact"):
            return _gelu if exact else "gelu"
        case Gelu():
            return _tanh_gelu if exact else lambda z: keras.activations.gelu(z, approximate=True)
        case Sigmoid():
            return "sigmoid"
        case Tanh():
            return "tanh"
        case Softplus():
            return "softplus"
        case Swish():
            return "silu"
        case Mish():
            return "mish"
        case Exponential():
            return "exponential"
        case _:
            raise TypeError(f"{spec.spelling()} is a Keras layer of its own")


def _selu(z: tf.Tensor) -> tf.Tensor:
    """λz for z > 0, else λα(eᶻ − 1)."""
    scale, alpha = SELU
    # tf.where passes a zero on to the side not taken, where it must not meet an infinite derivative.
    return scale * tf.where(z > 0, z, alpha * tf.math.expm1(tf.minimum(z, 0)))


def _gelu(z: tf.Tensor) -> tf.Tensor:
    """zΦ(z), Φ(z) = erfc(−z/√2)/2."""
    return z * tf.math.erfc(-z * math.sqrt(0.5)) / 2


def _tanh_gelu(z: tf.Tensor) -> tf.Tensor:
    """z/2·(1 + tanh(√(2/π)(z + 0.044715z³)))."""
    return z / 2 * (1 + tf.tanh(math.sqrt(2 / math.pi) * z * (1 + 0.044715 * tf.square(z))))
