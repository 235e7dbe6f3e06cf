"""What evaluations decide: rules on losses written out by hand, and real training that they steer."""

import numpy as np
import pytest
from msgspec.structs import replace

from harness import registry
from harness.backend import Evaluation
from harness.measure import convergence
from harness.measure.feedback import Feedback, OnPlateau, Stop
from harness.measure.run import Builder
from harness.measure.series import table
from harness.problems import task as tasks
from harness.problems.catalogue import case
from harness.spec.cell import Budget, Cell
from harness.spec.job import Convergence
from harness.spec.optimizers import SGD
from harness.spec.recipe import Recipe
from harness.spec.schedules import Plateau
from harness.spec.stopping import AtTarget, EarlyStopping

PLATEAUS = [
    # two evaluations running without a better loss than 3
    (Plateau(patience=2), [3, 3, 4, 2, 2, 2], [1, 1, 0.5, 0.5, 0.5, 0.25]),
    # better by less than a tenth is no better
    (Plateau(patience=1, threshold=0.1), [10, 9.5, 8.9], [1, 0.5, 0.5]),
    # nor is a loss below zero that has risen
    (Plateau(patience=1, threshold=0.1), [-10, -10.5, -11.1], [1, 0.5, 0.5]),
    # the evaluation after a cut does not count
    (Plateau(patience=1, cooldown=1), [1, 1, 1, 1], [1, 0.5, 0.5, 0.25]),
    (Plateau(patience=1, factor=0.1, floor=0.05), [1, 1, 1, 1], [1, 0.1, 0.05, 0.05]),
]


@pytest.mark.parametrize(("spec", "losses", "scales"), PLATEAUS)
def test_a_plateau_cuts_the_rate(spec, losses, scales):
    rule, found = OnPlateau(spec), []
    for loss in losses:
        before = rule.scale
        assert rule.cuts(loss) == (rule.scale != before)
        found.append(rule.scale)
    assert found == pytest.approx(scales)


STOPS = [
    (EarlyStopping(patience=2), [3, 2, 2, 2, 1], [False, False, False, True, True]),
    (EarlyStopping(patience=1, by=0.5), [3, 2.4, 2.0], [False, False, True]),
]


@pytest.mark.parametrize(("spec", "losses", "ends"), STOPS)
def test_early_stopping(spec, losses, ends):
    rule, found = Stop(spec), []
    for loss, expected in zip(losses, ends, strict=True):
        found.append(rule.ends(Evaluation(loss, 0.5)))
        assert found[-1] == expected or any(found[:-1])


def test_a_target_is_a_metric_or_a_functions_loss():
    rule = Stop(AtTarget(0.9))
    assert rule.ends(Evaluation(5.0, 0.9))
    assert not rule.ends(Evaluation(0.0, 0.89))
    assert rule.ends(Evaluation(0.9, None))
    assert not rule.ends(Evaluation(0.91, None))


def opened(name, recipe, budget, backend="reference"):
    problem = case(name).problem
    task = tasks.make(problem)
    cell = Cell(problem, recipe, budget, backend, precision="float64")
    return Builder(registry.find(backend).open(1)).open(cell, task, tasks.initial(task, 0))


def test_a_plateau_halves_a_real_rate():
    """The random-gradients problem is linear: its loss falls in every evaluation, and nothing is cut.

    With a threshold that no step can reach, every evaluation after the first cuts.
    """
    recipe = Recipe(SGD(lr=0.1), schedule=Plateau(patience=1, every=2, threshold=0.0))
    falling = opened("random-gradients", recipe, Budget(steps=6, batch="full"))
    plain = opened("random-gradients", Recipe(SGD(lr=0.1)), Budget(steps=6, batch="full"))
    trainers = falling.trainer(), plain.trainer()
    Feedback(falling, trainers[0]).train(0, 6)
    Feedback(plain, trainers[1]).train(0, 6)
    assert all(np.array_equal(a, b) for a, b in zip(*(t.parameters().values() for t in trainers), strict=True))
    stuck = replace(recipe, schedule=Plateau(patience=1, every=2, threshold=0.99))
    run = opened("random-gradients", stuck, Budget(steps=6, batch="full"))
    trainer = run.trainer()
    feedback = Feedback(run, trainer)
    feedback.train(0, 6)
    assert feedback.cuts == [(4, 0.5), (6, 0.25)]
    moved, whole = (t.parameters()["bias"] - run.start["bias"] for t in (trainer, trainers[1]))
    # Two steps at lr, evaluated for the first time; two more at lr, then a cut: two at lr/2. 5 of 6.
    np.testing.assert_allclose(moved, whole * 5 / 6, rtol=1e-12)


def test_training_ends_where_the_rule_says_and_is_evaluated_there():
    budget = Budget(steps=60, batch="full", stop=EarlyStopping(patience=2, every=3, by=100.0))
    run = opened("line-fit", Recipe(SGD(lr=0.1)), budget)
    outcome = convergence.measure(run, Convergence(evaluations=4))
    rows = table(outcome.series)
    # The first evaluation, after 3 steps, sets the best; those after 6 and 9 are not better by 100.
    assert rows[rows["series"] == "stopped"]["value"].tolist() == [9.0]
    assert rows[rows["series"] == "loss"]["step"].tolist() == list(range(9))
    assert rows[rows["series"] == "loss/training"]["step"].tolist() == [0, 9]


def test_no_rule_trains_in_one_piece():
    run = opened("line-fit", Recipe(SGD(lr=0.1)), Budget(steps=20, batch="full"))
    feedback = Feedback(run, run.trainer())
    assert len(feedback.train(0, 20).loss) == 20
    assert feedback.stopped is None
