"""The one-standard-error rule, on scores worked out by hand."""

import numpy as np
import pytest
from msgspec.structs import replace

from harness.backend import Origin
from harness.judge import choice, convergence
from harness.measure.series import series, table
from harness.problems.catalogue import case
from harness.spec.cell import Budget, Cell
from harness.spec.job import Convergence, Environment, Job
from harness.spec.optimizers import Adam
from harness.spec.recipe import L1, L2, GlobalNorm, NoPenalty, Recipe
from harness.store import Record

ENVIRONMENT = Environment("3.11", {}, "code", "data", "machine", 1, {})
PROBLEM = case("sigmoid-binary").problem


def record(recipe, loss, fold=None, seed=0, status="ok"):
    problem = replace(PROBLEM, data=replace(PROBLEM.data, fold=fold))
    cell = Cell(problem, recipe, Budget(steps=10), "numpy", seed=seed)
    rows = table([series("loss/validation", np.array([1.0, loss]), np.array([0, 10]))])
    plan = dict.fromkeys(("model", "loss", "optimizer"), Origin("native", "own"))
    return Record(Job(cell, Convergence(), ENVIRONMENT), status, "", plan, {}, rows)


def chosen(records):
    return choice.choices(convergence.trials(records))


def penalised(losses):
    return [
        record(Recipe(Adam(), penalty=penalty), loss, fold)
        for penalty, scores in losses.items()
        for fold, loss in enumerate(scores)
    ]


def test_the_largest_rate_within_one_standard_error_of_the_best():
    """Best is λ = 1: mean 0.30, deviation 0.02·√(3/2)…: scores 0.28, 0.30, 0.32, s = 0.02, error 0.02/√3 = 0.01155.
    λ = 3 has 0.311, within 0.31155; λ = 10 has 0.312, beyond it."""
    none, one, three, ten = NoPenalty(), L2(1.0), L2(3.0), L2(10.0)
    scores = {none: (0.4,) * 3, one: (0.28, 0.30, 0.32), three: (0.311,) * 3, ten: (0.312,) * 3}
    (found,) = chosen(penalised(scores))
    assert (found.what, found.folds) == ("penalty", 3)
    assert [t.setting for t in found.tried] == [ten, three, one, none]
    assert (found.best.setting, found.chosen.setting) == (one, three)
    assert found.best.error == pytest.approx(0.02 / 3**0.5)
    assert found.chosen.name == "λ = 3"


def test_each_kind_of_penalty_is_chosen_among_its_own():
    some = {NoPenalty(): (0.4, 0.4), L2(1.0): (0.3, 0.3), L2(2.0): (0.5, 0.5), L1(1.0): (0.2, 0.2), L1(2.0): (0.6, 0.6)}
    found = chosen(penalised(some))
    assert {one.chosen.setting for one in found} == {L2(1.0), L1(1.0)}


def test_the_smallest_clip_that_costs_nothing_and_a_diverged_run_is_worst():
    losses = {0.1: 0.5, 1.0: 0.2, 10.0: 0.2}
    records = [record(Recipe(Adam(), GlobalNorm(c)), loss, seed=seed) for c, loss in losses.items() for seed in (0, 1)]
    records += [record(Recipe(Adam()), 0.1, seed=0), record(Recipe(Adam()), 0.1, seed=1, status="diverged")]
    (found,) = chosen(records)
    assert found.what == "clip"
    assert found.tried[-1].mean == np.inf
    assert found.chosen.name == "c = 1"


def test_two_settings_or_none_without_are_no_choice():
    assert chosen(penalised({NoPenalty(): (0.4, 0.4), L2(1.0): (0.3, 0.3)})) == []
    assert chosen(penalised({L2(0.1): (0.4, 0.4), L2(1.0): (0.3, 0.3), L2(2.0): (0.3, 0.3)})) == []
    without_folds = [record(Recipe(Adam(), penalty=p), 0.1) for p in (NoPenalty(), L2(1.0), L2(2.0))]
    assert chosen(without_folds) == []
