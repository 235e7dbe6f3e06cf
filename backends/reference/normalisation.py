"""Batch and layer normalisation."""

from collections.abc import Mapping

import numpy as np

from harness.backend import Floats
from harness.spec.layers import BatchNorm, LayerNorm

Own = Mapping[str, Floats]
Moments = tuple[Floats, Floats]  # mean and variance


def axes(layer: BatchNorm | LayerNorm, x: Floats) -> tuple[int, ...]:
    """The axes over which moments are taken: all but the last, or the last."""
    return tuple(range(x.ndim - 1)) if isinstance(layer, BatchNorm) else (x.ndim - 1,)


def moments(layer: BatchNorm | LayerNorm, x: Floats) -> Moments:
    """μ = mean x and v = mean (x − μ)², axes kept."""
    mean = np.mean(x, axis=axes(layer, x), keepdims=True)
    return mean, np.mean((x - mean) ** 2, axis=axes(layer, x), keepdims=True)


def normalise(layer: BatchNorm | LayerNorm, theta: Own, x: Floats, by: Moments) -> Floats:
    """y = scale·(x − μ)/√(v + ε) + shift."""
    mean, variance = by
    return theta["scale"] * (x - mean) / np.sqrt(variance + layer.eps) + theta["shift"]


def normalise_backward(
    layer: BatchNorm | LayerNorm, theta: Own, x: Floats, delta: Floats
) -> tuple[Floats, dict[str, Floats]]:
    """With x̂ = (x − μ)/√(v + ε) and d = δ·scale: ∂L/∂x = (d − mean d − x̂·mean(dx̂))/√(v + ε), as μ and v depend on x."""
    mean, variance = moments(layer, x)
    root, over = np.sqrt(variance + layer.eps), axes(layer, x)
    normal, d = (x - mean) / root, delta * theta["scale"]
    of_inputs = (d - d.mean(axis=over, keepdims=True) - normal * (d * normal).mean(axis=over, keepdims=True)) / root
    others = tuple(range(x.ndim - 1))
    return of_inputs, {"scale": (delta * normal).sum(axis=others), "shift": delta.sum(axis=others)}


def averaged(layer: BatchNorm, running: Moments, x: Floats) -> Moments:
    """r ← ρr + (1 − ρ)·new of both moments, after a training step on x."""
    mean, variance = (moment.ravel() for moment in moments(layer, x))
    n = x.size // x.shape[-1]
    if layer.running == "unbiased":
        variance = variance * n / max(n - 1, 1)
    rho = layer.momentum
    return rho * running[0] + (1 - rho) * mean, rho * running[1] + (1 - rho) * variance
