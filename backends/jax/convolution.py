"""Convolution and pooling of images (samples, height, width, channels)."""

import math
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from harness.backend import Origin
from harness.spec.architecture import strides
from harness.spec.layers import AveragePool, Conv2D, MaxPool, Pool

Own = Mapping[str, Array]


def origin(layer: Conv2D | Pool) -> Origin:
    """Where a layer comes from."""
    match layer:
        case Conv2D():
            return Origin("native", "jax.lax.conv_general_dilated")
        case MaxPool():
            return Origin("native", "jax.lax.reduce_window")
        case AveragePool():
            return Origin("composed", "jax.lax.reduce_window", "jax has no mean of windows, only their sum")


def convolve(layer: Conv2D, theta: Own, x: Array, exact: bool) -> Array:
    """y = Σ x[:, si + a, tj + b]·W[a, b] + bias. In ``exact`` a GPU may not round the factors to TF32."""
    y = lax.conv_general_dilated(
        x,
        theta["weight"],
        layer.strides,
        layer.padding.upper(),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision="highest" if exact else None,
    )
    return y + theta["bias"] if layer.bias else y


def pool(layer: Pool, x: Array) -> Array:
    """The maximum of each window, whose gradient XLA sends to the first; or the mean of what the mean is taken of."""
    match layer:
        case MaxPool():
            return slide(layer, x, -jnp.inf, lax.max)
        case AveragePool(counts_padding=counts, padding=padding):
            total = slide(layer, x, 0.0, lax.add)
            if counts or padding == "valid":
                return total / math.prod(layer.window)
            return total / slide(layer, jnp.ones((1, *x.shape[1:3], 1), x.dtype), 0.0, lax.add)


def slide(layer: Pool, x: Array, start: float, operation: Any) -> Array:
    """All elements of a window under an operation, from ``start``, which is also what stands around the image."""
    window, steps = (1, *layer.window, 1), (1, *strides(layer), 1)
    found: Array = lax.reduce_window(x, start, operation, window, steps, layer.padding.upper())
    return found
