"""Losses and metrics."""

import tensorflow as tf

from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, Loss, MeanSquaredError


def loss(spec: Loss, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """The mean loss over the batch, a scalar."""
    match spec:
        case MeanSquaredError():
            return tf.reduce_mean(tf.math.squared_difference(outputs, targets))
        case CrossEntropy():
            return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, outputs))
        case BinaryCrossEntropy():
            return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(targets, outputs))


def metric(spec: Loss, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Accuracy, or R² over all outputs, a scalar."""
    match spec:
        case MeanSquaredError():
            residual = tf.reduce_sum(tf.math.squared_difference(targets, outputs))
            total = tf.reduce_sum(tf.math.squared_difference(targets, tf.reduce_mean(targets, axis=0)))
            return 1 - residual / total
        case CrossEntropy():
            return _share(tf.argmax(outputs, axis=1) == targets)
        case BinaryCrossEntropy():
            return _share((outputs > 0) == (targets > 0.5))


def _share(right: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.cast(right, tf.float64))
