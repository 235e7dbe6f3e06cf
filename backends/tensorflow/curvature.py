"""The Hessian times a vector, by a tape over a tape (Pearlmutter 1994)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

if TYPE_CHECKING:
    from backends.tensorflow.trainer import TensorFlowTrainer

Product = Callable[[tf.Tensor, list[tf.Tensor], list[tf.Tensor]], list[tf.Tensor]]


def traced(trainer: TensorFlowTrainer) -> Product:
    """(samples, v, masks) → Hv, as a graph in every mode: a loop over time can be differentiated twice in one alone."""

    def product(indices: tf.Tensor, along: list[tf.Tensor], drawn: list[tf.Tensor]) -> list[tf.Tensor]:
        # What the layers assign stays in the scope.
        with keras.StatelessScope(), _whole_moments(), tf.GradientTape() as tape:
            gradients = trainer.differentiate(indices, tuple(drawn))[2]
        zero = tf.UnconnectedGradients.ZERO
        found = tape.gradient(gradients, trainer.weights, along, unconnected_gradients=zero)
        return [tf.convert_to_tensor(one) for one in found]

    function: Product = tf.function(product, autograph=False)
    return function


@contextmanager
def _whole_moments() -> Iterator[None]:
    """Within it, moments that can be differentiated twice.

    TensorFlow's variance takes its mean for a constant, which is right once: ∂v/∂μ = −2·mean (x − μ) is 0, but its
    slope is not. Keras's normalisations take their moments from there.
    """
    own = tf.nn.moments
    tf.nn.moments = _moments
    try:
        yield
    finally:
        tf.nn.moments = own


def _moments(x: tf.Tensor, axes: list[int], keepdims: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
    """μ = mean x and v = mean (x − μ)²."""
    mean = tf.reduce_mean(x, axes, keepdims=True)
    variance = tf.reduce_mean(tf.square(x - mean), axes, keepdims=keepdims)
    return mean if keepdims else tf.squeeze(mean, axes), variance
