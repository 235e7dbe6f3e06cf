"""L-BFGS (Liu & Nocedal 1989) over all tensors in one vector, with the spec's first step and curvature condition."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.flatten_util import ravel_pytree

from harness.spec.optimizers import LBFGS

Tree = Any  # a dict of arrays, one for each parameter


class Pairs(NamedTuple):
    """State: the steps done, the last step and g, and ``memory`` pairs s, y, the newest last, zeros for those to come.

    ``then`` is the state of what makes the step.
    """

    done: Array
    step: Array
    g: Array
    s: Array
    y: Array
    then: Tree


def lbfgs(spec: LBFGS, then: optax.GradientTransformation) -> optax.GradientTransformation:
    """What ``then`` makes of Hg, which is the s of the next pair: H of the last pairs with sᵀy above the curvature.

    At first Hg is min(1, 1/‖g‖₁)g, or as the spec has it.
    """

    def init(w: Tree) -> Pairs:
        flat, _ = ravel_pytree(w)
        nothing = jnp.zeros((spec.memory, flat.size), flat.dtype)
        zero = jnp.zeros_like(flat)
        return Pairs(jnp.zeros((), jnp.int32), zero, zero, nothing, nothing, then.init(w))

    def update(g: Tree, state: Pairs, w: Tree) -> tuple[Tree, Pairs]:
        flat, unravel = ravel_pytree(g)
        s, y = state.step, flat - state.g
        kept = (state.done > 0) & (dot(s, y) > spec.curvature)
        ss, ys = (jnp.where(kept, jnp.vstack([old[1:], new]), old) for old, new in ((state.s, s), (state.y, y)))
        u = jnp.where(state.done > 0, two_loops(ss, ys, flat), first(spec, flat) * flat)
        step, after = then.update(unravel(u), state.then, w)
        return step, Pairs(state.done + 1, ravel_pytree(step)[0], flat, ss, ys, after)

    return optax.GradientTransformation(init, update)


def two_loops(s: Array, y: Array, g: Array) -> Array:
    """Hg, with H₀ = γI, γ = sᵀy/yᵀy of the newest pair, or 1 (Nocedal & Wright 2006, algorithm 7.4)."""
    products = jax.vmap(dot)(s, y)
    there = products > 0
    below = jnp.where(there, products, 1.0)

    def down(q: Array, pair: tuple[Array, ...]) -> tuple[Array, Array]:
        s, y, there, below = pair
        a = jnp.where(there, dot(s, q) / below, 0.0)
        return q - a * y, a

    def up(q: Array, pair: tuple[Array, ...]) -> tuple[Array, None]:
        s, y, there, below, a = pair
        return q + jnp.where(there, a - dot(y, q) / below, 0.0) * s, None

    q, steps = jax.lax.scan(down, g, (s, y, there, below), reverse=True)
    gamma = jnp.where(there[-1], products[-1] / jnp.where(there[-1], dot(y[-1], y[-1]), 1.0), 1.0)
    q, _ = jax.lax.scan(up, gamma * q, (s, y, there, below, steps))
    return q


def first(spec: LBFGS, g: Array) -> Array:
    """The scale of the first step: min(1, 1/‖g‖₁), min(1, 1/‖g‖₂) or 1."""
    match spec.first:
        case "l1":
            size = jnp.sum(jnp.abs(g))
        case "l2":
            size = jnp.sqrt(dot(g, g))
        case "plain":
            return jnp.ones(())
    return jnp.where(size > 1, 1 / size, 1.0)


def dot(left: Array, right: Array) -> Array:
    """leftᵀright, which a GPU may not compute in TF32."""
    return jnp.vdot(left, right, precision="highest")
