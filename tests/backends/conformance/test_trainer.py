"""A trainer's contract: reset, looking, observing, memory, precision, failures that flow."""

import numpy as np
import pytest

from harness.problems import task as tasks
from harness.spec.activations import Relu
from harness.spec.architecture import without_gradient
from harness.spec.cell import Budget
from harness.spec.layers import BatchNorm, Dense
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import SGD, AdaGrad, Adam, Momentum, RMSProp
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import L1L2, Coupled, Decoupled, GlobalNorm, PerTensor, Recipe
from harness.spec.schedules import Cosine, Exponential, WarmUp
from harness.spec.spellings import recipe_label

PROBLEM = Network(DataSet("iris"), (Dense(5), Relu(), Dense(3)), CrossEntropy())
NORMALISED = Network(DataSet("iris"), (Dense(5), BatchNorm(), Relu(), Dense(3)), CrossEntropy())
BUDGET = Budget(steps=12, batch=16)
RECIPES = [
    Recipe(Adam(amsgrad="raw"), GlobalNorm(0.1), decay=Decoupled(), schedule=WarmUp(3, then=Cosine())),
    Recipe(Adam(eps_placement="hat", amsgrad="corrected"), decay=Coupled(on="all")),
    Recipe(RMSProp(centred=True, momentum=0.9), GlobalNorm(0.1), schedule=Cosine()),
    Recipe(Momentum(rate="inside"), penalty=L1L2(), schedule=Exponential(every=5)),
    Recipe(AdaGrad(initial_accumulator=0.1), PerTensor(0.5)),
]


def same(left, right):
    return list(left) == list(right) and all(np.array_equal(left[name], right[name]) for name in right)


@pytest.mark.parametrize("recipe", RECIPES, ids=recipe_label)
@pytest.mark.parametrize("implementation", ["exact", "shipped"])
def test_reset_is_a_fresh_start(make, recipe, implementation):
    words = {"implementation": implementation}
    fresh, start, order = make(PROBLEM, recipe, BUDGET, **words)
    steps = fresh.train(order)
    used, _, _ = make(PROBLEM, recipe, BUDGET, **words, seed=1)
    used.train(order[:5])
    used.reset(start)
    assert same(used.parameters(), start)
    assert all(np.array_equal(a, b) for a, b in zip(used.train(order), steps, strict=True))
    assert same(used.parameters(), fresh.parameters())


@pytest.mark.parametrize("recipe", RECIPES[:2], ids=recipe_label)
def test_looking_changes_nothing(make, recipe):
    trainer, start, order = make(PROBLEM, recipe, BUDGET)
    whole, end = trainer.train(order), trainer.parameters()
    trainer.reset(start)
    losses = []
    for row in order:
        kept = trainer.gradients(row)
        values = {name: np.array(g) for name, g in kept.items()}
        trainer.evaluate("training")
        trainer.evaluate("test")
        trainer.parameters()
        losses.append(trainer.train(row[None]).loss[0])
        assert same(kept, values)
    assert losses == whole.loss.tolist()
    assert same(trainer.parameters(), end)


def test_observing_changes_nothing_but_the_norms(make):
    seen, _, order = make(PROBLEM, RECIPES[0], BUDGET)
    unseen, _, _ = make(PROBLEM, RECIPES[0], BUDGET, observe=False)
    a, b = seen.train(order), unseen.train(order)
    assert a.norms.shape == (len(order), 4)
    assert b.norms is None
    assert np.array_equal(a.loss, b.loss)
    assert same(seen.parameters(), unseen.parameters())


def test_an_empty_block_is_nothing(make):
    trainer, start, order = make(PROBLEM, RECIPES[0], BUDGET)
    steps = trainer.train(order[:0])
    assert steps.loss.shape == steps.penalty.shape == (0,)
    assert steps.norms.shape == (0, len(start))
    assert same(trainer.parameters(), start)


def test_blocks_of_any_length_make_one_run(make):
    """One longer than any buffer that a backend may keep, and the same steps in three."""
    trainer, start, order = make(PROBLEM, Recipe(SGD()), Budget(steps=1100, batch=16))
    whole, together = trainer.train(order), trainer.parameters()
    trainer.reset(start)
    parts = [trainer.train(rows) for rows in np.split(order, [100, 101])]
    assert same(trainer.parameters(), together)
    for name in ("loss", "penalty", "norms"):
        assert np.array_equal(getattr(whole, name), np.concatenate([getattr(part, name) for part in parts]))


def test_memory_is_shared_with_nobody(make):
    """A step may write into the parameters, which must not be the caller's start nor what the caller was handed."""
    trainer, start, order = make(PROBLEM, RECIPES[0], BUDGET)
    kept = {name: values.copy() for name, values in start.items()}
    trainer.reset(start)
    before = trainer.parameters()
    trainer.train(order)
    assert same(start, kept)
    assert same(before, kept)


@pytest.mark.parametrize("recipe", RECIPES[:3], ids=recipe_label)
def test_precisions_do_not_leak(make, precisions, recipe):
    """A run of one precision after a run of the other computes what it computes first."""
    if len(precisions) == 1:
        pytest.skip("computes in one precision only")

    def results(trainer, order):
        return {"loss": trainer.evaluate("test").loss} | dict(trainer.gradients(order[0])) | dict(trainer.parameters())

    expected = {}
    for precision in precisions * 2:
        trainer, _, order = make(PROBLEM, recipe, BUDGET, precision=precision)
        trainer.train(order)
        found = results(trainer, order)
        assert same(found, expected.setdefault(precision, found))
        representable = [np.array_equal(w, w.astype(np.float32)) for w in trainer.parameters().values()]
        assert all(representable) if precision == "float32" else not any(representable)


@pytest.mark.parametrize("clip", [None, 1e30])
def test_overflow_flows_through(make, precisions, clip):
    huge = 1e30 if "float32" in precisions else 1e250
    recipe = Recipe(Momentum(huge)) if clip is None else Recipe(Momentum(huge), GlobalNorm(clip))
    linear = Network(DataSet("iris"), (Dense(5), Dense(3)), CrossEntropy())  # a dead ReLU would keep it finite
    trainer, _, order = make(linear, recipe, Budget(steps=60, batch=16), precision=precisions[-1])
    loss = trainer.train(order).loss
    assert np.isfinite(loss[0])
    assert not np.isfinite(loss[-1])
    assert not np.isfinite(trainer.evaluate("test").loss)


def test_tasks_start_where_the_trainer_starts(make):
    trainer, start, _ = make(PROBLEM, RECIPES[0], BUDGET)
    assert same(start, tasks.initial(tasks.make(PROBLEM), 0))
    assert same(trainer.parameters(), start)


@pytest.mark.parametrize("recipe", RECIPES[:4], ids=recipe_label)
def test_placing_changes_the_parameters_alone(make, recipe, rounding):
    """Moments, counters, schedules and running statistics go on: from there on it trains as the reference does."""
    ends = {}
    for on in ({}, {"on": "reference"}):
        trainer, start, order = make(NORMALISED, recipe, BUDGET, **on)
        trainer.train(order[:5])
        placed = {name: 1.5 * w + 0.125 for name, w in start.items()}
        trainer.place(placed)
        assert same(trainer.parameters(), placed)
        trainer.train(order[5:])
        ends[bool(on)] = trainer.parameters(), trainer.evaluate("test").loss
    (mine, loss), (theirs, expected) = ends[False], ends[True]
    nothing = without_gradient(NORMALISED.model, tasks.make(NORMALISED).inputs)
    moved = {name: np.abs(theirs[name] - placed[name]).max() for name in placed if name not in nothing}
    distance = max(float(np.abs(mine[name] - theirs[name]).max() / size) for name, size in moved.items())
    assert rounding(distance, NORMALISED, recipe, BUDGET)
    assert loss == pytest.approx(expected, rel=1e-9)


def test_what_is_placed_is_what_stands_there_in_float32_too(make, precisions):
    trainer, start, order = make(PROBLEM, RECIPES[0], BUDGET, precision=precisions[-1])
    trainer.train(order[:5])
    placed = {name: (w + 0.1).astype(np.float32).astype(np.float64) for name, w in start.items()}
    trainer.place(placed)
    assert same(trainer.parameters(), placed)
