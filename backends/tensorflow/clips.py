"""Clipping: TensorFlow's functions on the gradients, or the arguments of a Keras optimizer."""

from collections.abc import Callable

import tensorflow as tf

from harness.backend import Origin
from harness.spec.recipe import ByValue, Clip, Coupled, GlobalNorm, NoClip, PerTensor, Recipe

Clipper = Callable[[list[tf.Tensor]], list[tf.Tensor]]


def origin(recipe: Recipe, exact: bool) -> Origin:
    """Where the clip comes from."""
    if arguments(recipe, exact):
        return Origin("native", "the optimizer's " + ", ".join(arguments(recipe, exact)))
    why = "Keras's optimizers clip after the coupled decay" if _too_late(recipe, exact) else ""
    match recipe.clip:
        case NoClip():
            return Origin("native", "nothing")
        case GlobalNorm():
            return Origin("native", "tf.clip_by_global_norm", why)
        case PerTensor():
            return Origin("native", "tf.clip_by_norm", why)
        case ByValue():
            return Origin("native", "tf.clip_by_value", why or ("" if exact else "Keras's clipvalue is symmetric"))


def arguments(recipe: Recipe, exact: bool) -> dict[str, float]:
    """What ``shipped`` passes to the Keras optimizer, which clips first, then decays, then updates."""
    if exact or _too_late(recipe, exact):
        return {}
    match recipe.clip:
        case GlobalNorm(c=c):
            return {"global_clipnorm": c}
        case PerTensor(c=c):
            return {"clipnorm": c}
        case ByValue(lowest=low, highest=high) if low == -high:
            return {"clipvalue": high}
        case _:
            return {}


def clipper(clip: Clip) -> Clipper:
    """A function from gradients to clipped gradients."""
    match clip:
        case NoClip():
            return lambda gradients: gradients
        case GlobalNorm(c=c):
            return lambda gradients: tf.clip_by_global_norm(gradients, c)[0]
        case PerTensor(c=c):
            return lambda gradients: [tf.clip_by_norm(g, c) for g in gradients]
        case ByValue(lowest=low, highest=high):
            return lambda gradients: [tf.clip_by_value(g, low, high) for g in gradients]


def _too_late(recipe: Recipe, exact: bool) -> bool:
    """Whether Keras's own clip would see gradients that already carry the decay."""
    return not exact and isinstance(recipe.decay, Coupled)
