"""Batch and layer normalisation."""

import keras
import tensorflow as tf

from harness.backend import Origin
from harness.spec.layers import BatchNorm, LayerNorm, Shape


def origin(spec: BatchNorm | LayerNorm, exact: bool) -> Origin:
    """Where it comes from."""
    if isinstance(spec, LayerNorm) or spec.running == "biased":
        return Origin("native", "keras.layers")
    why = "keras.layers.BatchNormalization averages the biased variance"
    return Origin("composed", "tf.nn.moments", why) if exact else Origin("native", "keras.layers", why)


def layer(spec: BatchNorm | LayerNorm, name: str, exact: bool) -> keras.Layer:
    """The Keras layer."""
    match spec:
        case LayerNorm(eps=eps):
            return keras.layers.LayerNormalization(epsilon=eps, name=name)
        case BatchNorm(momentum=momentum, eps=eps, running=running):
            if exact and running == "unbiased":
                return Unbiased(spec, name=name)
            return keras.layers.BatchNormalization(momentum=momentum, epsilon=eps, name=name)


class Unbiased(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Batch normalisation whose running variance is of the unbiased n/(n − 1)·v."""

    def __init__(self, spec: BatchNorm, name: str) -> None:
        super().__init__(name=name)
        self.spec = spec

    def build(self, input_shape: Shape) -> None:
        """Make scale, shift and the running moments."""
        shape = (input_shape[-1],)
        self.scale = self.add_weight(shape, "ones", name="scale")
        self.shift = self.add_weight(shape, "zeros", name="shift")
        self.mean = self.add_weight(shape, "zeros", trainable=False, name="mean")
        self.variance = self.add_weight(shape, "ones", trainable=False, name="variance")

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """y = scale·(x − μ)/√(v + ε) + shift; in training the running moments follow."""
        mean, variance = tf.convert_to_tensor(self.mean), tf.convert_to_tensor(self.variance)
        if training:
            before = mean, variance
            mean, variance = tf.nn.moments(x, list(range(x.shape.rank - 1)))
            n = tf.size(x) // x.shape[-1]
            unbiased = variance * tf.cast(n / tf.maximum(n - 1, 1), x.dtype)
            rho = self.spec.momentum
            self.mean.assign(rho * before[0] + (1 - rho) * mean)
            self.variance.assign(rho * before[1] + (1 - rho) * unbiased)
        shift, scale = tf.convert_to_tensor(self.shift), tf.convert_to_tensor(self.scale)
        return tf.nn.batch_normalization(x, mean, variance, shift, scale, self.spec.eps)
