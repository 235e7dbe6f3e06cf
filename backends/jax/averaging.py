"""Schedule-free training (Defazio et al. 2024): the weights at which a network is evaluated are a mean."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from backends.jax.schedules import Rate
from harness.spec.optimizers import ScheduleFree

Tree = Any  # a dict of arrays, one for each parameter


class Mean(NamedTuple):
    """State: the steps done, Ση², z, the mean x of the zs, and what the base optimizer keeps."""

    done: Array
    squares: Array
    z: Tree
    x: Tree
    base: Any


def exact(spec: ScheduleFree, rate: Rate, base: optax.GradientTransformation) -> optax.GradientTransformation:
    """z ← z + what the base makes of g; x ← (1 − c)x + cz, c = η²/Ση²; the new w is (1 − β)z + βx."""

    def init(w: Tree) -> Mean:
        z, x = (jax.tree.map(jnp.array, w) for _ in range(2))
        dtype = jnp.result_type(*jax.tree.leaves(w))
        return Mean(jnp.zeros((), jnp.int32), jnp.zeros((), dtype), z, x, base.init(w))

    def update(g: Tree, state: Mean, w: Tree) -> tuple[Tree, Mean]:
        step, after = base.update(g, state.base, w)
        eta = jnp.asarray(rate(state.done) if callable(rate) else rate, state.squares.dtype)
        squares = state.squares + jnp.square(eta)
        c = jnp.where(squares > 0, jnp.square(eta) / jnp.where(squares > 0, squares, 1.0), 0.0)
        z = jax.tree.map(jnp.add, state.z, step)
        x = jax.tree.map(lambda x, z: (1 - c) * x + c * z, state.x, z)
        short = jax.tree.map(lambda z, x, w: (1 - spec.beta) * z + spec.beta * x - w, z, x, w)
        return short, Mean(state.done + 1, squares, z, x, after)

    return optax.GradientTransformation(init, update)


def native(spec: ScheduleFree, rate: Rate, base: optax.GradientTransformation) -> optax.GradientTransformation:
    """optax's, which weighs by the greatest rate so far to the power given."""
    return optax.contrib.schedule_free(base, rate, spec.beta, weight_lr_power=2.0 if spec.weights == "squares" else 0.0)


def evaluated_at(state: Any, w: Tree) -> Tree:
    """x of either."""
    return state.x if isinstance(state, Mean) else optax.contrib.schedule_free_eval_params(state, w)
