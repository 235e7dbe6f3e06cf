"""Analytic functions f(x) and ∇f(x), x all the parameters in one vector; ``batch`` holds the draws ξ of a mean."""

import numpy as np

from harness.backend import Floats, Parameters
from harness.problems.task import Task
from harness.spec.problem import Beale, Function, NoisyQuadratic, Quadratic, RandomGradients, Rosenbrock

C = np.array([1.5, 2.25, 2.625])  # Beale's constants cᵢ
POWERS = np.array([1, 2, 3])  # and i


def value(function: Function, task: Task, x: Floats, batch: Floats) -> float:
    """f(x)."""
    match function:
        case Rosenbrock(a=a, b=b):
            return float((a - x[0]) ** 2 + b * (x[1] - x[0] ** 2) ** 2)
        case Beale():
            return float(np.sum((C - x[0] * (1 - x[1] ** POWERS)) ** 2))
        case Quadratic():
            return float(x @ task.constants["matrix"] @ x / 2)
        case NoisyQuadratic():
            return float(np.mean(np.sum(task.constants["curvatures"] * (x - batch) ** 2, axis=1)) / 2)
        case RandomGradients():
            return float(np.mean(batch @ x))


def gradient(function: Function, task: Task, x: Floats, batch: Floats) -> Floats:
    """∇f(x).

    Rosenbrock: ∂₀ = −2(a − x₀) − 4bx₀(x₁ − x₀²), ∂₁ = 2b(x₁ − x₀²).
    Beale, with rᵢ = cᵢ − x₀(1 − x₁ⁱ): ∂₀ = −2Σrᵢ(1 − x₁ⁱ), ∂₁ = 2Σrᵢx₀ix₁ⁱ⁻¹.
    Quadratic: Ax, A being symmetric. Noisy quadratic: the mean of h(x − ξ). Random gradients: the mean of ξ.
    """
    match function:
        case Rosenbrock(a=a, b=b):
            inner = x[1] - x[0] ** 2
            return np.stack([-2 * (a - x[0]) - 4 * b * x[0] * inner, 2 * b * inner])
        case Beale():
            i = POWERS
            r = C - x[0] * (1 - x[1] ** i)
            return np.stack([-2 * np.sum(r * (1 - x[1] ** i)), 2 * np.sum(r * x[0] * i * x[1] ** (i - 1))])
        case Quadratic():
            return task.constants["matrix"] @ x
        case NoisyQuadratic():
            return np.asanyarray(np.mean(task.constants["curvatures"] * (x - batch), axis=0))
        case RandomGradients():
            return np.asanyarray(np.mean(batch, axis=0))


def joined(parameters: Parameters) -> Floats:
    """All parameters in one vector."""
    return np.concatenate([w.ravel() for w in parameters.values()])


def split(x: Floats, like: Parameters) -> dict[str, Floats]:
    """A vector cut into tensors of the shapes of ``like``."""
    ends = np.cumsum([w.size for w in like.values()])
    pieces = np.split(x, ends[:-1])
    return {name: piece.reshape(w.shape) for piece, (name, w) in zip(pieces, like.items(), strict=True)}
