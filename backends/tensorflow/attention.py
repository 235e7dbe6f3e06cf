"""Multi-head self-attention on (samples, time, features): Keras's own in ``shipped``, in primitives in ``exact``."""

import math

import keras
import tensorflow as tf

from backends.tensorflow.arranged import Arranged, Values, shapes
from harness.backend import Origin
from harness.spec.architecture import head_size
from harness.spec.layers import Attention, Shape


def origin(exact: bool) -> Origin:
    """Where it comes from."""
    why = "keras.layers.MultiHeadAttention rounds 1/√k to float32"
    return Origin("composed", "tf.matmul, tf.nn.softmax", why) if exact else Origin("native", "keras.layers", why)


def layer(spec: Attention, name: str, inputs: Shape, exact: bool) -> keras.Layer | Arranged:
    """The layer, built."""
    if exact:
        composed = SelfAttention(spec, inputs, name)
        composed.build((None, *inputs))
        return composed
    heads, size = spec.heads, head_size(spec, inputs[-1])
    native = keras.layers.MultiHeadAttention(heads, size, name=name)
    native.build((None, *inputs), (None, *inputs))

    def by_head(own: Values) -> list[tf.Tensor]:
        """Keras's kernels (features, heads, size) and (heads, size, features), biases (heads, size) but the last."""
        *into, output, output_bias = own.values()
        split = [tf.reshape(w, (*w.shape[:-1], heads, size)) for w in into]
        return [*split, tf.reshape(output, (heads, size, -1)), output_bias]

    return Arranged(native, shapes(spec, inputs), by_head, lambda x: {"value": x, "use_causal_mask": spec.causal})


class SelfAttention(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """softmax(QKᵀ/√k)V of each head, joined and mapped by W_o + b_o; its parameters are the spec's."""

    def __init__(self, spec: Attention, inputs: Shape, name: str) -> None:
        super().__init__(name=name)
        self.spec, self.shapes = spec, shapes(spec, inputs)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the parameters by their roles."""
        self.own = {role: self.add_weight(shape, "zeros", name=role) for role, shape in self.shapes.items()}

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """y for x, both (samples, time, features)."""
        q, k, v = (self._split(self._map(role, x)) for role in ("query", "key", "value"))
        scores = tf.matmul(q, k, transpose_b=True) / math.sqrt(q.shape[-1])
        if self.spec.causal:
            past = tf.linalg.band_part(tf.ones(scores.shape[-2:], tf.bool), -1, 0)
            scores = tf.where(past, scores, -math.inf)
        answers = tf.transpose(tf.matmul(tf.nn.softmax(scores), v), (0, 2, 1, 3))
        joined = tf.reshape(answers, (-1, x.shape[1], self.spec.heads * q.shape[-1]))
        return self._map("output", joined)

    def _map(self, role: str, x: tf.Tensor) -> tf.Tensor:
        return tf.tensordot(x, self.own[role], 1) + self.own[f"{role}_bias"]

    def _split(self, x: tf.Tensor) -> tf.Tensor:
        """(samples, time, heads · size) → (samples, heads, time, size)."""
        heads = self.spec.heads
        return tf.transpose(tf.reshape(x, (-1, x.shape[1], heads, x.shape[-1] // heads)), (0, 2, 1, 3))
