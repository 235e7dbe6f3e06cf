"""Layers that mix places of an image or a sequence: each is a few sparse matrices from places to places.

A convolution's offset takes each place of the outputs to one of the inputs, or to none, in the padding; so borders are
exact. Flattening is a convolution whose window is the whole image.
"""

import functools
import itertools
from collections.abc import Sequence

import numpy as np
from scipy import sparse

from harness.problems.data import Floats
from harness.spec.architecture import padding, strides
from harness.spec.layers import AveragePool, Conv2D, MaxPool, Padding, Pair, Shape

Indices = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
Maps = Sequence[sparse.csr_array]  # each (samples × places after, samples × places before)


def windows(inputs: Shape, layer: Conv2D | MaxPool | AveragePool) -> Indices:
    """(offsets, places after): the place that an offset of a window sees, −1 in the padding, offsets in row order."""
    match layer:
        case Conv2D(kernel=size, strides=steps, padding=how):
            return _windows(inputs, size, steps, how)
        case MaxPool(window=size, padding=how) | AveragePool(window=size, padding=how):
            return _windows(inputs, size, strides(layer), how)


def _windows(inputs: Shape, size: Pair, steps: Pair, how: Padding) -> Indices:
    height, width = inputs[:2]
    seen = []
    for n, k, s in zip((height, width), size, steps, strict=True):
        first, last = padding(how, n, k, s)
        starts = np.arange(0, n + first + last - k + 1, s) - first
        at = np.arange(k)[:, None] + starts
        seen.append(np.where((at >= 0) & (at < n), at, -1))
    rows, columns = seen
    both = [(a[:, None], b) for a, b in itertools.product(rows, columns)]
    return np.stack([np.where((a >= 0) & (b >= 0), a * width + b, -1).ravel() for a, b in both])


def offsets(seen: Indices, before: int, samples: int) -> Maps:
    """One matrix of zeros and ones for each offset."""
    return [_map([places], before, samples, np.ones_like(places, dtype=float)) for places in seen]


def together(maps: Maps) -> sparse.csr_array:
    """One matrix for all offsets."""
    return functools.reduce(lambda a, b: a + b, maps)


def means(seen: Indices, before: int, samples: int, counts_padding: bool) -> Maps:
    """One matrix: the mean over the offsets."""
    counts = np.full(seen.shape[1], len(seen)) if counts_padding else (seen >= 0).sum(axis=0)
    return [_map(list(seen), before, samples, 1 / counts)]


def _map(seen: list[Indices], before: int, samples: int, weights: Floats) -> sparse.csr_array:
    rows, columns, values = [], [], []
    for places in seen:
        (there,) = np.nonzero(places >= 0)
        rows.append(there)
        columns.append(places[there])
        values.append(weights[there])
    index = (np.concatenate(rows), np.concatenate(columns))
    one = sparse.coo_array((np.concatenate(values), index), shape=(seen[0].size, before))
    return sparse.csr_array(sparse.kron(sparse.eye_array(samples), one))


def forward(maps: Maps, kernel: Floats) -> Floats:
    """Σ B K Bᵀ."""
    return np.asarray(sum(b @ (b @ kernel).T for b in maps))


def back(maps: Maps, gradient: Floats) -> Floats:
    """Σ Bᵀ G B."""
    return np.asarray(sum(b.T @ (b.T @ gradient).T for b in maps))
