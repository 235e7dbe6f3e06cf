"""From the gradient to the new weights: clip → coupled decay → Δ → w − Δ − decoupled decay, all from the old w."""

from collections.abc import Mapping

import numpy as np

from backends.reference import clips, decays, optimizers
from backends.reference.functions import joined, split
from backends.reference.optimizers.step import At, State
from harness.backend import Floats, Parameters
from harness.spec.recipe import Recipe

States = Mapping[str, State]
ALL = "all tensors in one vector"


def initial(recipe: Recipe, parameters: Parameters) -> States:
    """The optimizer's states before the first update."""
    if optimizers.is_joint(recipe.optimizer):
        parameters = {ALL: joined(parameters)}
    return {name: optimizers.initial(recipe.optimizer, w) for name, w in parameters.items()}


def update(
    recipe: Recipe, parameters: Parameters, gradients: Parameters, states: States, factor: float, t: int
) -> tuple[dict[str, Floats], States]:
    """The parameters and the optimizer's states after update t = 1, 2, …, at the rate η = lr·factor."""
    eta = recipe.optimizer.lr * factor
    g = decays.coupled(recipe.decay, clips.clip(recipe.clip, gradients, parameters), parameters)
    inside = decays.inside(recipe, parameters)
    outside = decays.decoupled(recipe, parameters, factor)
    deltas, after = {}, {}
    if optimizers.is_joint(recipe.optimizer):
        each = joined({name: np.full_like(w, inside[name]) for name, w in parameters.items()})
        at = At(joined(g), joined(parameters), eta, t, each)
        delta, after[ALL] = optimizers.delta(recipe.optimizer, at, states[ALL])
        deltas = split(delta, parameters)
    else:
        for name, w in parameters.items():
            at = At(g[name], w, eta, t, inside[name])
            deltas[name], after[name] = optimizers.delta(recipe.optimizer, at, states[name])
    return {name: w - deltas[name] - outside[name] for name, w in parameters.items()}, after


def evaluated_at(recipe: Recipe, parameters: Parameters, states: States) -> Parameters:
    """The parameters at which the network is evaluated."""
    if optimizers.is_joint(recipe.optimizer):
        return parameters
    return {name: optimizers.evaluated_at(recipe.optimizer, w, states[name]) for name, w in parameters.items()}
