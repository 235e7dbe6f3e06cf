"""TensorFlow with Keras: one graph call a step."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf


def make(x: np.ndarray, y: np.ndarray, start: list[np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """A function that trains on rows of indices and returns the losses."""
    inputs, labels = tf.constant(x, tf.float32), tf.constant(y)
    dense = keras.layers.Dense
    model = keras.Sequential([keras.Input((64,)), dense(64, "relu"), dense(64, "relu"), dense(10)])
    model.set_weights(start)
    optimizer = keras.optimizers.Adam(0.001)
    variables = model.trainable_variables
    optimizer.build(variables)

    @tf.function(autograph=False)
    def step(row: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = model(tf.gather(inputs, row), training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.gather(labels, row), logits)
            loss = tf.reduce_mean(losses)
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    def train(order: np.ndarray) -> np.ndarray:
        # Concrete: a call of the tf.function itself looks up its signature each time.
        call = step.get_concrete_function(tf.TensorSpec(order.shape[1:], tf.int32))
        return tf.stack([call(row) for row in tf.unstack(tf.constant(order))]).numpy()

    return train
