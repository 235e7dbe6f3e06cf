"""Weight decay: ``optax.add_decayed_weights``, before the optimizer or after it, or within its formula."""

from collections.abc import Iterable

import optax

from backends.jax import optimizers, schedules
from backends.jax.optimizers import Inside
from backends.jax.schedules import Scale
from harness.backend import Origin
from harness.spec.recipe import Coupled, Decay, Decoupled, NoDecay, Recipe, touched


def origin(recipe: Recipe, exact: bool) -> Origin:
    """Where the decay comes from."""
    if isinstance(recipe.decay, NoDecay):
        return Origin("native", "nothing")
    if optimizers.decays_within(recipe, exact):
        return optimizers.origin(recipe, exact)
    by = "optax.adamw" if not exact and optimizers.is_adamw(recipe) else "optax.add_decayed_weights"
    return Origin("native", by)


def coupled(decay: Decay, parameters: Iterable[str]) -> optax.GradientTransformation:
    """g + λw, to stand before the optimizer."""
    if not isinstance(decay, Coupled):
        return optax.identity()
    return optax.add_decayed_weights(decay.rate, mask(decay, parameters))


def inside(recipe: Recipe, parameters: Iterable[str], exact: bool) -> Inside:
    """λ of the formulas that take it themselves and multiply it by η = lr·factor: λ/lr where factor alone is meant."""
    decay = recipe.decay
    if not isinstance(decay, Decoupled) or not optimizers.decays_within(recipe, exact):
        return Inside(0.0, dict.fromkeys(parameters, False))
    rate = decay.rate if decay.scaled_by == "rate" else decay.rate / recipe.optimizer.lr
    return Inside(rate, mask(decay, parameters))


def decoupled(
    recipe: Recipe, parameters: Iterable[str], steps: int, exact: bool, scale: Scale
) -> optax.GradientTransformation:
    """−Δ − ηλw, to stand after the optimizer: so it does not depend on where the rate enters a buffer."""
    decay = recipe.decay
    if not isinstance(decay, Decoupled) or optimizers.decays_within(recipe, exact):
        return optax.identity()
    if not exact and optimizers.is_adamw(recipe):
        return optax.identity()
    lr = recipe.optimizer.lr if decay.scaled_by == "rate" else 1.0
    rate = schedules.rate(recipe.schedule, steps, lr, exact, scale)
    return optax.add_decayed_weights(schedules.times(-decay.rate, rate), mask(decay, parameters))


def mask(decay: Coupled | Decoupled, parameters: Iterable[str]) -> dict[str, bool]:
    """Which parameters decay."""
    parameters = tuple(parameters)
    on = touched(decay.on, parameters)
    return {name: name in on for name in parameters}
