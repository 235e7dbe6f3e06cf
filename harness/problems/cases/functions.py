"""Analytic functions, and shared sequences of random gradients."""

from harness.spec.cell import Budget, Case
from harness.spec.optimizers import SGD, Adam, Momentum
from harness.spec.problem import Beale, NoisyQuadratic, Quadratic, RandomGradients, Rosenbrock
from harness.spec.recipe import Recipe

CASES = (
    Case("rosenbrock", "a curved valley", Rosenbrock(), Recipe(Adam(lr=0.02)), Budget(steps=2000, batch="full"), 1e-3),
    Case(
        "beale",
        "flat valleys and steep corners",
        Beale(),
        Recipe(Adam(lr=0.02)),
        Budget(steps=2000, batch="full"),
        1e-3,
    ),
    Case(
        "quadratic-100",
        "an ill-conditioned bowl: condition number 100 in 10 dimensions",
        Quadratic(condition=100.0),
        Recipe(Momentum(lr=0.01)),
        Budget(steps=500, batch="full"),
        1e-6,
    ),
    Case(
        "noisy-quadratic",
        "gradient noise with the Hessian's covariance (Zhang et al. 2019)",
        NoisyQuadratic(),
        Recipe(SGD(lr=0.1)),
        Budget(epochs=20, batch=32),
    ),
    Case(
        "random-gradients",
        "one shared sequence of random gradients: update rules apart from everything else",
        RandomGradients(),
        Recipe(Adam(lr=0.01)),
        Budget(steps=20, batch=1),
    ),
    Case(
        "random-gradients-1e-4",
        "the same sequence, ten thousand times smaller: where ε stands begins to matter",
        RandomGradients(scale=1e-4),
        Recipe(Adam(lr=0.01)),
        Budget(steps=20, batch=1),
    ),
)
