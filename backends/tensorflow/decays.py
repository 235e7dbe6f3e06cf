"""Weight decay: Keras's ``weight_decay`` where it means the same, else composed around the update."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from backends.tensorflow import optimizers
from harness.backend import Origin
from harness.spec.optimizers import LAMB, Adafactor, decays_inside
from harness.spec.recipe import Coupled, Decay, Decoupled, NoDecay, Recipe, touched


def origin(recipe: Recipe, exact: bool) -> Origin:
    """Where the decay comes from."""
    optimizer = optimizers.origin(recipe, exact)
    match recipe.decay:
        case NoDecay():
            return Origin("native", "nothing")
        case Coupled():
            return Origin("composed", "g + λw", "Keras's weight_decay is decoupled")
        case Decoupled() if _is_inside(recipe, exact):
            return Origin("composed", "λw inside the optimizer's formula", "the optimizer is composed")
        case Decoupled(scaled_by="schedule"):
            return Origin("composed", "w − Δ − factor(t)λw", "Keras scales its weight_decay by the rate")
        case Decoupled() if optimizer.how == "composed":
            return Origin("composed", "w − Δ − ηλw", "the optimizer is composed")
        case Decoupled() if isinstance(recipe.optimizer, Adafactor | LAMB):
            early = "Keras decays before the step, whose Δ depends on w"
            return (
                Origin("composed", "w − Δ − ηλw", early)
                if exact
                else Origin("native", "weight_decay", f"{early}; Keras rounds λ to float32")
            )
        case Decoupled():
            return Origin("native", "weight_decay", "" if exact else "Keras rounds λ to float32")


def arguments(recipe: Recipe, exact: bool) -> dict[str, float]:
    """What the Keras optimizer takes to decay by itself."""
    if isinstance(recipe.decay, Decoupled) and origin(recipe, exact).how == "native":
        return {"weight_decay": recipe.decay.rate}
    return {}


def composed(recipe: Recipe, exact: bool, parameters: tuple[str, ...]) -> tuple[dict[str, float], dict[str, float]]:
    """The λ of a composed decoupled decay ηλw, of those that decay: inside the optimizer's formula, and outside it.

    With η = lr·factor(t): it is λ/lr where factor(t) alone scales the decay.
    """
    decay = recipe.decay
    if not isinstance(decay, Decoupled) or origin(recipe, exact).how == "native":
        return {}, {}
    rate = decay.rate if decay.scaled_by == "rate" else decay.rate / recipe.optimizer.lr
    rates = dict.fromkeys(decayed(decay, parameters), rate)
    return (rates, {}) if _is_inside(recipe, exact) else ({}, rates)


def decayed(decay: Decay, parameters: tuple[str, ...]) -> tuple[str, ...]:
    """The parameters that decay."""
    return () if isinstance(decay, NoDecay) else touched(decay.on, parameters)


def coupled(decay: Decay, weights: Mapping[str, keras.Variable], gradients: list[tf.Tensor]) -> list[tf.Tensor]:
    """g + λw for the parameters in the scope of a coupled decay."""
    if not isinstance(decay, Coupled):
        return gradients
    on = decayed(decay, tuple(weights))
    pairs = zip(weights.items(), gradients, strict=True)
    return [g + decay.rate * w.value if name in on else g for (name, w), g in pairs]


def _is_inside(recipe: Recipe, exact: bool) -> bool:
    """Whether the formula of a composed optimizer takes the decay itself."""
    return decays_inside(recipe.optimizer) and optimizers.origin(recipe, exact).how == "composed"
