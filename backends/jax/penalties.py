"""λ₁Σ|w| + λ₂Σw², added to the loss and differentiated by JAX."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from backends.jax.layers import Arrays
from harness.backend import Origin
from harness.spec.recipe import NoPenalty, Penalty, coefficients, touched


def origin(spec: Penalty) -> Origin:
    """Where the penalty comes from."""
    if isinstance(spec, NoPenalty):
        return Origin("native", "nothing")
    return Origin(
        "composed", "jax.grad of Σ w·sign w, Σw²", "optax has no penalty; the derivative of jnp.abs at 0 is 1"
    )


def penalty(spec: Penalty, samples: int) -> Callable[[Arrays], Array] | None:
    """A function that gives the penalty of some parameters, or None where there is none."""
    if isinstance(spec, NoPenalty):
        return None
    l1, l2 = coefficients(spec, samples)

    def value(parameters: Arrays) -> Array:
        total = jnp.zeros(())
        for w in (parameters[name] for name in touched(spec.on, parameters)):
            if l1:
                total = total + l1 * jnp.sum(w * jnp.sign(w))  # |w|; as jnp.sign is flat, its derivative at 0 is 0
            if l2:
                total = total + l2 * jnp.sum(jnp.square(w))
        return total

    return value
