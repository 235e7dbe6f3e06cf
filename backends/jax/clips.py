"""Clips: optax's where it computes the formula, else composed here."""

import jax
import jax.numpy as jnp
import optax
from jax import Array

from harness.backend import Origin
from harness.spec.recipe import Adaptive, ByValue, Clip, GlobalNorm, NoClip, PerTensor


def origin(clip: Clip, exact: bool) -> Origin:
    """Where the clip comes from, and in ``shipped`` how its formula is another."""
    match clip:
        case NoClip():
            return Origin("native", "nothing")
        case GlobalNorm():
            return Origin("native", "optax.clip_by_global_norm")
        case PerTensor():
            return Origin("composed", "c/‖g‖ per tensor", "optax.clip_by_block_rms clips the root mean square")
        case ByValue(lowest=low, highest=high) if low == -high:
            return Origin("native", "optax.clip")
        case ByValue():
            return Origin("composed", "jnp.clip", "optax.clip is symmetric")
        case Adaptive():
            single = (
                "a matrix of one row is one unit, one of three axes is summed along the first, no norm is below 1e-6"
            )
            if exact:
                return Origin("composed", "c·max(‖w‖, ε)/‖g‖ per unit", f"optax.adaptive_grad_clip: {single}")
            return Origin("native", "optax.adaptive_grad_clip", single)


def transformation(clip: Clip, exact: bool) -> optax.GradientTransformation:
    """The clip of all gradients."""
    match clip:
        case NoClip():
            return optax.identity()
        case GlobalNorm(c=c):
            return optax.clip_by_global_norm(c)
        case PerTensor(c=c):
            return optax.stateless(lambda g, _: jax.tree.map(lambda one: scaled(one, c), g))
        case ByValue(lowest=low, highest=high) if low == -high:
            return optax.clip(high)
        case ByValue(lowest=low, highest=high):
            return optax.stateless(lambda g, _: jax.tree.map(lambda one: jnp.clip(one, low, high), g))
        case Adaptive(c=c, eps=eps) if exact:
            return optax.stateless(lambda g, w: jax.tree.map(lambda g, w: adaptive(g, w, c, eps), g, w))
        case Adaptive(c=c, eps=eps):
            return optax.adaptive_grad_clip(c, eps)


def norm(g: Array) -> Array:
    """‖g‖."""
    return jnp.sqrt(jnp.sum(jnp.square(g)))


def scaled(g: Array, c: float) -> Array:
    """g if ‖g‖ ≤ c, else (c/‖g‖)g."""
    size = norm(g)
    return jnp.where(size <= c, g, (c / size) * g)


def adaptive(g: Array, w: Array, c: float, eps: float) -> Array:
    """g of each unit if ‖g‖ ≤ c·max(‖w‖, ε), else scaled to that: a unit is a slice of the last axis, or a vector."""
    axes = tuple(range(max(w.ndim - 1, 1)))
    size, weight = (jnp.sqrt(jnp.sum(jnp.square(x), axis=axes, keepdims=True)) for x in (g, w))
    limit = c * jnp.maximum(weight, eps)
    within = size <= limit
    return jnp.where(within, g, g * (limit / jnp.where(within, 1.0, size)))
