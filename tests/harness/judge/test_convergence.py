"""Convergence is judged on made-up runs whose endings and steps to target are worked out by hand."""

import math

import numpy as np
import pytest
from msgspec.structs import replace

from harness.backend import Origin
from harness.judge import convergence, speed
from harness.measure.series import series, table
from harness.problems.catalogue import CATALOGUE
from harness.spec.cell import Budget, Cell
from harness.spec.job import Convergence, Environment, FirstCall, Job, Speed
from harness.spec.problem import Quadratic
from harness.spec.recipe import GlobalNorm
from harness.store import Record

DIGITS, LINE, ROSENBROCK = (CATALOGUE[name] for name in ("digits-64-64-64-10", "line-fit", "rosenbrock"))
TRAINING = Convergence()
PLAN = {"optimizer": Origin("native", "own")}


def job(case, seed=0, measure=TRAINING, backend="torch", recipe=None, budget=None, threads=1):
    environment = Environment("3.11", {backend: "1.0"}, "code", "data", "machine", threads, {})
    cell = Cell(case.problem, recipe or case.recipe, budget or case.budget, backend, seed=seed)
    return Job(cell, measure, environment)


def run(seed, accuracies, status="ok", losses=(1.0, 0.5, 0.25), case=DIGITS, **others):
    """A run evaluated every ten steps; ``accuracies`` on the validation part, the test part is 0.01 worse."""
    at = 10 * np.arange(len(accuracies))
    rows = table(
        [
            series("loss", losses, np.arange(len(losses))),
            series("metric/validation", accuracies, at),
            series("metric/test", np.asarray(accuracies) - 0.01, at),
            series("loss/validation", 1 - np.asarray(accuracies), at),
        ]
    )
    return Record(job(case, seed, **others), status, "", PLAN, {}, rows)


def diverged(seed, accuracies=(0.1,), **others):
    return run(seed, accuracies, "diverged", (2.0, 1e30, math.inf), **others)


def trial_of(*records):
    (trial,) = convergence.trials(records)
    return trial


def test_final_values_are_those_of_the_last_evaluation_median_and_range_over_seeds():
    trial = trial_of(run(0, [0.1, 0.90]), run(1, [0.1, 0.95]), run(2, [0.1, 0.80]))
    final = trial.final("metric/validation")
    assert (final.median, final.low, final.high, final.runs) == (0.90, 0.80, 0.95, 3)
    assert trial.final("metric/test").median == pytest.approx(0.89)
    assert trial.final("loss/validation").median == pytest.approx(0.10)
    assert trial.final("metric/training") is None


def test_the_median_of_two_seeds_is_their_mean():
    assert trial_of(run(0, [0.8]), run(1, [0.9])).final("metric/validation").median == pytest.approx(0.85)


def test_a_diverged_run_ends_worst_and_is_never_dropped():
    trial = trial_of(run(0, [0.1, 0.9]), diverged(1), run(2, [0.1, 0.8]))
    assert trial.diverged == 1
    accuracy, loss = trial.final("metric/validation"), trial.final("loss/validation")
    assert (accuracy.median, accuracy.low, accuracy.high, accuracy.runs) == (0.8, -math.inf, 0.9, 3)
    assert (loss.median, loss.high) == (pytest.approx(0.2), math.inf)


def test_where_most_runs_diverged_the_median_is_lost():
    trial = trial_of(run(0, [0.1, 0.9]), diverged(1), diverged(2))
    assert trial.final("metric/validation").median == -math.inf
    assert trial.final("loss/validation").median == math.inf
    assert trial_of(run(0, [0.9]), diverged(1)).final("loss/validation").median == math.inf


def test_the_step_of_divergence_is_the_first_loss_that_is_not_finite():
    assert [run.diverged_at for run in trial_of(diverged(0), run(1, [0.9])).runs] == [2, None]


def test_steps_to_target_are_those_of_the_first_evaluation_that_meets_it():
    assert DIGITS.target == 0.93
    trial = trial_of(run(0, [0.1, 0.92, 0.93, 0.5]), run(1, [0.1, 0.95]), run(2, [0.1, 0.2, 0.3, 0.99]))
    steps = trial.steps_to_target
    assert (steps.median, steps.low, steps.high, trial.reached) == (20, 10, 30, 3)


def test_not_reached_counts_runs_that_diverged_even_after_they_met_the_target():
    trial = trial_of(run(0, [0.1, 0.95]), diverged(1, [0.1, 0.99]), run(2, [0.1, 0.5]))
    steps = trial.steps_to_target
    assert (steps.median, steps.low, steps.high, steps.runs, trial.reached) == (math.inf, 10, math.inf, 3, 1)


def test_failed_runs_say_nothing_about_training():
    failed = Record(job(DIGITS, 1), "failed", "out of memory")
    trial = trial_of(run(0, [0.1, 0.95]), failed)
    assert len(trial.records) == 2 and len(trial.runs) == 1
    assert trial.steps_to_target.median == 10


def test_a_problem_that_the_catalogue_does_not_know_has_no_target():
    case = replace(ROSENBROCK, problem=Quadratic(condition=7.0))
    rows = table([series("loss/training", [1.0, 1e-9], [0, 10])])
    trial = trial_of(Record(job(case), "ok", "", PLAN, {}, rows))
    assert trial.target is None and trial.steps_to_target is None and trial.reached == 0


def test_a_functions_target_is_a_loss_that_must_be_fallen_below():
    rows = table([series("loss/training", [24.2, 1e-2, 1e-3, 1e-5], [0, 100, 200, 300])])
    trial = trial_of(Record(job(ROSENBROCK), "ok", "", PLAN, {}, rows))
    assert (trial.target, trial.judged_by, trial.steps_to_target.median) == (1e-3, "loss/training", 200)


def test_without_a_validation_part_the_training_part_is_judged():
    rows = table([series("metric/training", [0.0, 0.995], [0, 10])])
    trial = trial_of(Record(job(LINE), "ok", "", PLAN, {}, rows))
    assert (trial.judged_by, trial.steps_to_target.median) == ("metric/training", 10)


def test_trials_are_told_apart_by_all_but_the_seed():
    clipped = replace(DIGITS.recipe, clip=GlobalNorm())
    records = [
        run(0, [0.9]),
        run(1, [0.9]),
        run(0, [0.9], backend="jax"),
        run(0, [0.9], recipe=clipped),
        run(0, [0.9], budget=Budget(epochs=3)),
        run(0, [0.9], threads=2),
        run(0, [0.9], measure=Convergence(evaluations=3)),
    ]
    assert sorted(len(trial.runs) for trial in convergence.trials(records)) == [1, 1, 1, 1, 1, 2]


def timed(backend="torch", **others):
    rows = table([series("step_seconds", [0.002, 0.001, 0.003], np.arange(3))])
    return Record(job(DIGITS, 0, Speed(blocks=3), backend, **others), "ok", "", PLAN, {}, rows)


def first_call(**others):
    rows = table(
        [
            series(f"{name}_seconds", [s])
            for name, s in (("import", 1), ("build", 2), ("first_step", 3), ("second_step", 1))
        ]
    )
    return Record(job(DIGITS, 0, FirstCall(), **others), "ok", "", PLAN, {}, rows)


def cost_of(trial, *records):
    steady = [s for group in speed.groups(records) for s in group.steady]
    return convergence.cost(trial, steady, speed.first_calls(records))


def test_seconds_to_target_are_steps_times_the_median_step():
    trial = trial_of(run(3, [0.1, 0.95]), run(4, [0.1, 0.2, 0.95]), run(5, [0.1, 0.2, 0.3]))
    cost = cost_of(trial, timed(budget=Budget(epochs=1)), first_call())
    assert cost.seconds.median == pytest.approx(0.04)  # 20 steps of 2 ms; seed and length of training do not matter
    assert cost.seconds.low == pytest.approx(0.02) and cost.seconds.high == math.inf
    assert cost.first.total == 6


def test_there_is_no_first_call_where_none_was_timed():
    assert cost_of(trial_of(run(0, [0.95])), timed()).first is None


@pytest.mark.parametrize(
    "other",
    [
        {"backend": "jax"},
        {"recipe": replace(DIGITS.recipe, clip=GlobalNorm())},
        {"budget": Budget(epochs=10, batch=64)},
        {"threads": 2},
    ],
    ids=["backend", "recipe", "batch", "threads"],
)
def test_the_speed_of_another_cell_is_no_speed(other):
    assert cost_of(trial_of(run(0, [0.1, 0.95])), timed(**other)) is None


def test_no_speed_no_seconds():
    assert cost_of(trial_of(run(0, [0.1, 0.95]))) is None
