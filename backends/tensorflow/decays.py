"""Weight decay: Keras's ``weight_decay`` where it means the same, else composed around the update."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from backends.tensorflow import optimizers
from harness.backend import Origin
from harness.spec.recipe import Coupled, Decay, Decoupled, NoDecay, Recipe, touched


def origin(recipe: Recipe, exact: bool) -> Origin:
    """Where the decay comes from."""
    match recipe.decay:
        case NoDecay():
            return Origin("native", "nothing")
        case Coupled():
            return Origin("composed", "g + λw", "Keras's weight_decay is decoupled")
        case Decoupled(scaled_by="schedule"):
            return Origin("composed", "w − Δ − factor(t)λw", "Keras scales its weight_decay by the rate")
        case Decoupled() if optimizers.origin(recipe, exact).how == "composed":
            return Origin("composed", "w − Δ − ηλw", "the optimizer is composed")
        case Decoupled():
            return Origin("native", "weight_decay", "" if exact else "Keras rounds λ to float32")


def arguments(recipe: Recipe, exact: bool) -> dict[str, float]:
    """What the Keras optimizer takes to decay by itself."""
    if isinstance(recipe.decay, Decoupled) and origin(recipe, exact).how == "native":
        return {"weight_decay": recipe.decay.rate}
    return {}


def decayed(decay: Decay, parameters: tuple[str, ...]) -> tuple[str, ...]:
    """The parameters that decay."""
    return () if isinstance(decay, NoDecay) else touched(decay.on, parameters)


def apply(
    decay: Decay, weights: Mapping[str, keras.Variable], gradients: list[tf.Tensor], eta: tf.Tensor, lr: float
) -> list[tf.Tensor]:
    """The decay that the optimizer does not do, before its step, since Δ does not depend on w; gives g for it."""
    on = decayed(decay, tuple(weights))
    match decay:
        case Coupled(rate=rate):
            pairs = zip(weights.items(), gradients, strict=True)
            return [g + rate * w.value if name in on else g for (name, w), g in pairs]
        case Decoupled(rate=rate, scaled_by=scaled_by):
            amount = rate * (eta if scaled_by == "rate" else eta / lr)
            for name in on:
                weights[name].value.assign_sub(amount * weights[name].value)
    return gradients
