"""Batch and layer normalisation."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from harness.backend import Origin
from harness.spec.layers import BatchNorm, LayerNorm

Own = Mapping[str, Array]


class Moments(NamedTuple):
    """Mean and variance of each feature."""

    mean: Any
    variance: Any


def origin(layer: BatchNorm | LayerNorm, exact: bool) -> Origin:
    """Where a normalisation comes from."""
    if isinstance(layer, BatchNorm):
        return Origin("composed", "jax.nn.standardize of jnp.mean, jnp.var", "jax has no running moments")
    return Origin("native", "jax.nn.standardize", "" if exact else "its variance is mean x² − (mean x)²")


def by_layer(layer: LayerNorm, theta: Own, x: Array, exact: bool) -> Array:
    """y = scale·(x − μ)/√(v + ε) + shift, μ and v over the last axis."""
    variance = jnp.var(x, axis=-1, keepdims=True) if exact else None
    return theta["scale"] * jax.nn.standardize(x, variance=variance, epsilon=layer.eps) + theta["shift"]


def by_batch(layer: BatchNorm, theta: Own, x: Array, running: Moments, training: bool) -> tuple[Array, Moments]:
    """y = scale·(x − μ)/√(v + ε) + shift, and the running moments after it.

    In training μ and v are over all axes but the last, and r ← ρr + (1 − ρ)·new; else they are the running ones.
    """
    over = tuple(range(x.ndim - 1))
    used = Moments(jnp.mean(x, axis=over), jnp.var(x, axis=over)) if training else running
    normal = jax.nn.standardize(x, mean=used.mean, variance=used.variance, epsilon=layer.eps)
    after = averaged(layer, running, used, x.size // x.shape[-1]) if training else running
    return theta["scale"] * normal + theta["shift"], after


def averaged(layer: BatchNorm, running: Moments, new: Moments, n: int) -> Moments:
    """r ← ρr + (1 − ρ)·new, the variance of n elements n/(n − 1) times the biased one where the spec says so."""
    rho, unbiased = layer.momentum, n / max(n - 1, 1) if layer.running == "unbiased" else 1.0
    new = Moments(new.mean, unbiased * new.variance)
    return Moments(*(rho * r + (1 - rho) * m for r, m in zip(running, new, strict=True)))
