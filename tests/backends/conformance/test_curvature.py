"""The Hessian times a vector: closed forms, central differences of smooth gradients, the reference."""

import numpy as np
import pytest

from harness.measure import lanczos
from harness.measure.curvature import Curvature, joined
from harness.measure.curvature import apart as cut
from harness.measure.run import Run
from harness.problems import task as tasks
from harness.problems.catalogue import CATALOGUE
from harness.spec.activations import Relu, Sigmoid, Tanh
from harness.spec.cell import Budget, Cell
from harness.spec.layers import (
    GRU,
    LSTM,
    Attention,
    AveragePool,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool,
    LayerNorm,
    MaxPool,
    Position,
    Reshape,
    Residual,
    SimpleRNN,
)
from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError
from harness.spec.optimizers import SGD, Adam, ScheduleFree
from harness.spec.problem import DataSet, Network, NoisyQuadratic, Quadratic, RandomGradients
from harness.spec.recipe import L1L2, L2, Recipe

DIGITS = DataSet("digits", scaling="min_max", training=60)
TOKENS = DataSet("digits", scaling="none", training=60)
IMAGE, ROWS = Reshape((8, 8, 1)), Reshape((8, 8))
BUDGET = Budget(steps=2, batch=6)
WHOLE = Budget(steps=2, batch="full")
PLAIN = Recipe(SGD(0.1), penalty=L2(0.01))


def digits(*model, data=DIGITS, loss=None):
    return Network(data, model, loss or CrossEntropy())


SMOOTH = {
    "perceptron": digits(Dense(5), Tanh(), Dense(4), Sigmoid(), Dense(10)),
    "convolution": digits(
        *(IMAGE, Conv2D(2, padding="same"), Tanh(), AveragePool(), BatchNorm(), Conv2D(2), Tanh(), Flatten()), Dense(10)
    ),
    "recurrent": digits(
        *(ROWS, SimpleRNN(3, sequences=True), LSTM(3, sequences=True), GRU(3, sequences=True)),
        *(GRU(2, reset="before"), Dense(10)),
    ),
    "transformer": digits(
        *(Embedding(17, 4), Position(), Residual((LayerNorm(), Attention(2, causal=True))), GlobalAveragePool()),
        *(Dropout(0.2), Dense(10)),
        data=TOKENS,
    ),
    "regression": Network(DataSet("diabetes"), (Dense(4), Tanh(), Dense(1)), MeanSquaredError()),
    "two classes": Network(DataSet("breast_cancer"), (Dense(4), Tanh(), Dense(1)), BinaryCrossEntropy()),
}
KINKS = digits(IMAGE, Conv2D(3), Relu(), MaxPool(), Residual((Conv2D(3, padding="same"), Relu())), Flatten(), Dense(10))


def direction(start, seed=0):
    """A vector of numbers about 1."""
    random = np.random.default_rng(seed)
    return {name: random.standard_normal(w.shape) for name, w in start.items()}


def inner(u, v):
    return sum(float(np.sum(u[name] * v[name])) for name in u)


def apart(mine, theirs):
    """The largest distance, over the largest number."""
    assert list(mine) == list(theirs)
    assert all(mine[name].shape == w.shape for name, w in theirs.items())
    largest = max(np.abs(w).max() for w in theirs.values())
    return max(np.abs(mine[name] - w).max() for name, w in theirs.items()) / (largest or 1.0)


@pytest.mark.parametrize("network", SMOOTH)
def test_it_is_the_slope_of_the_gradient_along_the_vector(make, network):
    """(∇(w + hv) − ∇(w − hv))/2h, whose error is of h², beside which the gradients are rounded; and symmetric."""
    trainer, start, order = make(SMOOTH[network], PLAIN, BUDGET)
    v, h = direction(start), 1e-5
    sides = []
    for sign in (1, -1):
        trainer.place({name: w + sign * h * v[name] for name, w in start.items()})
        sides.append(trainer.gradients(order[0]))
    trainer.place(start)
    expected = {name: (sides[0][name] - sides[1][name]) / (2 * h) for name in start}
    assert apart(trainer.curvature(order[0], v), expected) < 1e-7
    symmetric(trainer, start, order)


def symmetric(trainer, start, order):
    u, v = direction(start, 1), direction(start, 2)
    of_u, of_v = trainer.curvature(order[0], u), trainer.curvature(order[0], v)
    assert inner(u, of_v) == pytest.approx(inner(v, of_u), rel=1e-9, abs=1e-9 * np.sqrt(inner(of_u, of_u)))


def test_beside_kinks_it_is_linear_and_symmetric_and_the_references(make):
    (mine, start, order), (theirs, _, _) = make(KINKS, PLAIN, BUDGET), make(KINKS, PLAIN, BUDGET, on="reference")
    symmetric(mine, start, order)
    u, v = direction(start, 1), direction(start, 2)
    of_u, of_v = mine.curvature(order[0], u), mine.curvature(order[0], v)
    both = mine.curvature(order[0], {name: 2 * u[name] - v[name] for name in u})
    assert apart(both, {name: 2 * of_u[name] - of_v[name] for name in u}) < 1e-11
    assert apart(of_u, theirs.curvature(order[0], u)) < 1e-9


@pytest.mark.parametrize("network", ["convolution", "recurrent", "transformer"])
def test_in_float32_it_is_near(make, precisions, network):
    """Other kernels may compute there, of which not all can be differentiated twice."""
    if "float32" not in precisions:
        pytest.skip("has no float32")
    cell = (SMOOTH[network], PLAIN, BUDGET)
    (mine, start, order), (theirs, _, _) = make(*cell, precision="float32"), make(*cell, on="reference")
    v = direction(start)
    assert apart(mine.curvature(order[0], v), theirs.curvature(order[0], v)) < 1e-4


def test_of_a_quadratic_it_is_the_matrix(make):
    bowl = Quadratic(dimension=5)
    trainer, start, order = make(bowl, Recipe(SGD(0.1), penalty=L1L2(0.1, 0.3, on="all")), WHOLE)
    v = direction(start)
    expected = (tasks.make(bowl).constants["matrix"] + 0.6 * np.eye(5)) @ v["x"]
    assert trainer.curvature(order[0], v)["x"] == pytest.approx(expected, rel=1e-12)


def test_of_noise_it_is_the_curvatures_and_of_random_gradients_nothing(make):
    noisy = NoisyQuadratic(dimension=7)
    trainer, start, order = make(noisy, Recipe(SGD(0.1)), BUDGET)
    v = direction(start)
    expected = tasks.make(noisy).constants["curvatures"] * v["x"]
    assert trainer.curvature(order[0], v)["x"] == pytest.approx(expected, rel=1e-12)
    trainer, start, order = make(RandomGradients(samples=8), Recipe(SGD(0.1)), BUDGET)
    assert not any(hv.any() for hv in trainer.curvature(order[0], direction(start)).values())


def test_of_linear_regression_it_is_the_second_moment(make):
    """Of mean (xW + b − y)² over n samples and k outputs: 2X̃ᵀX̃/nk for each output, X̃ with a column of ones."""
    line = Network(DataSet("diabetes"), (Dense(1),), MeanSquaredError())
    trainer, start, order = make(line, Recipe(SGD(0.1)), BUDGET)
    v, x = direction(start), tasks.make(line).parts["training"].x[order[0]]
    ones = np.hstack([x, np.ones((len(x), 1))])
    expected = 2 * ones.T @ ones @ np.vstack([v["dense1.weight"], v["dense1.bias"]]) / len(x)
    found = trainer.curvature(order[0], v)
    assert np.vstack([found["dense1.weight"], found["dense1.bias"]]) == pytest.approx(expected, rel=1e-11)


# One of each architecture and function.
STANDING = (
    *("digits-64-10-l2", "digits-cnn", "digits-resnet", "digits-rows-lstm", "digits-rows-gru", "digits-transformer"),
    *("copy", "rnn-long", "deep-sigmoid-batch-norm", "rosenbrock", "quadratic-100", "noisy-quadratic"),
)


@pytest.mark.parametrize("known", CATALOGUE)
def test_it_is_the_references_on_all_problems(request, make, known):
    if known not in STANDING and not request.config.getoption("--whole"):
        pytest.skip("with --whole")
    case = CATALOGUE[known]
    cell = (case.problem, case.recipe, Budget(steps=1, batch=min(3, tasks.make(case.problem).samples)))
    (mine, start, order), (theirs, _, _) = make(*cell), make(*cell, on="reference")
    v = direction(start)
    assert apart(mine.curvature(order[0], v), theirs.curvature(order[0], v)) < 1e-9
    tops = [
        lanczos.largest(lambda u, on=on: joined(on.curvature(order[0], cut(u, start))), joined(v), 0.02, 12)
        for on in (mine, theirs)
    ]
    assert tops[0].value == pytest.approx(tops[1].value, rel=1e-6, abs=0)


@pytest.mark.parametrize("implementation", ["exact", "shipped"])
def test_a_step_that_is_seen_in_full_is_the_step(make, name, implementation):
    """To rounding in JAX and TensorFlow, which fuse what follows on each other where nobody looks between."""
    problem = digits(Dense(6), BatchNorm(), Relu(), Dropout(0.3), Dense(10))
    cell = (problem, Recipe(ScheduleFree()), Budget(steps=4, batch=7))
    (plain, start, order), (seen, _, _) = (make(*cell, implementation=implementation) for _ in range(2))
    steps = plain.train(order)
    run = Run(Cell(*cell, name), tasks.make(problem), start, order, lambda observe, steps: seen)
    found = Curvature(run, seen)
    losses = [found.around(t, row, 1.0).loss[0] for t, row in enumerate(order)]
    near = name in ("jax", "tensorflow")
    assert losses == (pytest.approx(steps.loss, rel=1e-9) if near else steps.loss.tolist())
    for at, w in plain.parameters().items():
        if at != "dense1.bias":  # before a batch norm
            np.testing.assert_allclose(seen.parameters()[at], w, rtol=0, atol=1e-9 * np.abs(w).max() if near else 0)


def test_it_changes_nothing(make):
    """Neither the optimizer's state, nor running moments, nor what dropout draws next."""
    problem = digits(Dense(6), BatchNorm(), Tanh(), Dropout(0.3), Dense(10))
    for implementation in ("exact", "shipped"):
        ends = []
        for looked in (False, True):
            trainer, start, order = make(problem, Recipe(Adam(0.01)), BUDGET, implementation=implementation)
            trainer.train(order[:1])
            if looked:
                first = trainer.curvature(order[0], direction(start))
                assert apart(first, trainer.curvature(order[0], direction(start))) == 0
            trainer.train(order[1:])
            ends.append((trainer.parameters(), trainer.evaluate("training")))
        assert all(np.array_equal(ends[0][0][name], ends[1][0][name]) for name in start)
        assert ends[0][1] == ends[1][1]
