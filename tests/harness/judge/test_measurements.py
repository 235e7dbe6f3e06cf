"""What a comparison takes from made-up records: names that tell apart, lower is better, failures kept."""

import math

import numpy as np
import pytest
from msgspec.structs import replace

from harness.judge import measurements
from harness.judge.compare import compare
from harness.judge.kinds import LEVEL, SECONDS, STEPS
from harness.measure.series import series, table
from harness.spec.job import FirstCall, Speed
from harness.spec.recipe import GlobalNorm
from harness.store import Record
from tests.harness.judge import test_convergence as trained
from tests.harness.judge import test_speed as timed


def by_measure(*records):
    found = measurements.of_run(records).measurements
    assert len({key[:2] for key in found}) == 1
    return {key.measure: one for key, one in found.items()}


def test_blocks_are_paired_within_their_session_only():
    one = by_measure(timed.timed("torch", [1.0, 2.0, 4.0], "monday"))["step time"]
    assert (one.kind, one.values, one.pairing) == (SECONDS, {0: 1.0, 1: 2.0, 2: 4.0}, "block monday")
    assert by_measure(timed.timed("torch", [1.0], ""))["step time"].pairing == ""


def test_processes_are_told_over_the_pace_of_their_core_by_hand():
    """16 to the power 1.25 is 32: a second process whose core took 16 times as long for its product was no slower."""
    seconds, pace = [3.0, 1.0, 2.0, 64.0, 96.0, 32.0], [1.0, 1.0, 1.0, 16.0, 16.0, 16.0]
    rows = table([series(name, of, np.arange(6)) for name, of in (("step_seconds", seconds), ("pace", pace))])
    told = {"session": "monday", "pace": "NumPy 2"}
    record = Record(timed.job("torch", Speed(blocks=3, processes=2)), "ok", "", timed.NATIVE, told, rows)
    (one,) = by_measure(record).values()
    assert one.values == dict(enumerate(seconds))
    assert one.processes == pytest.approx((2.0, 2.0))
    assert one.pace == "NumPy 2, machine, 1 threads"
    (without,) = by_measure(timed.timed("torch", seconds)).values()
    assert (without.processes, without.pace) == ((), "")


def test_phases_of_the_first_call_are_apart():
    seconds = {"import": [3.0], "build": [0.1], "first_step": [5.0], "second_step": [1.0]}
    rows = table([series(f"{name}_seconds", values) for name, values in seconds.items()])
    found = by_measure(Record(timed.job("jax", FirstCall()), "ok", "", {}, {}, rows))
    assert {name: one.median for name, one in found.items()} == {
        "first call: import": 3.0,
        "first call: build": 0.1,
        "first call: first step": 5.0,
    }


def test_endings_are_turned_so_that_lower_is_better_and_belong_to_their_seeds():
    found = by_measure(trained.run(3, [0.1, 0.90]), trained.run(5, [0.1, 0.95]), trained.diverged(7))
    error = found["validation error (1 − accuracy)"]
    assert error.values == pytest.approx({3: 0.10, 5: 0.05, 7: math.inf})
    assert (error.kind, error.pairing, error.noisy) == (LEVEL, "seed", False)
    assert found["validation loss"].values == pytest.approx({3: 0.10, 5: 0.05, 7: math.inf})
    assert found["steps to target"].kind is STEPS
    assert found["steps to target"].values[7] == math.inf


def test_a_job_that_failed_is_kept_with_its_reason():
    failed = Record(timed.job("torch", Speed()), "failed", "out of memory")
    assert by_measure(failed)["step time"].failed == "failed: out of memory"
    lost = Record(trained.job(trained.DIGITS), "timeout", "no answer within 1 s")
    failed = by_measure(lost)["failed"]
    assert failed.values == {0: 1} and failed.failed == "timeout: no answer within 1 s"


def test_one_seed_that_failed_is_counted_beside_those_that_trained():
    lost = Record(trained.job(trained.DIGITS, seed=9), "failed", "killed by signal 11")
    found = by_measure(trained.run(3, [0.1, 0.90]), lost)
    assert found["failed"].values == {0: 1} and found["failed"].failed == "failed: killed by signal 11"
    assert found["validation loss"].values.keys() == {3}


@pytest.mark.parametrize(
    ("facts", "pace"),
    [({}, [1.0, 1.0]), ({"pace": "NumPy 2"}, [1.0]), ({"pace": "NumPy 2"}, [1.0, 0.0])],
    ids=["of nobody", "of one block", "of nothing"],
)
def test_a_record_whose_paces_are_damaged_has_none(facts, pace):
    rows = table([series("step_seconds", [1.0, 2.0], np.arange(2)), series("pace", pace, np.arange(len(pace)))])
    record = Record(timed.job("torch", Speed(blocks=1, processes=2)), "ok", "", timed.NATIVE, facts, rows)
    (one,) = by_measure(record).values()
    assert (one.size, one.processes, one.pace) == (2, (), "")


def test_names_tell_cells_apart():
    jobs = [
        trained.job(trained.DIGITS),
        trained.job(trained.DIGITS, recipe=replace(trained.DIGITS.recipe, clip=GlobalNorm(c=2.0))),
        trained.job(trained.DIGITS, budget=replace(trained.DIGITS.budget, epochs=3)),
        trained.job(trained.DIGITS, backend="jax"),
    ]
    jobs += [
        replace(jobs[0], cell=replace(jobs[0].cell, **{name: value}))
        for name, value in (
            ("implementation", "shipped"), ("precision", "float64"), ("device", "cuda"), ("mode", "scan"),
        )
    ]  # fmt: skip
    jobs += [replace(job, measure=measure) for job in jobs[:1] for measure in (Speed(), Speed(phase="update"))]
    found = measurements.of_run([Record(job, "failed", "") for job in jobs]).measurements
    assert len(found) == len(jobs)


def test_one_backend_in_two_environments_is_told_apart_by_what_differs():
    records = [timed.timed("torch", [1.0], threads=1), timed.timed("torch", [1.0], threads=4)]
    found = measurements.of_run(records)
    assert {key.who for key in found.measurements} == {"torch (threads 1)", "torch (threads 4)"}
    assert found.facts["torch (threads 4)"]["threads"] == "4"


def test_cells_meet_whatever_their_environment():
    a, b = (measurements.of_run([timed.timed("torch", [1.0] * 8, s, threads=t)]) for s, t in (("m", 1), ("t", 2)))
    (one,) = compare(a.measurements, b.measurements, 0.05).comparisons
    assert one.verdict.words == "equal"
    assert one.apart
