"""Weight decay, coupled and decoupled."""

import numpy as np

from harness.backend import Parameters
from harness.spec.optimizers import decays_inside
from harness.spec.recipe import Coupled, Decay, Decoupled, Recipe, touched


def coupled(spec: Decay, gradients: Parameters, parameters: Parameters) -> Parameters:
    """g + λw for the parameters in the scope of a coupled decay; the other gradients as they are."""
    if not isinstance(spec, Coupled):
        return gradients
    on = touched(spec.on, parameters)
    return {name: g + spec.rate * parameters[name] if name in on else g for name, g in gradients.items()}


def decoupled(recipe: Recipe, parameters: Parameters, factor: float) -> Parameters:
    """What a decoupled decay takes from each w: ηλw with η = lr·factor, or η = factor; 0 outside its scope.

    And 0 where the optimizer's formula takes λ itself.
    """
    spec, lr = recipe.decay, recipe.optimizer.lr
    if not isinstance(spec, Decoupled) or decays_inside(recipe.optimizer):
        return {name: np.zeros_like(w) for name, w in parameters.items()}
    on = touched(spec.on, parameters)
    eta = lr * factor if spec.scaled_by == "rate" else factor
    return {name: eta * spec.rate * w if name in on else np.zeros_like(w) for name, w in parameters.items()}


def inside(recipe: Recipe, parameters: Parameters) -> dict[str, float]:
    """λ of each tensor for the formulas that take it themselves and multiply it by η = lr·factor; 0 for the others.

    A decay that is scaled by the schedule alone is therefore λ/lr there.
    """
    spec = recipe.decay
    if not isinstance(spec, Decoupled) or not decays_inside(recipe.optimizer):
        return dict.fromkeys(parameters, 0.0)
    on = touched(spec.on, parameters)
    rate = spec.rate if spec.scaled_by == "rate" else spec.rate / recipe.optimizer.lr
    return {name: rate if name in on else 0.0 for name in parameters}
