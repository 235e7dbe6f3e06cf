"""What is particular to the contender's loop: silent, and float32 throughout."""

import numpy as np
import pytest

from backends.numpy import BACKEND
from harness.problems import task
from harness.problems.catalogue import CATALOGUE
from harness.spec.cell import Budget, Cell
from harness.spec.layers import Dense, Elu, LeakyRelu, Relu, Sigmoid, Tanh
from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError
from harness.spec.optimizers import SGD, Adam, Momentum
from harness.spec.problem import DataSet, Network, RandomGradients
from harness.spec.recipe import L1L2, GlobalNorm, Recipe

PRECISIONS = ("float32", "float64")
IRIS = Network(DataSet("iris"), (Dense(5), Relu(), Dense(3)), CrossEntropy())


def trainer(problem, recipe, precision="float32", steps=20):
    made = task.make(problem)
    start = task.initial(made, 0)
    cell = Cell(problem, recipe, Budget(steps=steps), "numpy", precision=precision)
    return BACKEND.open(1).trainer(cell, made, start, steps, True), made


@pytest.mark.parametrize(
    "problem",
    [
        IRIS,
        Network(DataSet("breast_cancer"), (Dense(4), Sigmoid(), Dense(1)), BinaryCrossEntropy()),
        Network(
            DataSet("diabetes"),
            (Dense(4), Tanh(), Dense(3), Elu(), Dense(2), LeakyRelu(), Dense(1)),
            MeanSquaredError(),
        ),
        CATALOGUE["rosenbrock"].problem,
        CATALOGUE["beale"].problem,
        CATALOGUE["quadratic-100"].problem,
        CATALOGUE["noisy-quadratic"].problem,
    ],
    ids=str,
)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_overflow_flows_silently(problem, precision):
    run, made = trainer(problem, Recipe(Momentum(lr=1e30), penalty=L1L2()), precision, 60)
    steps = run.train(task.order(made.samples, Budget(steps=60, batch=min(4, made.samples)), 0))
    assert not np.isfinite(steps.loss + steps.penalty).all()
    run.evaluate("training")
    run.gradients(np.zeros(4, dtype=np.int32))


def test_small_gradients_have_a_norm_in_float32():
    """The square of 1e-30 is 0 in float32; its norm is not."""
    run, made = trainer(RandomGradients(scale=1e-30), Recipe(SGD()))
    order = task.order(made.samples, Budget(steps=20, batch=1), 0)
    xi = made.parts["training"].x[order[:, 0]]
    np.testing.assert_allclose(run.train(order).norms[:, 1], np.linalg.norm(xi[:, 24:], axis=1), rtol=1e-6)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_float32_is_float32_throughout(precision):
    run, made = trainer(CATALOGUE["digits-64-10-l2"].problem, Recipe(Adam(), penalty=L1L2()), precision)
    run.train(task.order(made.samples, Budget(steps=2, batch=4), 0))
    for w in run.parameters().values():
        assert np.array_equal(w, w.astype(precision))
    buffers = [run.w.vector, run.g.vector, run.parts["test"].x, *vars(run.update.optimizer).values()]
    assert {b.dtype for b in buffers if isinstance(b, np.ndarray)} == {np.dtype(precision)}


def test_declaration_and_plan():
    backend = BACKEND.open(1)
    assert backend.versions() == {"numpy": np.__version__}
    assert backend.facts()["threads"] == "1"
    assert BACKEND.precisions == PRECISIONS
    cell = Cell(IRIS, Recipe(SGD(lr=0.1), GlobalNorm(0.5)), Budget(steps=1), "numpy", implementation="shipped")
    plan = backend.plan(cell, ("dense1.weight",))
    assert set(plan) == {"model", "loss", "optimizer", "clip", "penalty", "decay", "schedule"}
    assert all((origin.how, origin.by) == ("native", "NumPy") for origin in plan.values())
