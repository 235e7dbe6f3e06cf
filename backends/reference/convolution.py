"""Convolution and pooling of images (samples, height, width, channels), one offset of the window after another."""

import functools
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from harness.backend import Floats
from harness.spec.architecture import padding, strides
from harness.spec.layers import AveragePool, Conv2D, MaxPool, Padding, Pair, Pool

Own = Mapping[str, Floats]


class Window(NamedTuple):
    """A window that slides over images of a size."""

    size: Pair
    strides: Pair
    padding: Padding

    def padded(self, x: Floats, value: float = 0.0) -> Floats:
        """The images with their border."""
        return np.pad(x, [(0, 0), *self.borders(x), (0, 0)], constant_values=value)

    def cut(self, padded: Floats, x: Floats) -> Floats:
        """The images without their border."""
        (top, _), (left, _) = self.borders(x)
        return padded[:, top : top + x.shape[1], left : left + x.shape[2]]

    def borders(self, x: Floats) -> list[tuple[int, int]]:
        """Before and after the height and the width."""
        sizes = zip(x.shape[1:3], self.size, self.strides, strict=True)
        return [padding(self.padding, n, k, s) for n, k, s in sizes]

    def offsets(self) -> Iterator[tuple[int, int]]:
        """(a, b) in row-major order."""
        yield from np.ndindex(*self.size)

    def rows(self, padded: Floats) -> Floats:
        """What each window sees, one offset after the other: (samples, i, j, offsets · channels)."""
        return np.concatenate([self.seen(padded, a, b) for a, b in self.offsets()], axis=-1)

    def seen(self, padded: Floats, a: int, b: int) -> Floats:
        """What all windows see at the offset (a, b): x[:, si + a, tj + b], a view."""
        (height, width), (s, t) = self.size, self.strides
        i, j = (padded.shape[1] - height) // s, (padded.shape[2] - width) // t
        return padded[:, a : a + s * i + 1 : s, b : b + t * j + 1 : t]


def convolve(layer: Conv2D, theta: Own, x: Floats) -> Floats:
    """y = Σ x[:, si + a, tj + b]·W[a, b] + bias over the offsets (a, b), all in one product."""
    window = Window(layer.kernel, layer.strides, layer.padding)
    y = window.rows(window.padded(x)) @ _flat(theta["weight"])
    return np.asanyarray(y + theta.get("bias", 0.0))


def convolve_backward(layer: Conv2D, theta: Own, x: Floats, delta: Floats) -> tuple[Floats, dict[str, Floats]]:
    """∂L/∂W[a, b] = Σ x[:, si + a, tj + b]ᵀδ; ∂L/∂x gets δW[a, b]ᵀ where the offset (a, b) saw it; ∂L/∂b = Σδ."""
    window = Window(layer.kernel, layer.strides, layer.padding)
    padded = window.padded(x)
    of_weight = np.einsum("nijk,nijf->kf", window.rows(padded), delta)
    of_rows = delta @ _flat(theta["weight"]).T
    of_inputs, channels = np.zeros_like(padded), x.shape[-1]
    for k, (a, b) in enumerate(window.offsets()):
        window.seen(of_inputs, a, b)[...] += of_rows[..., k * channels : (k + 1) * channels]
    gradients = {"weight": of_weight.reshape(theta["weight"].shape), "bias": delta.sum(axis=(0, 1, 2))}
    return window.cut(of_inputs, x), {role: gradients[role] for role in theta}


def _flat(weight: Floats) -> Floats:
    """(offsets · channels, filters)."""
    return weight.reshape(-1, weight.shape[-1])


def pool(layer: Pool, x: Floats) -> Floats:
    """The maximum or the mean of each window."""
    window = Window(layer.window, strides(layer), layer.padding)
    match layer:
        case MaxPool():
            padded = window.padded(x, -np.inf)
            last_to_first = [window.seen(padded, a, b) for a, b in window.offsets()][::-1]
            return np.asanyarray(functools.reduce(np.maximum, last_to_first))  # of equal ones the second, the first's
        case AveragePool():
            padded = window.padded(x)
            return np.asanyarray(
                sum(window.seen(padded, a, b) for a, b in window.offsets()) / _counts(layer, window, x)
            )


def pool_backward(layer: Pool, x: Floats, delta: Floats) -> Floats:
    """∂L/∂x: of a maximum, δ at the first largest element; of a mean, δ/count at each."""
    window = Window(layer.window, strides(layer), layer.padding)
    match layer:
        case MaxPool():
            padded = window.padded(x, -np.inf)
            of_inputs = np.zeros_like(padded)
            largest = np.argmax(np.stack([window.seen(padded, a, b) for a, b in window.offsets()]), axis=0)
            for place, (a, b) in enumerate(window.offsets()):
                window.seen(of_inputs, a, b)[...] += np.where(largest == place, delta, 0)
        case AveragePool():
            of_inputs = np.zeros_like(window.padded(x))
            for a, b in window.offsets():
                window.seen(of_inputs, a, b)[...] += delta / _counts(layer, window, x)
    return window.cut(of_inputs, x)


def _counts(layer: AveragePool, window: Window, x: Floats) -> Floats:
    """How many elements each window's mean is of."""
    if layer.counts_padding:
        return np.array(float(np.prod(layer.window)))
    there = window.padded(np.ones_like(x))
    return np.asanyarray(sum(window.seen(there, a, b) for a, b in window.offsets()))
