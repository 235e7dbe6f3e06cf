"""A trainer's contract: reset, read-only methods, precision, failures that flow."""

import numpy as np
import pytest

from harness.problems import task as tasks
from harness.problems.catalogue import case
from harness.spec.cell import Budget, Cell
from harness.spec.optimizers import SGD, Adam, Momentum, RMSProp
from harness.spec.recipe import Decoupled, GlobalNorm, Recipe
from harness.spec.schedules import Cosine, WarmUp

PROBLEM, BUDGET = case("digits-64-10-l2").problem, Budget(steps=12, batch=16)
TASK = tasks.make(PROBLEM)
ORDER = tasks.order(TASK.samples, BUDGET, 0)
RECIPES = [
    Recipe(Adam(eps_placement="hat", amsgrad="raw"), decay=Decoupled(), schedule=WarmUp(3, then=Cosine())),
    Recipe(RMSProp(centred=True, momentum=0.9), GlobalNorm(0.1), schedule=Cosine()),
]


def make(backend, recipe, precision="float64", implementation="exact", seed=0):
    cell = Cell(PROBLEM, recipe, BUDGET, "tensorflow", implementation, precision=precision)
    return backend.trainer(cell, TASK, tasks.initial(TASK, seed), len(ORDER), observe=False)


def same(left, right):
    return all(np.array_equal(left[name], right[name]) for name in right)


@pytest.mark.parametrize("implementation", ["exact", "shipped"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_reset_is_a_fresh_start_without_tracing(backend, recipe, implementation):
    fresh = make(backend, recipe, implementation=implementation)
    steps = fresh.train(ORDER)
    used = make(backend, recipe, implementation=implementation, seed=1)
    used.train(ORDER[:5])
    used.reset(tasks.initial(TASK, 0))
    assert same(used.parameters(), tasks.initial(TASK, 0))
    assert np.array_equal(used.train(ORDER).loss, steps.loss)
    assert same(used.parameters(), fresh.parameters())
    assert used._step.experimental_get_tracing_count() == 1


def test_an_empty_block_is_nothing(run):
    trained = run(PROBLEM, RECIPES[0], BUDGET)
    before = trained.trainer.parameters()
    steps = trained.trainer.train(ORDER[:0])
    assert steps.loss.shape == steps.penalty.shape == (0,)
    assert steps.norms.shape == (0, len(before))
    assert same(trained.trainer.parameters(), before)


def test_gradients_and_evaluation_change_nothing(backend):
    plain, asked = make(backend, RECIPES[0]), make(backend, RECIPES[0])
    plain.train(ORDER)
    asked.train(ORDER[:4])
    asked.gradients(ORDER[0])
    asked.evaluate("test")
    asked.train(ORDER[4:])
    assert same(asked.parameters(), plain.parameters())


@pytest.mark.parametrize("recipe", RECIPES)
def test_precisions_do_not_leak(backend, recipe):
    """Two trainers taking turns compute what each computes alone, in what they trace late too."""

    def results(trainer):
        return {"loss": trainer.evaluate("test").loss} | trainer.gradients(ORDER[0]) | trainer.parameters()

    alone = {precision: make(backend, recipe, precision) for precision in ("float64", "float32")}
    expected = {}
    for precision, trainer in alone.items():
        trainer.train(ORDER)
        expected[precision] = results(trainer)
        representable = [np.array_equal(w, w.astype(np.float32)) for w in trainer.parameters().values()]
        assert all(representable) if precision == "float32" else not any(representable)
    turns = {precision: make(backend, recipe, precision) for precision in ("float32", "float64")}
    for block in np.split(ORDER, 3):
        for trainer in turns.values():
            trainer.train(block)
    assert all(same(results(trainer), expected[precision]) for precision, trainer in turns.items())


@pytest.mark.parametrize("recipe", [Recipe(SGD(1e30)), Recipe(Momentum(1e30, dampening=0.5), GlobalNorm(1e30))])
def test_overflow_flows_through(backend, recipe):
    trainer = make(backend, recipe, "float32")
    loss = trainer.train(ORDER).loss
    assert np.isfinite(loss[0])
    assert not np.isfinite(loss[-1])
    assert not np.isfinite(trainer.evaluate("test").loss)
