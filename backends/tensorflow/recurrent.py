"""Simple RNN, LSTM and GRU as Keras layers, of (samples, time, features)."""

import keras
import tensorflow as tf

from backends.tensorflow.arranged import Arranged, Values, shapes
from harness.spec.layers import GRU, LSTM, Layer, Recurrent, Shape, SimpleRNN

# In shipped, up to so many times are unrolled on a CPU: half the step time, for a trace that grows with the length.
UNROLLED = 64


def layer(spec: Recurrent, name: str, inputs: Shape, exact: bool, cuda: bool) -> keras.Layer | Arranged:
    """The Keras layer, built; a GRU's gates stand in another order in Keras."""
    kinds, fused = keras.layers, cuda and is_fused(spec)
    words = {"return_sequences": spec.sequences, "unroll": not exact and not fused and inputs[0] <= UNROLLED}
    # Left alone, Keras takes cuDNN wherever it sees a GPU, even for a layer on the CPU.
    cudnn = {"use_cudnn": "auto" if fused else False}
    found: keras.Layer | Arranged
    match spec:
        case SimpleRNN(units=units, activation=activation):
            found = kinds.SimpleRNN(units, activation, name=name, **words)
        case LSTM(units=units):
            found = kinds.LSTM(units, name=name, **words, **cudnn)
        case GRU(units=units, reset=reset):
            found = kinds.GRU(units, reset_after=reset == "after", name=name, **words, **cudnn)
    found.build((None, *inputs))
    return Arranged(found, shapes(spec, inputs), _gru) if isinstance(spec, GRU) else found


def is_fused(spec: Layer) -> bool:
    """Whether cuDNN has it."""
    return isinstance(spec, LSTM) or (isinstance(spec, GRU) and spec.reset == "after")


def _gru(own: Values) -> list[tf.Tensor]:
    """Keras's kernel, recurrent kernel and bias: gates z, r, n; two biases, one above the other."""
    weight, recurrent, *biases = (_update_first(own[role]) for role in own)
    return [weight, recurrent, tf.stack(biases) if len(biases) == 2 else biases[0]]


def _update_first(gates: tf.Tensor) -> tf.Tensor:
    """(r, z, n) → (z, r, n)."""
    r, z, n = tf.split(gates, 3, axis=-1)
    return tf.concat([z, r, n], axis=-1)
