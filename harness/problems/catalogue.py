"""The named problems: the worked cases and the analytic functions."""

import functools

from harness.errors import unknown
from harness.spec.activations import Relu, Sigmoid
from harness.spec.base import key
from harness.spec.cell import Budget, Case
from harness.spec.initialisations import Scaled, SmallNormal
from harness.spec.layers import Dense, Flatten
from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError
from harness.spec.optimizers import SGD, Adam, Momentum
from harness.spec.problem import (
    Beale,
    DataSet,
    Network,
    NoisyQuadratic,
    Problem,
    Quadratic,
    RandomGradients,
    Rosenbrock,
)
from harness.spec.recipe import L2, GlobalNorm, Recipe

HE = Scaled(scheme="he", distribution="normal")

_CASES = (
    Case(
        "digits-64-64-64-10",
        "three layers on 1000 handwritten digits, the text's example of the chain rule",
        Network(
            DataSet("digits", training=1000), (Dense(64), Relu(), Dense(64), Relu(), Dense(10)), CrossEntropy(), HE
        ),
        Recipe(Adam(lr=0.001)),
        Budget(epochs=10),
        target=0.93,
    ),
    Case(
        "digits-64-10-l2",
        "handwritten digits; L2 on the hidden layer, clipped Adam. The text's softmax layer is taken as logits",
        Network(DataSet("digits"), (Dense(64), Relu(), Dense(10)), CrossEntropy()),
        Recipe(Adam(lr=0.01), clip=GlobalNorm(1.0), penalty=L2(0.01, on=("dense1.weight",))),
        Budget(epochs=10),
        target=0.94,
    ),
    Case(
        "cube-2x2x2",
        "all 256 binary 2×2×2 volumes → shares of ones and of adjacent pairs of ones (the text leaves the data open)",
        Network(
            DataSet("cube", scaling="none"),
            (Flatten(), Dense(64), Relu(), Dense(64), Relu(), Dense(2)),
            MeanSquaredError(),
        ),
        Recipe(Adam(lr=0.001)),
        Budget(epochs=20, batch=2),
        target=0.9,
    ),
    Case(
        "regression-10-32-2",
        "100 standard-normal inputs and targets, full batch: how fast each optimizer memorises noise",
        Network(
            DataSet("regression", scaling="none", validation=0.0, test=0.0),
            (Dense(32), Relu(), Dense(2)),
            MeanSquaredError(),
            HE,
        ),
        Recipe(Momentum(lr=0.01, momentum=0.9)),
        Budget(epochs=1000, batch="full"),
    ),
    Case(
        "sigmoid-binary",
        "breast cancer, two sigmoid layers, L2 as λ/(2m). What the text calls He is 0.01·N, and so it is here",
        Network(DataSet("breast_cancer"), (Dense(16), Sigmoid(), Dense(1)), BinaryCrossEntropy(), SmallNormal(0.01)),
        Recipe(SGD(lr=0.5), penalty=L2(0.1, scaling="per_sample")),
        Budget(epochs=1000, batch="full"),
        target=0.94,
    ),
    Case(
        "line-fit",
        "y = 2x + 1 with noise 0.05 through two linear layers of one unit. The text's mean error is squared here",
        Network(
            DataSet("line", scaling="none", validation=0.0, test=0.0),
            (Dense(1), Dense(1)),
            MeanSquaredError(),
        ),
        Recipe(SGD(lr=0.1)),
        Budget(epochs=100, batch=10),
        target=0.99,
    ),
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

CATALOGUE: dict[str, Case] = {case.name: case for case in _CASES}


def case(name: str) -> Case:
    """The catalogue's entry of that name."""
    if name not in CATALOGUE:
        raise unknown("problem", name, CATALOGUE)
    return CATALOGUE[name]


@functools.cache
def known_case(problem: Problem) -> Case | None:
    """The catalogue's case with this problem."""
    return next((case for case in CATALOGUE.values() if case.problem == problem), None)


def problem_name(problem: Problem) -> str:
    """The catalogue's name, else its kind and hash."""
    known = known_case(problem)
    return known.name if known is not None else f"{problem.spelling()} {key(problem)[:6]}"
