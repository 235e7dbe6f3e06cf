"""A trainer's contract: reset, read-only methods, precision, memory, failures that flow."""

import numpy as np
import pytest

from harness.problems import task as tasks
from harness.problems.catalogue import case
from harness.spec.cell import Budget, Cell
from harness.spec.optimizers import SGD, Adam, Momentum
from harness.spec.recipe import Coupled, Decoupled, GlobalNorm, Recipe
from harness.spec.schedules import Cosine, WarmUp

PROBLEM, BUDGET = case("digits-64-10-l2").problem, Budget(steps=12, batch=16)
TASK = tasks.make(PROBLEM)
ORDER = tasks.order(TASK.samples, BUDGET, 0)
RECIPES = [
    Recipe(Adam(amsgrad="raw"), GlobalNorm(0.1), decay=Decoupled(), schedule=WarmUp(3, then=Cosine())),
    Recipe(Adam(eps_placement="hat"), decay=Coupled(on="all")),
]


def make(backend, recipe=RECIPES[0], precision="float64", implementation="exact", seed=0):
    cell = Cell(PROBLEM, recipe, BUDGET, "torch", implementation, precision=precision)
    return backend.trainer(cell, TASK, tasks.initial(TASK, seed), len(ORDER), observe=False)


def same(left, right):
    return list(left) == list(right) and all(np.array_equal(left[name], right[name]) for name in right)


@pytest.mark.parametrize("implementation", ["exact", "shipped"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_reset_is_a_fresh_start(backend, recipe, implementation):
    fresh = make(backend, recipe, implementation=implementation)
    steps = fresh.train(ORDER)
    used = make(backend, recipe, implementation=implementation, seed=1)
    used.train(ORDER[:5])
    used.reset(tasks.initial(TASK, 0))
    assert same(used.parameters(), tasks.initial(TASK, 0))
    assert np.array_equal(used.train(ORDER).loss, steps.loss)
    assert same(used.parameters(), fresh.parameters())


def test_gradients_and_evaluation_change_nothing(backend):
    plain, asked = make(backend), make(backend)
    plain.train(ORDER)
    asked.train(ORDER[:4])
    asked.gradients(ORDER[0])
    asked.evaluate("test")
    asked.train(ORDER[4:])
    assert same(asked.parameters(), plain.parameters())


def test_memory_is_shared_with_nobody(backend):
    """A step writes into the parameters, which must not be the caller's start nor what the caller was handed."""
    trainer, start = make(backend), tasks.initial(TASK, 0)
    kept = {name: values.copy() for name, values in start.items()}
    trainer.reset(start)
    before = trainer.parameters()
    trainer.train(ORDER)
    assert same(start, kept)
    assert same(before, kept)


@pytest.mark.parametrize("recipe", RECIPES)
def test_precisions_do_not_leak(backend, recipe):
    """A run of one precision after a run of the other computes what it computes first."""
    expected = {}
    for precision in ("float64", "float32", "float64", "float32"):
        trainer = make(backend, recipe, precision)
        trainer.train(ORDER)
        found = trainer.parameters()
        assert same(found, expected.setdefault(precision, found))
        representable = [np.array_equal(w, w.astype(np.float32)) for w in found.values()]
        assert all(representable) if precision == "float32" else not any(representable)


@pytest.mark.parametrize("recipe", [Recipe(SGD(1e30)), Recipe(Momentum(1e30, dampening=0.5), GlobalNorm(1e30))])
def test_overflow_flows_through(backend, recipe):
    trainer = make(backend, recipe, "float32")
    loss = trainer.train(ORDER).loss
    assert np.isfinite(loss[0])
    assert not np.isfinite(loss[-1])
    assert not np.isfinite(trainer.evaluate("test").loss)
