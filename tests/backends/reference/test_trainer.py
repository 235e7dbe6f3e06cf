"""The loop: what a run returns, in which order, and what leaves it unchanged."""

import math

import numpy as np
import pytest

from backends.reference import BACKEND, layers, losses
from harness.errors import Unsupported
from harness.problems import task
from harness.problems.catalogue import CATALOGUE
from harness.spec.activations import Relu
from harness.spec.cell import Budget, Cell
from harness.spec.initialisations import Zeros
from harness.spec.layers import Dense
from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError
from harness.spec.optimizers import SGD, Momentum
from harness.spec.problem import DataSet, Network, NoisyQuadratic, RandomGradients
from harness.spec.recipe import L2, ByValue, Coupled, GlobalNorm, Recipe
from harness.spec.schedules import Step


def trainer(problem, recipe, steps=20, observe=True):
    made = task.make(problem)
    start = task.initial(made, 0)
    cell = Cell(problem, recipe, Budget(steps=steps), "reference", precision="float64")
    return BACKEND.open(1).trainer(cell, made, start, steps, observe), made, start


def order_of(made, steps, batch=4):
    return task.order(made.samples, Budget(steps=steps, batch=batch), 0)


IRIS = Network(DataSet("iris"), (Dense(5), Relu(), Dense(3)), CrossEntropy())


def test_norms_are_those_before_the_clip_and_the_decay():
    recipe = Recipe(SGD(lr=0.5), clip=GlobalNorm(1e-3), decay=Coupled(10.0))
    run, made, _ = trainer(RandomGradients(scale=7.0), recipe)
    order = order_of(made, 20, batch=1)
    norms = run.train(order).norms
    xi = made.parts["training"].x[order[:, 0]]
    expected = np.stack([np.linalg.norm(xi[:, :24], axis=1), np.linalg.norm(xi[:, 24:], axis=1)], axis=1)
    np.testing.assert_allclose(norms, expected, rtol=1e-14)


def test_the_penalty_is_beside_the_loss_and_inside_the_gradient():
    rate = 0.3
    plain, made, start = trainer(IRIS, Recipe(SGD()))
    penalised, _, _ = trainer(IRIS, Recipe(SGD(), penalty=L2(rate)))
    order = order_of(made, 1)
    a, b = plain.train(order), penalised.train(order)
    assert a.loss == b.loss
    assert a.penalty == 0
    weights = {name: w for name, w in start.items() if name.endswith("weight")}
    assert b.penalty == pytest.approx(rate * sum(np.sum(w**2) for w in weights.values()), rel=1e-14)
    for i, name in enumerate(start):
        plain.reset(start)
        g = plain.gradients(order[0])[name] + (2 * rate * start[name] if name in weights else 0)
        assert b.norms[0, i] == pytest.approx(np.linalg.norm(g), rel=1e-13)


def test_the_penalty_is_clipped_with_the_gradient_and_the_decay_is_not():
    """From w, one step: by value clips ξ + 2λw to ±0.1; the decay adds λ'w after that."""
    recipe = Recipe(SGD(lr=1.0), clip=ByValue(-0.1, 0.1), penalty=L2(100.0, on="all"), decay=Coupled(0.5, on="all"))
    run, made, start = trainer(RandomGradients(), recipe)
    order = order_of(made, 1, batch=1)
    g = made.parts["training"].x[order[0, 0]]
    run.train(order)
    for name, xi in (("weight", g[:24].reshape(6, 4)), ("bias", g[24:])):
        w = start[name]
        expected = w - np.clip(xi + 200 * w, -0.1, 0.1) - 0.5 * w
        np.testing.assert_allclose(run.parameters()[name], expected, rtol=1e-14, atol=1e-15)


def test_the_schedule_starts_at_t_0():
    run, made, start = trainer(RandomGradients(), Recipe(SGD(lr=1.0), schedule=Step(every=2, rate=0.1)), steps=4)
    order = order_of(made, 4, batch=1)
    run.train(order[:3])
    run.train(order[3:])
    xi = made.parts["training"].x[order[:, 0]]
    moved = xi[0] + xi[1] + 0.1 * xi[2] + 0.1 * xi[3]
    np.testing.assert_allclose(start["bias"] - run.parameters()["bias"], moved[24:], rtol=1e-13)


@pytest.mark.parametrize(("data", "classes"), [("iris", 3), ("digits", 10)])
def test_zero_outputs_give_ln_c(data, classes):
    """All logits 0: cross-entropy ln C, and the output bias has gradient 1/C − the share of the class."""
    run, made, _ = trainer(Network(DataSet(data), (Dense(classes),), CrossEntropy(), Zeros()), Recipe(SGD()))
    assert run.evaluate("training").loss == pytest.approx(math.log(classes), rel=1e-14)
    labels = made.parts["training"].y
    shares = np.bincount(labels, minlength=classes) / len(labels)
    gradient = run.gradients(np.arange(len(labels), dtype=np.int32))["dense1.bias"]
    np.testing.assert_allclose(gradient, 1 / classes - shares, rtol=1e-10, atol=1e-15)
    assert abs(gradient.sum()) < 1e-15


def test_zero_logit_gives_ln_2():
    run, _, _ = trainer(Network(DataSet("breast_cancer"), (Dense(1),), BinaryCrossEntropy(), Zeros()), Recipe(SGD()))
    assert run.evaluate("validation").loss == pytest.approx(math.log(2), rel=1e-14)


def test_predicting_the_mean_has_r2_zero_and_the_variance_as_loss():
    problem = Network(DataSet("diabetes", scaling="none"), (Dense(1),), MeanSquaredError(), Zeros())
    run, made, start = trainer(problem, Recipe(SGD()))
    y = made.parts["training"].y
    run.reset({**start, "dense1.bias": y.mean(axis=0)})
    loss, r2 = run.evaluate("training")
    assert loss == pytest.approx(y.var(), rel=1e-13)
    assert r2 == pytest.approx(0.0, abs=1e-13)


@pytest.mark.parametrize("name", ["digits-64-64-64-10", "cube-2x2x2", "sigmoid-binary", "noisy-quadratic", "beale"])
def test_loss_is_that_before_the_update(name):
    case = CATALOGUE[name]
    run, made, start = trainer(case.problem, case.recipe)
    order = order_of(made, 3, batch=min(8, made.samples))
    steps = run.train(order)
    x, y = made.parts["training"].x[order[0]], made.parts["training"].y[order[0]]
    if isinstance(case.problem, Network):
        outputs, _ = layers.propagate(case.problem.model, start, x, layers.Pass())
        assert steps.loss[0] == losses.value(case.problem.loss, outputs, y)
    run.reset(start)
    for i in range(3):
        alone = run.train(order[i : i + 1])
        assert (alone.loss[0], alone.norms[0].tolist()) == (steps.loss[i], steps.norms[i].tolist())


def test_reset_repeats_to_the_bit_and_looking_changes_nothing():
    recipe = Recipe(Momentum(lr=0.1), penalty=L2(0.01))
    run, made, start = trainer(IRIS, recipe)
    order = order_of(made, 20)
    first, end = run.train(order), run.parameters()
    run.reset(start)
    assert all((run.parameters()[name] == start[name]).all() for name in start)
    again = []
    for row in order:
        run.gradients(row[:2])
        run.evaluate("test")
        run.parameters()["dense1.weight"][:] = 0
        again.append(run.train(row[None]).loss[0])
    assert again == first.loss.tolist()
    assert all((run.parameters()[name] == end[name]).all() for name in end)
    assert all((start[name] == task.initial(made, 0)[name]).all() for name in start)


def test_overflow_flows_silently():
    run, made, _ = trainer(IRIS, Recipe(SGD(lr=1e200)))
    steps = run.train(order_of(made, 20))
    assert not np.isfinite(steps.loss[-1])
    assert not np.isfinite(run.evaluate("training").loss)
    assert not np.isfinite(run.gradients(np.arange(4, dtype=np.int32))["dense1.weight"]).all()


def test_norms_only_when_observed():
    run, made, _ = trainer(NoisyQuadratic(), Recipe(SGD()), observe=False)
    assert run.train(order_of(made, 2)).norms is None


def test_declaration_and_plan():
    backend = BACKEND.open(1)
    assert backend.versions() == {"numpy": np.__version__}
    assert backend.facts()["threads"] == "1"
    assert BACKEND.environment(3) == {"OPENBLAS_NUM_THREADS": "3", "OMP_NUM_THREADS": "3"}
    cell = Cell(IRIS, Recipe(SGD()), Budget(steps=1), "reference", precision="float64")
    plan = backend.plan(cell, ("dense1.weight",))
    assert set(plan) == {"model", "loss", "optimizer", "clip", "penalty", "decay", "schedule"}
    assert all((origin.how, origin.by) == ("native", "NumPy") for origin in plan.values())


def test_float32_is_refused_with_the_reason():
    backend, made = BACKEND.open(1), task.make(IRIS)
    cell = Cell(IRIS, Recipe(SGD()), Budget(steps=1), "reference", precision="float32")
    with pytest.raises(Unsupported, match="float64 only"):
        backend.plan(cell, made.parameters)
    with pytest.raises(Unsupported, match="float64 only"):
        backend.trainer(cell, made, task.initial(made, 0), 1, False)
