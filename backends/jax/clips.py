"""Clips: optax's where it computes the formula, else composed here."""

import jax
import jax.numpy as jnp
import optax
from jax import Array

from harness.backend import Origin
from harness.spec.recipe import ByValue, Clip, GlobalNorm, NoClip, PerTensor


def origin(clip: Clip) -> Origin:
    """Where the clip comes from, in ``exact`` and in ``shipped``."""
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


def transformation(clip: Clip) -> optax.GradientTransformation:
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


def norm(g: Array) -> Array:
    """‖g‖."""
    return jnp.sqrt(jnp.sum(jnp.square(g)))


def scaled(g: Array, c: float) -> Array:
    """g if ‖g‖ ≤ c, else (c/‖g‖)g."""
    size = norm(g)
    return jnp.where(size <= c, g, (c / size) * g)
