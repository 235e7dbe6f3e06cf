"""Convolution and pooling on (samples, height, width, channels), Keras's default layout."""

import keras
import tensorflow as tf

from harness.backend import Origin
from harness.spec.architecture import padding, strides
from harness.spec.layers import AveragePool, Conv2D, GlobalAveragePool, MaxPool, Pool, Shape


def origin(spec: Conv2D | Pool | GlobalAveragePool) -> Origin:
    """Where it comes from, in either implementation."""
    if isinstance(spec, AveragePool) and _counts(spec):
        return Origin("composed", "tf.pad", "keras.layers.AveragePooling2D does not count padding")
    return Origin("native", "keras.layers")


def layer(spec: Conv2D | Pool | GlobalAveragePool, name: str, inputs: Shape) -> keras.Layer:
    """The Keras layer."""
    kinds = keras.layers
    match spec:
        case Conv2D(filters=filters, kernel=kernel, strides=steps, padding=how, bias=bias):
            return kinds.Conv2D(filters, kernel, steps, how, use_bias=bias, name=name)
        case MaxPool():
            return kinds.MaxPooling2D(spec.window, strides(spec), spec.padding, name=name)
        case AveragePool() if _counts(spec):
            return _padded_mean(spec, name, inputs)
        case AveragePool():
            return kinds.AveragePooling2D(spec.window, strides(spec), spec.padding, name=name)
        case GlobalAveragePool() if len(inputs) <= 4:
            kind = (kinds.GlobalAveragePooling1D, kinds.GlobalAveragePooling2D, kinds.GlobalAveragePooling3D)
            return kind[len(inputs) - 2](name=name)
        case GlobalAveragePool():
            axes = list(range(1, len(inputs)))
            return kinds.Activation(lambda x: tf.reduce_mean(x, axes), name=name)


def _counts(spec: AveragePool) -> bool:
    """Whether zeros outside the image count, and there are any."""
    return spec.counts_padding and spec.padding == "same"


def _padded_mean(spec: AveragePool, name: str, inputs: Shape) -> keras.Layer:
    """The mean of windows over an image with zeros around it."""
    window, steps = spec.window, strides(spec)
    sizes = zip(inputs[:2], window, steps, strict=True)
    borders = [(0, 0), *(padding("same", n, k, s) for n, k, s in sizes), (0, 0)]
    return keras.layers.Activation(lambda x: tf.nn.avg_pool2d(tf.pad(x, borders), window, steps, "VALID"), name=name)
