"""Alarms and detections: the planted slow-down is real, verdicts are counted right, a real pair is timed."""

import numpy as np
import pytest

from harness import registry
from harness.backend import Origin
from harness.measure.series import series, table
from harness.spec.cell import Budget, Cell
from harness.spec.job import Environment, Job, Speed
from harness.spec.optimizers import Adam
from harness.spec.recipe import Recipe
from harness.store import Record
from suites import alarms, twins
from suites.alarms import Trial

LEFT, RIGHT, SLOWED = (f"suites.twins:NUMPY_{side}" for side in ("LEFT", "RIGHT", "SLOWED"))


class Trainer:
    """A phase of it takes a second of a made-up clock."""

    def __init__(self):
        self.now, self.steps = 0.0, 7

    def phase(self, name, order):
        def go():
            self.now += 1.0

        return go

    def read(self):
        self.now += 1e-4
        return self.now


def test_the_planted_share_is_added_to_the_phases_own_time(monkeypatch):
    trainer = Trainer()
    monkeypatch.setattr(twins.time, "perf_counter", trainer.read)
    monkeypatch.setenv(twins.SHARE, "0.05")
    slowed = twins.SlowedTrainer(trainer)
    slowed.phase("step", np.zeros((1, 1), np.int32))()
    assert trainer.now == pytest.approx(1.05, abs=1e-3)
    assert slowed.steps == 7  # all else is the trainer's own


@pytest.mark.parametrize("backend", alarms.BACKENDS)
def test_twins_are_the_backend_under_other_names(backend):
    own = registry.find(backend)
    left, right, slowed = (
        registry.find(f"suites.twins:{backend.upper()}_{side}") for side in ("LEFT", "RIGHT", "SLOWED")
    )
    assert left.opens == right.opens == own.opens != slowed.opens
    assert left.flags == right.flags == slowed.flags == own.flags
    assert len({left.name, right.name, slowed.name, own.name}) == 4


def record(backend, blocks, session="one", pace=()):
    cell = Cell(alarms.PROBLEM, Recipe(Adam()), Budget(steps=100, batch=32), backend)
    job = Job(cell, Speed(), Environment("3.11", {}, "code", "data", "machine", 1, {}))
    beside = [series("pace", pace, np.arange(len(pace)))] if len(pace) else []
    rows = table([series("step_seconds", blocks, np.arange(len(blocks))), *beside])
    plan = dict.fromkeys(("model", "loss", "optimizer"), Origin("native", "own"))
    return Record(job, "ok", "", plan, {"session": session, "pace": "NumPy"}, rows)


@pytest.mark.parametrize(("session", "moment"), [("one", 1.0), ("another", 1.2)])
def test_the_verdict_is_of_the_second_side_over_the_first(session, moment):
    """Whose core is slower when it is timed apart, by its pace a fifth, and by that much to the power 1.25 in steps."""
    noise, pace = np.random.default_rng(0).normal(1, 1e-3, (3, 24)), np.full(24, 0.002)
    left, equal, slower = (
        record(LEFT, noise[0], pace=pace),
        record(RIGHT, moment**1.25 * noise[1], session, moment * pace),
        record(SLOWED, 1.05 * moment**1.25 * noise[2], session, moment * pace),
    )
    assert alarms.verdict(left, equal) == "equal"
    assert alarms.verdict(left, slower) == "worse"
    assert alarms.verdict(slower, left) == "better"


def test_alarms_are_equal_sides_called_different_and_detections_slowed_ones_called_worse():
    said = ["better", "worse", *["equal", "undecided"] * 149]
    some = [Trial(equal, slowed, equal, 1e-3, 5.0) for equal, slowed in zip(said, said, strict=True)]
    # P(X ≤ 2 | 300, p) = 0.05 at p = 2.08 %, P(X ≥ 1 | 300, p) = 0.05 at p = 0.017 %.
    assert alarms.alarms(said) == "2 of 300, 0.7%; 95 % bound: at most 2.1%, goal ≤ 2% missed"
    assert alarms.detections(some) == "1 of 300, 0.3%; 95 % bound: at least 0.0%, goal ≥ 90% missed"
    good = [Trial("equal", "worse", "equal", 1e-3, 5.0)] * 300
    assert alarms.alarms(["equal"] * 300).endswith("goal ≤ 2% reached")
    assert alarms.detections(good).endswith("goal ≥ 90% reached")


@pytest.mark.parametrize("apart", [False, True])
def test_twins_are_timed_in_turn_or_apart(monkeypatch, apart):
    """What their times come to is for the benchmark to say: on a busy machine eight short blocks decide nothing."""
    monkeypatch.setenv(twins.SHARE, "1.0")
    sides = alarms.names("numpy")
    records = alarms.timed(
        [[one] for one in sides] if apart else [sides], 32, Speed(blocks=4, block_seconds=0.001, processes=2)
    )
    assert list(records) == sides == [LEFT, RIGHT, SLOWED]
    assert len({one.facts["session"] for one in records.values()}) == (3 if apart else 1)
    assert {len(one.series("step_seconds")) for one in records.values()} == {8}
    assert {len(alarms.first_process(one).series("step_seconds")) for one in records.values()} == {4}
    (alone,) = alarms.side(alarms.first_process(records[LEFT])).values()
    assert (len(alone.values), len(alone.processes)) == (4, 1)
