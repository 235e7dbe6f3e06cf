"""Analytic functions: parameters in, the mean value over the batch out."""

from collections.abc import Mapping

import jax.numpy as jnp
from jax import Array

from backends.jax.layers import Arrays
from harness.backend import Floats
from harness.spec.problem import Beale, Function, NoisyQuadratic, Quadratic, RandomGradients, Rosenbrock


def value(function: Function, parameters: Arrays, batch: Array, constants: Mapping[str, Floats]) -> Array:
    """f(parameters, in the task's order; batch), a scalar."""
    fixed = {name: jnp.asarray(values, float) for name, values in constants.items()}  # in the precision of the run
    match function:
        case Rosenbrock(a=a, b=b):
            x = parameters["x"]
            return jnp.square(a - x[0]) + b * jnp.square(x[1] - jnp.square(x[0]))
        case Beale():
            x = parameters["x"]
            powers = jnp.stack([x[1], x[1] ** 2, x[1] ** 3])
            return jnp.sum(jnp.square(jnp.array([1.5, 2.25, 2.625]) - x[0] * (1 - powers)))
        case Quadratic():
            x = parameters["x"]
            return 0.5 * jnp.vdot(x, jnp.matmul(fixed["matrix"], x, precision="highest"), precision="highest")
        case NoisyQuadratic():
            return 0.5 * jnp.mean(jnp.sum(fixed["curvatures"] * jnp.square(parameters["x"] - batch), axis=1))
        case RandomGradients():
            flat = jnp.concatenate([jnp.ravel(w) for w in parameters.values()])
            return jnp.mean(jnp.matmul(batch, flat, precision="highest"))
