"""Clipping: TensorFlow's functions on the gradients, or the arguments of a Keras optimizer."""

from collections.abc import Callable

import tensorflow as tf

from harness.backend import Origin
from harness.spec.recipe import Adaptive, ByValue, Clip, Coupled, GlobalNorm, NoClip, PerTensor, Recipe

Clipper = Callable[[list[tf.Tensor], list[tf.Tensor]], list[tf.Tensor]]


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
        case Adaptive():
            return Origin("composed", recipe.clip.spelling(), "neither TensorFlow nor Keras clips against the weights")


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
    """A function from gradients, and the weights at which they were taken, to clipped gradients."""
    match clip:
        case NoClip():
            return lambda gradients, weights: gradients
        case GlobalNorm(c=c):
            return lambda gradients, weights: tf.clip_by_global_norm(gradients, c)[0]
        case PerTensor(c=c):
            return lambda gradients, weights: [tf.clip_by_norm(g, c) for g in gradients]
        case ByValue(lowest=low, highest=high):
            return lambda gradients, weights: [tf.clip_by_value(g, low, high) for g in gradients]
        case Adaptive(c=c, eps=eps):
            return lambda gradients, weights: [adaptive(g, w, c, eps) for g, w in zip(gradients, weights, strict=True)]


def adaptive(g: tf.Tensor, w: tf.Tensor, c: float, eps: float) -> tf.Tensor:
    """g·min(1, c·max(‖w‖, ε)/‖g‖) of each unit: all axes but the last, or a whole vector."""
    limit = c * tf.maximum(_unit_norms(w), eps)
    return g * tf.minimum(limit / _unit_norms(g), 1)  # where g is 0 the quotient is ∞


def _unit_norms(tensor: tf.Tensor) -> tf.Tensor:
    axes = list(range(max(tensor.shape.rank - 1, 1)))
    return tf.sqrt(tf.reduce_sum(tf.square(tensor), axes, keepdims=True))


def _too_late(recipe: Recipe, exact: bool) -> bool:
    """Whether Keras's own clip would see gradients that already carry the decay."""
    return not exact and isinstance(recipe.decay, Coupled)
