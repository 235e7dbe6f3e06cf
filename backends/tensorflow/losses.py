"""Losses and metrics, from TensorFlow's and Keras's functions of the terms."""

import keras
import tensorflow as tf

from harness.backend import Origin
from harness.spec.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
)
from harness.spec.problem import Network, Problem


def origin(problem: Problem, exact: bool) -> Origin:
    """Where the loss comes from."""
    if not isinstance(problem, Network):
        return Origin("native", "TensorFlow ops")
    match problem.loss:
        case MeanSquaredError() | MeanAbsoluteError():
            return Origin("native", "tf.math")
        case Huber():
            return Origin("native", "keras.losses.huber")
        case CrossEntropy(targets="one_hot") if exact:
            return Origin("native", "tf.nn.log_softmax")
        case CrossEntropy(targets="one_hot"):
            differs = "its gradient takes targets to sum to 1"
            return Origin("native", "tf.nn.softmax_cross_entropy_with_logits", differs)
        case _:
            return Origin("native", "tf.nn")


def loss(spec: Loss, outputs: tf.Tensor, targets: tf.Tensor, exact: bool) -> tf.Tensor:
    """The loss over the batch, a scalar: the mean of all terms, their sum, or the sum of the samples' means."""
    terms = _terms(spec, outputs, targets, exact)
    match spec.reduction:
        case "mean":
            return tf.reduce_mean(terms)
        case "sum":
            return tf.reduce_sum(terms)
        case "sum_of_means":
            return tf.reduce_sum(tf.reduce_mean(terms, axis=list(range(1, terms.shape.rank))))


def metric(spec: Loss, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Accuracy, or R² over all outputs, a scalar."""
    match spec:
        case MeanSquaredError() | MeanAbsoluteError() | Huber():
            residual = tf.reduce_sum(tf.math.squared_difference(targets, outputs))
            total = tf.reduce_sum(tf.math.squared_difference(targets, tf.reduce_mean(targets, axis=0)))
            return 1 - residual / total
        case CrossEntropy(targets="labels"):
            return _share(tf.argmax(outputs, axis=-1) == tf.cast(targets, tf.int64))
        case CrossEntropy():
            return _share(tf.argmax(outputs, axis=-1) == tf.argmax(targets, axis=-1))
        case BinaryCrossEntropy():
            return _share((outputs > 0) == (targets > 0.5))


def _terms(spec: Loss, z: tf.Tensor, y: tf.Tensor, exact: bool) -> tf.Tensor:
    match spec:
        case MeanSquaredError():
            return tf.math.squared_difference(z, y)
        case MeanAbsoluteError():
            return tf.abs(z - y)
        case Huber(delta=delta):
            # It takes the mean along the last axis: here, of one.
            return keras.losses.huber(y[..., tf.newaxis], z[..., tf.newaxis], delta)
        case CrossEntropy(targets="labels"):
            return tf.nn.sparse_softmax_cross_entropy_with_logits(y, z)
        case CrossEntropy() if exact:
            return -tf.reduce_sum(y * tf.nn.log_softmax(z), axis=-1)
        case CrossEntropy():
            return tf.nn.softmax_cross_entropy_with_logits(y, z)
        case BinaryCrossEntropy():
            return tf.nn.sigmoid_cross_entropy_with_logits(y, z)


def _share(right: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.cast(right, tf.float64))
