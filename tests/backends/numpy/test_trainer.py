"""What is particular to the contender's loop: silent, and float32 throughout."""

import numpy as np
import pytest

from backends.numpy import BACKEND
from harness.problems import task
from harness.problems.catalogue import CATALOGUE
from harness.spec.activations import Elu, LeakyRelu, Relu, Sigmoid, Tanh
from harness.spec.cell import Budget, Cell
from harness.spec.layers import Dense
from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError
from harness.spec.optimizers import OPTIMIZERS, SGD, Adam, Momentum, ScheduleFree
from harness.spec.problem import DataSet, Network, RandomGradients
from harness.spec.recipe import CLIPS, L1L2, Adaptive, Decoupled, GlobalNorm, Recipe
from harness.spec.schedules import SCHEDULES, OneCycle, Plateau, Step
from harness.spec.spellings import recipe_label
from harness.spec.variants import variants

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
    (block,) = run.update.blocks
    buffers = [run.w.vector, run.g.vector, run.parts["test"].x, *vars(block.optimizer).values()]
    assert {b.dtype for b in buffers if isinstance(b, np.ndarray)} == {np.dtype(precision)}


EVERY_KIND = [
    Recipe(kind(), decay=Decoupled(0.1, scaled_by=scaled_by), schedule=schedule)
    for kind in OPTIMIZERS
    for scaled_by, schedule in (("rate", Plateau()), ("schedule", OneCycle()))
]
BUDGET = Budget(steps=12, batch=16)


def same(left, right):
    return list(left) == list(right) and all(np.array_equal(left[name], right[name]) for name in right)


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("scaled_by", ["rate", "schedule"])
def test_rescaled_once_is_a_step_of_the_schedule(make, kind, scaled_by):
    """To the bit, and for the decay too."""
    decay = Decoupled(0.1, scaled_by=scaled_by)
    stepped, start, order = make(IRIS, Recipe(kind(), decay=decay, schedule=Step(5, 0.25)), BUDGET)
    rescaled, _, _ = make(IRIS, Recipe(kind(), decay=decay, schedule=Plateau()), BUDGET)
    stepped.train(order[:10])
    rescaled.train(order[:5])
    rescaled.rescale(0.25)
    rescaled.train(order[5:10])
    assert same(rescaled.parameters(), stepped.parameters())
    assert not same(rescaled.parameters(), start)


@pytest.mark.parametrize("recipe", EVERY_KIND, ids=recipe_label)
def test_rescaled_beside_the_reference(make, recipe):
    """Not by parts of what it was before: 0.3 and then 0.5 of what the schedule gives; and 1 after a reset."""
    runs = []
    for words in ({}, {"on": "reference"}):
        trainer, start, order = make(RandomGradients(), recipe, Budget(steps=9, batch=1), **words)
        trainer.rescale(7.0)
        trainer.reset(start)
        trainer.train(order[:3])
        for factor, rows in ((0.3, order[3:6]), (0.5, order[6:])):
            trainer.rescale(factor)
            trainer.train(rows)
        runs.append(trainer.parameters())
    for name, w in runs[1].items():
        assert np.abs(runs[0][name] - w).max() <= 1e-12 * np.abs(w - start[name]).max()


def test_an_observed_step_has_the_buffers_of_any_other():
    """In buffers of its own it was a whole step slower: these have left every cache when it comes."""
    found, made = trainer(IRIS, Recipe(SGD()))
    order = np.arange(10).reshape(2, 5)
    found.train(order)
    found.observe(order, "standard")
    (observer,) = found.observers.values()
    assert observer.on.outputs is found.objective(5).outputs
    assert len(observer.on.forward) == len(found.objective(5).forward) + len(IRIS.model)


@pytest.mark.parametrize("recipe", EVERY_KIND[::2], ids=recipe_label)
def test_reset_and_looking_around(make, recipe):
    trainer, start, order = make(IRIS, recipe, BUDGET)
    steps, end, loss = trainer.train(order), trainer.parameters(), trainer.evaluate("test")
    trainer.rescale(0.1)
    trainer.reset(start)
    assert same(trainer.parameters(), start)
    for i, row in enumerate(order):
        assert trainer.train(row[None]).loss[0] == steps.loss[i]
        trainer.evaluate("training")
        trainer.gradients(row)
        trainer.evaluate("test")
    assert same(trainer.parameters(), end)
    assert trainer.evaluate("test") == loss


@pytest.mark.parametrize("optimizer", variants(ScheduleFree))
def test_a_schedule_free_network_is_evaluated_at_its_mean(make, optimizer):
    recipe = Recipe(optimizer, decay=Decoupled(0.1))
    mine, _, order = make(IRIS, recipe, BUDGET)
    theirs, _, _ = make(IRIS, recipe, BUDGET, on="reference")
    assert mine.train(order).loss == pytest.approx(theirs.train(order).loss, rel=1e-12)
    for part in ("training", "validation", "test"):
        assert mine.evaluate(part) == pytest.approx(theirs.evaluate(part), rel=1e-12)
    at_the_mean, w = mine.evaluate("training"), mine.parameters()
    other, _, _ = make(IRIS, Recipe(SGD()), BUDGET)
    other.reset(w)
    assert other.evaluate("training").loss != pytest.approx(at_the_mean.loss, rel=1e-6)
    assert same(dict(mine.gradients(order[0])), dict(other.gradients(order[0])))


@pytest.mark.parametrize(
    "recipe",
    [
        *(Recipe(variant, Adaptive()) for kind in OPTIMIZERS for variant in variants(kind)),
        *(Recipe(SGD(), schedule=schedule()) for schedule in SCHEDULES),
        *(Recipe(SGD(), clip()) for clip in CLIPS),
    ],
    ids=recipe_label,
)
def test_shipped_is_exact(make, backend, recipe):
    found = []
    for implementation in ("exact", "shipped"):
        cell = Cell(RandomGradients(), recipe, BUDGET, "numpy", implementation=implementation)
        plan = backend.plan(cell, ("weight", "bias"))
        assert all(origin == ("native", "NumPy", "") for origin in plan.values())
        trainer, _, order = make(RandomGradients(), recipe, Budget(steps=5, batch=1), implementation=implementation)
        trainer.train(order)
        found.append(trainer.parameters())
    assert same(*found)


def test_declaration_and_plan():
    backend = BACKEND.open(1)
    assert backend.versions() == {"numpy": np.__version__}
    assert backend.facts()["threads"] == "1"
    assert BACKEND.precisions == PRECISIONS
    cell = Cell(IRIS, Recipe(SGD(lr=0.1), GlobalNorm(0.5)), Budget(steps=1), "numpy", implementation="shipped")
    plan = backend.plan(cell, ("dense1.weight",))
    assert set(plan) == {"model", "loss", "optimizer", "clip", "penalty", "decay", "schedule"}
    assert all((origin.how, origin.by) == ("native", "NumPy") for origin in plan.values())
