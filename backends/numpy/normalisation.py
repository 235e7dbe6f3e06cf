"""Batch and layer normalisation."""

from functools import partial
from typing import NamedTuple

import numpy as np

from backends.numpy.flat import Array
from backends.numpy.tape import Own, Pair, Tape, Tapes, spread, total
from harness.spec.layers import BatchNorm, LayerNorm


class Moments(NamedTuple):
    """Mean and variance of each feature."""

    mean: Array
    variance: Array


def batch_norm(layer: BatchNorm, x: Pair, y: Pair, own: Own, backpropagates: bool) -> tuple[Tapes, Moments]:
    """y = scale·x̂ + shift, x̂ = (x − μ)/√(v + ε); ∂L/∂x = scale/√(v + ε)·(δ − Σδ/m − x̂·Σδx̂/m), m rows.

    The sums are the gradients of shift and scale. Also the buffers in which the batch's μ and v will stand.
    """
    rows, scale, shift = x.rows().value, own["scale"], own["shift"]
    normal, product = np.empty_like(x.value), np.empty_like(x.value)
    share = np.full_like(rows, 1 / len(rows), shape=len(rows))
    mean, variance, root, factor, level = np.empty((5, rows.shape[1]), rows.dtype, like=rows)
    means, spreading_means = spread(mean, x.value)
    roots, spreading_roots = spread(root, x.value)
    forward: Tape = [
        partial(np.dot, share, rows, mean),
        *spreading_means,
        partial(np.subtract, x.value, means, normal),
        partial(np.multiply, normal, normal, product),
        partial(np.dot, share, product.reshape(rows.shape), variance),
        partial(np.add, variance, layer.eps, root),
        partial(np.sqrt, root, root),
        *spreading_roots,
        partial(np.divide, normal, roots, normal),
        *_scaled(normal, y, own),
    ]
    backward: Tape = [
        partial(np.multiply, y.d, normal, product),
        *total(product.reshape(rows.shape), scale.d),
        *total(y.rows().d, shift.d),
    ]
    if backpropagates:
        factors, spreading_factors = spread(factor, x.value)
        levels, spreading_levels = spread(level, x.value)
        backward += [
            partial(np.multiply, scale.d, share[0], factor),
            *spreading_factors,
            partial(np.multiply, normal, factors, x.d),
            partial(np.subtract, y.d, x.d, x.d),
            partial(np.multiply, shift.d, share[0], level),
            *spreading_levels,
            partial(np.subtract, x.d, levels, x.d),
            partial(np.divide, scale.value, root, factor),
            *spreading_factors,
            partial(np.multiply, x.d, factors, x.d),
        ]
    return Tapes(forward, backward), Moments(mean, variance)


def averaged(layer: BatchNorm, running: Moments, batch: Moments, rows: int) -> Tape:
    """r ← ρr + (1 − ρ)·new of both moments of a batch of that many rows."""
    unbiased = rows / max(rows - 1, 1) if layer.running == "unbiased" else 1.0
    share = np.empty_like(running.mean)
    tape: Tape = []
    for average, new, times in zip(running, batch, (1.0, unbiased), strict=True):
        tape += [
            partial(np.multiply, average, layer.momentum, average),
            partial(np.multiply, new, (1 - layer.momentum) * times, share),
            partial(np.add, average, share, average),
        ]
    return tape


def normalised_by(layer: BatchNorm, x: Pair, y: Pair, own: Own, running: Moments) -> Tape:
    """In inference: y = (x − μ)·scale/√(v + ε) + shift by the running moments."""
    factor, scale, shift = np.empty_like(running.mean), own["scale"].value, own["shift"].value
    means, spreading_means = spread(running.mean, x.value)
    factors, spreading_factors = spread(factor, x.value)
    shifts, spreading_shifts = spread(shift, x.value)
    return [
        *spreading_means,
        partial(np.subtract, x.value, means, y.value),
        partial(np.add, running.variance, layer.eps, factor),
        partial(np.sqrt, factor, factor),
        partial(np.divide, scale, factor, factor),
        *spreading_factors,
        partial(np.multiply, y.value, factors, y.value),
        *spreading_shifts,
        partial(np.add, y.value, shifts, y.value),
    ]


def layer_norm(layer: LayerNorm, x: Pair, y: Pair, own: Own, backpropagates: bool) -> Tapes:
    """y = scale·x̂ + shift, x̂ = (x − μ)/√(v + ε) of each row; with d = δ·scale: (d − mean d − x̂·mean(dx̂))/√(v + ε)."""
    rows, scale = x.rows().value, own["scale"]
    normal, product = np.empty_like(x.value), np.empty_like(x.value)
    normal_rows, product_rows = normal.reshape(rows.shape), product.reshape(rows.shape)
    share = np.full_like(rows, 1 / rows.shape[1], order="C", shape=(rows.shape[1], 1))
    level, root = np.empty((2, len(rows), 1), rows.dtype, like=rows)
    forward: Tape = [
        partial(np.dot, rows, share, level),
        partial(np.subtract, rows, level, normal_rows),
        partial(np.multiply, normal, normal, product),
        partial(np.dot, product_rows, share, root),
        partial(np.add, root, layer.eps, root),
        partial(np.sqrt, root, root),
        partial(np.divide, normal_rows, root, normal_rows),
        *_scaled(normal, y, own),
    ]
    backward: Tape = [
        partial(np.multiply, y.d, normal, product),
        *total(product_rows, scale.d),
        *total(y.rows().d, own["shift"].d),
    ]
    if backpropagates:
        scales, spreading = spread(scale.value, x.value)
        of_rows = x.rows().d
        backward += [
            *spreading,
            partial(np.multiply, product, scales, product),
            partial(np.dot, product_rows, share, level),
            partial(np.multiply, normal_rows, level, product_rows),
            partial(np.multiply, y.d, scales, x.d),
            partial(np.dot, of_rows, share, level),
            partial(np.subtract, of_rows, product_rows, of_rows),
            partial(np.subtract, of_rows, level, of_rows),
            partial(np.divide, of_rows, root, of_rows),
        ]
    return Tapes(forward, backward)


def _scaled(normal: Array, y: Pair, own: Own) -> Tape:
    """y = scale·x̂ + shift."""
    scale, spreading_scale = spread(own["scale"].value, y.value)
    shift, spreading_shift = spread(own["shift"].value, y.value)
    return [
        *spreading_scale,
        partial(np.multiply, normal, scale, y.value),
        *spreading_shift,
        partial(np.add, y.value, shift, y.value),
    ]
