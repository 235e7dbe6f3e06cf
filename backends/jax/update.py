"""From the gradient to the change of the weights: clip, decay, optimizer, rate, in the normative order."""

import optax

from backends.jax import clips, decays, optimizers, schedules
from harness.spec.cell import Cell
from harness.spec.optimizers import Adam
from harness.spec.recipe import Decoupled


def transformation(cell: Cell, parameters: tuple[str, ...], steps: int) -> optax.GradientTransformation:
    """∇(loss + penalty) → −Δ − ηλw, all from the old w, for ``optax.apply_updates``."""
    recipe, exact = cell.recipe, cell.implementation == "exact"
    rate = schedules.rate(recipe.schedule, steps, recipe.optimizer.lr, exact)
    match recipe.optimizer, recipe.decay:
        case optimizer, _ if exact:
            update = optimizers.exact(optimizer, rate)
        case Adam() as adam, Decoupled() as decay if optimizers.is_adamw(recipe):
            update = optimizers.adamw(adam, rate, decay.rate, decays.mask(decay, parameters))
        case optimizer, _:
            update = optimizers.shipped(optimizer, rate)
    return optax.chain(
        clips.transformation(recipe.clip),
        decays.coupled(recipe.decay, parameters),
        update,
        decays.decoupled(recipe, parameters, steps, exact),
    )
