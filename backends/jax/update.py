"""From the gradient to the change of the weights: clip, decay, optimizer, rate, in the normative order."""

from typing import Any

import optax

from backends.jax import averaging, clips, decays, optimizers, schedules
from backends.jax.schedules import Scale
from harness.spec.cell import Cell
from harness.spec.optimizers import Adam, ScheduleFree
from harness.spec.recipe import Decoupled, Recipe


def transformation(
    cell: Cell, parameters: tuple[str, ...], steps: int, scale: Scale = 1.0
) -> optax.GradientTransformation:
    """∇(loss + penalty) → −Δ − ηλw, all from the old w, for ``optax.apply_updates``.

    η is ``scale`` times what the schedule gives. The state is of the same kind for every scale, which may therefore be
    an argument of compiled code.
    """
    recipe, exact = cell.recipe, cell.implementation == "exact"
    rate = schedules.rate(recipe.schedule, steps, recipe.optimizer.lr, exact, scale)
    inside = decays.inside(recipe, parameters, exact)
    match recipe.optimizer, recipe.decay:
        case optimizer, _ if exact:
            update = optimizers.exact(optimizer, rate, inside, steps)
        case Adam() as adam, Decoupled() as decay if optimizers.is_adamw(recipe):
            update = optimizers.adamw(adam, rate, decay.rate, decays.mask(decay, parameters))
        case optimizer, _:
            update = optimizers.shipped(optimizer, rate, inside)
    return optax.chain(
        clips.transformation(recipe.clip, exact),
        decays.coupled(recipe.decay, parameters),
        update,
        decays.decoupled(recipe, parameters, steps, exact, scale),
    )


def evaluated_at(recipe: Recipe, parameters: Any, state: Any) -> Any:
    """The parameters at which the network is evaluated, from those it is trained at and the transformation's state."""
    if not isinstance(recipe.optimizer, ScheduleFree):
        return parameters
    _, _, update, _ = state
    return averaging.evaluated_at(update, parameters)
