"""From the gradient to the new weights: clip → coupled decay → Δ → w − Δ − decoupled decay, all from the old w."""

from collections.abc import Mapping

from backends.reference import clips, decays, optimizers
from backends.reference.optimizers import State
from harness.backend import Floats, Parameters
from harness.spec.recipe import Recipe

States = Mapping[str, State]


def update(
    recipe: Recipe, parameters: Parameters, gradients: Parameters, states: States, factor: float, t: int
) -> tuple[dict[str, Floats], States]:
    """The parameters and the optimizer's states after update t = 1, 2, …, at the rate η = lr·factor."""
    lr = recipe.optimizer.lr
    g = decays.coupled(recipe.decay, clips.clip(recipe.clip, gradients), parameters)
    decay = decays.decoupled(recipe.decay, parameters, lr, factor)
    weights, after = {}, {}
    for name, w in parameters.items():
        delta, after[name] = optimizers.delta(recipe.optimizer, g[name], states[name], lr * factor, t)
        weights[name] = w - delta - decay[name]
    return weights, after
