"""What is particular to TensorFlow's trainer: one graph, traced once."""

import numpy as np
import pytest

from harness.problems import task as tasks
from harness.problems.catalogue import case
from harness.spec.cell import Budget
from harness.spec.layers import Dense
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import (
    LBFGS,
    SGD,
    Adafactor,
    Adam,
    Momentum,
    NAdam,
    RMSProp,
    Rprop,
    ScheduleFree,
)
from harness.spec.problem import DataSet, Network, RandomGradients
from harness.spec.recipe import Decoupled, GlobalNorm, Recipe
from harness.spec.schedules import Cosine, Exponential, Plateau

PROBLEM, BUDGET = case("digits-64-10-l2").problem, Budget(steps=12, batch=16)
RECIPE = Recipe(RMSProp(centred=True, momentum=0.9), GlobalNorm(0.1), schedule=Cosine())


def test_reset_does_not_trace_again(make):
    trainer, start, order = make(PROBLEM, RECIPE, BUDGET)
    trainer.train(order)
    trainer.reset(tasks.initial(tasks.make(PROBLEM), 1))
    trainer.train(order[:5])
    trainer.reset(start)
    trainer.train(order)
    assert trainer._step.experimental_get_tracing_count() == 1


def test_precisions_take_turns(make):
    """Two trainers taking turns compute what each computes alone, in what they trace late too."""

    def results(trainer, order):
        return [trainer.evaluate("test").loss, *trainer.gradients(order[0]).values(), *trainer.parameters().values()]

    expected, turns = {}, {}
    for precision in ("float64", "float32"):
        alone, _, order = make(PROBLEM, RECIPE, BUDGET, precision=precision)
        alone.train(order)
        expected[precision] = results(alone, order)
        turns[precision], _, _ = make(PROBLEM, RECIPE, BUDGET, precision=precision)
    for block in np.split(order, 3):
        for trainer in turns.values():
            trainer.train(block)
    for precision, trainer in turns.items():
        assert all(np.array_equal(a, b) for a, b in zip(results(trainer, order), expected[precision], strict=True))


HAT = Adam(eps_placement="hat")
RESCALED = [
    (Recipe(SGD(), schedule=Plateau()), "exact"),
    (Recipe(Momentum(), schedule=Plateau()), "exact"),
    (Recipe(HAT, decay=Decoupled(0.1), schedule=Plateau()), "exact"),
    (Recipe(HAT, decay=Decoupled(0.1, scaled_by="schedule"), schedule=Plateau()), "exact"),
    (Recipe(Adam(), decay=Decoupled(0.1), schedule=Cosine()), "exact"),
    (Recipe(Adafactor(), decay=Decoupled(0.1), schedule=Plateau()), "exact"),
    (Recipe(ScheduleFree(), decay=Decoupled(0.1), schedule=Plateau()), "exact"),
    (Recipe(HAT, decay=Decoupled(0.1), schedule=Plateau()), "shipped"),
    (Recipe(HAT, schedule=Exponential(0.5, 7)), "shipped"),
]


@pytest.mark.parametrize(("recipe", "implementation"), RESCALED)
def test_rescale(make, recipe, implementation):
    """From the next step on, until the next time or a reset, and without another trace."""
    problem, budget, tolerance = RandomGradients(), Budget(steps=12, batch=1), {"exact": 1e-12, "shipped": 2e-5}
    found = []
    for words in ({"implementation": implementation}, {"on": "reference"}):
        trainer, start, order = make(problem, recipe, budget, **words)
        ends = []
        for scales in ((1.0, 0.5, 0.125), (1.0, 1.0, 2.0)):
            for scale, rows in zip(scales, np.split(order, 3), strict=True):
                if scale != 1.0:
                    trainer.rescale(scale)
                trainer.train(rows)
            ends.append(trainer.parameters())
            trainer.reset(start)
        found.append(ends)
        if "on" not in words:
            assert trainer._step.experimental_get_tracing_count() == 1
    for mine, theirs in zip(*found, strict=True):
        for name, w in theirs.items():
            atol = tolerance[implementation] * np.abs(w - start[name]).max()
            np.testing.assert_allclose(mine[name], w, rtol=0, atol=atol)


def test_a_schedule_free_network_is_evaluated_at_its_mean(make):
    problem = Network(DataSet("wine"), (Dense(3),), CrossEntropy())
    recipe, budget = Recipe(ScheduleFree(0.1)), Budget(steps=12, batch=16)
    mine, start, order = make(problem, recipe, budget)
    theirs, _, _ = make(problem, recipe, budget, on="reference")
    other = tasks.initial(tasks.make(problem), 1)
    for begin in (start, other):
        for trainer in (mine, theirs):
            trainer.reset(begin)
        for rows in (order[:0], order):
            for trainer in (mine, theirs):
                trainer.train(rows)
            before = mine.parameters()
            evaluations = [trainer.evaluate("test") for trainer in (mine, theirs)]
            np.testing.assert_allclose(*evaluations, rtol=1e-12)
            assert all(np.array_equal(w, before[name]) for name, w in mine.parameters().items())
    at_w, _, _ = make(problem, Recipe(SGD()), budget)
    at_w.reset(mine.parameters())
    assert abs(at_w.evaluate("test").loss / mine.evaluate("test").loss - 1) > 1e-3


@pytest.mark.parametrize("implementation", ["exact", "shipped"])
@pytest.mark.parametrize("optimizer", [NAdam(), Adafactor(), Rprop(), ScheduleFree(), LBFGS()])
def test_reset_is_a_fresh_start(make, optimizer, implementation):
    """Of the state that is no zero at the start, or not of the weights' shape."""
    recipe = Recipe(optimizer, schedule=Cosine())
    trainer, start, order = make(RandomGradients(), recipe, BUDGET, implementation=implementation)
    trainer.reset(tasks.initial(tasks.make(RandomGradients()), 1))
    trainer.train(order[:5])
    trainer.reset(start)
    trainer.train(order)
    fresh, _, _ = make(RandomGradients(), recipe, BUDGET, implementation=implementation)
    fresh.train(order)
    assert all(np.array_equal(w, fresh.parameters()[name]) for name, w in trainer.parameters().items())
