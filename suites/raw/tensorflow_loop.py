"""TensorFlow with Keras: one graph call a step."""

from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf
from keras import layers

Start = Mapping[str, np.ndarray]
WIDTH, HEADS, BLOCKS = 32, 4, 2  # of the transformer


def make(architecture: str, x: np.ndarray, y: np.ndarray, start: Start) -> Callable[[np.ndarray], np.ndarray]:
    """A function that trains on rows of indices and returns the losses."""
    inputs, labels = tf.constant(x, tf.float32), tf.constant(y)
    model = ARCHITECTURES[architecture](start)
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


def mlp(start: Start) -> keras.Model:
    """64-64-64-10 with ReLU."""
    model = keras.Sequential([keras.Input((64,)), layers.Dense(64, "relu"), layers.Dense(64, "relu"), layers.Dense(10)])
    model.set_weights(list(start.values()))
    return model


def cnn(start: Start) -> keras.Model:
    """Two convolutions with pools, two linear layers."""
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Reshape((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, "relu"),
            layers.Dense(10),
        ]
    )
    model.set_weights(list(start.values()))
    return model


def row_lstm(start: Start) -> keras.Model:
    """``keras.layers.LSTM`` over the rows of an image, unrolled (on a CPU its loop is slower), and a linear layer."""
    recurrent = layers.LSTM(64, unroll=True)
    model = keras.Sequential([keras.Input((64,)), layers.Reshape((8, 8)), recurrent, layers.Dense(10)])
    model.set_weights(list(start.values()))
    return model


class Position(layers.Layer):
    """Learned positions."""

    def build(self, shape: tuple[int, ...]) -> None:
        """One weight for each place."""
        self.weight = self.add_weight(shape=shape[1:], name="weight")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """X + W."""
        return x + self.weight


def transformer(start: Start) -> keras.Model:
    """Rows, learned positions, pre-norm blocks with ``keras.layers.MultiHeadAttention``, the mean over time."""
    inputs = keras.Input((64,))
    x = Position()(layers.Dense(WIDTH)(layers.Reshape((8, 8))(inputs)))
    for _ in range(BLOCKS):
        normal = layers.LayerNormalization(epsilon=1e-5)(x)
        x = x + layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(normal, normal)
        normal = layers.LayerNormalization(epsilon=1e-5)(x)
        x = x + layers.Dense(WIDTH)(layers.Dense(2 * WIDTH, "gelu")(normal))
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization(epsilon=1e-5)(x))
    model = keras.Model(inputs, layers.Dense(10)(x))
    # Keras has heads on an axis of their own; the order of the weights is that of the layers.
    shapes = [weight.shape for weight in model.get_weights()]
    model.set_weights([values.reshape(shape) for values, shape in zip(start.values(), shapes, strict=True)])
    return model


ARCHITECTURES = {"mlp": mlp, "cnn": cnn, "lstm": row_lstm, "transformer": transformer}
