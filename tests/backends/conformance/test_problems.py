"""Same maths: losses, metrics and gradients of every problem against the reference."""

import numpy as np
import pytest

from harness.problems.catalogue import CATALOGUE, case
from harness.spec.activations import Elu, LeakyRelu, Linear, Relu, Sigmoid, Tanh
from harness.spec.cell import Budget
from harness.spec.layers import Dense, Flatten
from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError
from harness.spec.optimizers import SGD
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import L1, L1L2, Recipe

HIDDEN = (LeakyRelu(0.1), Elu(1.3), Sigmoid(), Tanh(), Relu(), Linear())
NETWORKS = [
    *(Network(DataSet("wine"), (Dense(8, bias=False), phi, Dense(3)), CrossEntropy()) for phi in HIDDEN),
    Network(DataSet("iris"), (Tanh(), Dense(7), *HIDDEN, Dense(1), Elu(), Dense(3)), CrossEntropy()),
    Network(DataSet("breast_cancer"), (Dense(4), Elu(), Dense(1)), BinaryCrossEntropy()),
    Network(DataSet("cube", scaling="none"), (Flatten(), Dense(4), Tanh(), Dense(2)), MeanSquaredError()),
    Network(DataSet("cube", scaling="none"), (Relu(), Flatten(), Dense(2), Sigmoid()), MeanSquaredError()),
]
FUNCTIONS = [known.problem for known in CATALOGUE.values() if not isinstance(known.problem, Network)]
TOLERANCES = {"float64": 1e-12, "float32": 1e-5}


@pytest.mark.parametrize("problem", [*NETWORKS, *FUNCTIONS])
def test_gradients_and_evaluation(make, precisions, problem):
    """Of a batch of one, and of one at which a network is a matrix product."""
    recipe, budget = Recipe(SGD(), penalty=L1L2(0.01, 0.1)), Budget(steps=1, batch=1)
    theirs, _, _ = make(problem, recipe, budget, on="reference")
    for precision in precisions:
        tolerance = TOLERANCES[precision]
        mine, _, order = make(problem, recipe, budget, precision=precision)
        for row in (order[0], np.repeat(order[0], 5)):
            ours, exact = mine.gradients(row), theirs.gradients(row)
            assert list(ours) == list(exact)
            for name, gradient in exact.items():
                np.testing.assert_allclose(ours[name], gradient, rtol=0, atol=tolerance * np.abs(gradient).max())
        for value, expected in zip(mine.evaluate("training"), theirs.evaluate("training"), strict=True):
            assert value == (None if expected is None else pytest.approx(expected, rel=tolerance, abs=tolerance))


def test_a_hundred_steps_of_a_network(run, precisions):
    known, budget = case("digits-64-10-l2"), Budget(steps=100, batch=32)
    theirs = run(known.problem, known.recipe, budget, on="reference")
    for precision in precisions:
        tolerance = {"float64": 1e-12, "float32": 1e-4}[precision]
        mine = run(known.problem, known.recipe, budget, precision=precision)
        assert mine.distance(theirs) <= tolerance
        np.testing.assert_allclose(mine.steps.loss, theirs.steps.loss, rtol=tolerance)
        for part in ("training", "validation", "test"):
            np.testing.assert_allclose(mine.trainer.evaluate(part), theirs.trainer.evaluate(part), rtol=tolerance)


@pytest.mark.parametrize("phi", [LeakyRelu(0.1), Relu(), Elu(0.5)])
def test_kinks(make, phi):
    """At z = 0 and w = 0: φ'(0) is the spec's and the derivative of |w| is 0."""
    problem = Network(DataSet("wine"), (Dense(2), phi, Dense(3)), CrossEntropy())
    weights = {"dense1.weight": np.zeros((13, 2)), "dense1.bias": np.array([0.0, -0.0])}
    start = weights | {"dense2.weight": np.arange(6.0).reshape(2, 3), "dense2.bias": np.zeros(3)}
    found = []
    for words in ({}, {"on": "reference"}):
        trainer, _, order = make(problem, Recipe(SGD(0.1), penalty=L1(0.5)), Budget(steps=1, batch=4), **words)
        trainer.reset(start)
        found.append(trainer.gradients(order[0]))
    ours, exact = found
    assert ours == {name: pytest.approx(gradient, rel=1e-12, abs=1e-15) for name, gradient in exact.items()}


@pytest.mark.parametrize("data", ["iris", "breast_cancer"])
def test_losses_far_out(make, precisions, data):
    """Logits z of some thousands, whose exponentials overflow; float32 knows them to eps·|z| = 6e-8 × 1e4."""
    loss, units = (CrossEntropy(), 3) if data == "iris" else (BinaryCrossEntropy(), 1)
    problem, budget = Network(DataSet(data), (Dense(units),), loss), Budget(steps=1, batch=50)
    exact, start, order = make(problem, Recipe(SGD()), budget, on="reference")
    far = {name: 5000 * w for name, w in start.items()}
    exact.reset(far)
    for precision in precisions:
        mine, _, _ = make(problem, Recipe(SGD()), budget, precision=precision)
        mine.reset(far)
        tolerance = {"float64": 1e-12, "float32": 6e-4}[precision]
        assert mine.evaluate("training").loss == pytest.approx(exact.evaluate("training").loss, rel=tolerance)
        for name, g in exact.gradients(order[0]).items():
            np.testing.assert_allclose(mine.gradients(order[0])[name], g, rtol=0, atol=tolerance * np.abs(g).max())
