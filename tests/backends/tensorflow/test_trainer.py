"""What is particular to TensorFlow's trainer: one graph, traced once."""

import numpy as np

from harness.problems import task as tasks
from harness.problems.catalogue import case
from harness.spec.cell import Budget
from harness.spec.optimizers import RMSProp
from harness.spec.recipe import GlobalNorm, Recipe
from harness.spec.schedules import Cosine

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
