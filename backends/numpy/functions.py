"""Analytic functions bound to their variable: each call gives f(x) and writes ∇f(x)."""

from collections.abc import Callable
from typing import Any

import numpy as np

from backends.numpy.flat import Array, reader
from backends.numpy.tape import Pair
from harness.problems.task import Task
from harness.spec.problem import Beale, Function, NoisyQuadratic, Quadratic, RandomGradients, Rosenbrock


def bind(function: Function, task: Task, parameters: Pair, batch: Array) -> Callable[[], float]:
    """f of all parameters in one vector; ``batch`` is the buffer of the samples that it is the mean over."""
    x, dx = parameters
    read = reader(x)
    match function:
        case Rosenbrock(a=a, b=b):
            return lambda: read(_rosenbrock(a, b, x, dx))
        case Beale():
            return lambda: read(_beale(x, dx))
        case Quadratic():
            matrix = np.asarray(task.constants["matrix"].astype(x.dtype), like=x)
            return lambda: read(_quadratic(matrix, x, dx)) / 2
        case NoisyQuadratic():
            h = np.asarray(task.constants["curvatures"].astype(x.dtype), like=x)
            return lambda: read(_noisy_quadratic(h, batch, x, dx)) / (2 * len(batch))
        case RandomGradients():
            return lambda: read(_random_gradients(batch, x, dx))


def _rosenbrock(a: float, b: float, x: Array, dx: Array) -> Any:
    """(a − x₀)² + b(x₁ − x₀²)²."""
    x0, x1 = x
    outer, inner = a - x0, x1 - x0 * x0
    dx[1] = slope = 2 * b * inner
    dx[0] = -2 * (outer + slope * x0)
    return outer * outer + b * inner * inner


def _beale(x: Array, dx: Array) -> Any:
    """Σrᵢ², rᵢ = cᵢ − x₀(1 − x₁ⁱ)."""
    x0, x1 = x
    square, cube = x1 * x1, x1 * x1 * x1
    r1, r2, r3 = 1.5 - x0 * (1 - x1), 2.25 - x0 * (1 - square), 2.625 - x0 * (1 - cube)
    dx[0] = 2 * (r1 * (x1 - 1) + r2 * (square - 1) + r3 * (cube - 1))
    dx[1] = 2 * x0 * (r1 + 2 * r2 * x1 + 3 * r3 * square)
    return r1 * r1 + r2 * r2 + r3 * r3


def _quadratic(matrix: Array, x: Array, dx: Array) -> Any:
    """xᵀAx, twice the function."""
    np.dot(matrix, x, out=dx)
    return np.dot(x, dx)


def _noisy_quadratic(h: Array, batch: Array, x: Array, dx: Array) -> Any:
    """The sum of Σh(x − ξ)²; the function is half the mean."""
    difference = x - batch
    force = difference * h
    np.mean(force, axis=0, out=dx)
    return np.vdot(difference, force)


def _random_gradients(batch: Array, x: Array, dx: Array) -> Any:
    """mean of ξ·x."""
    np.mean(batch, axis=0, out=dx)
    return np.dot(x, dx)
