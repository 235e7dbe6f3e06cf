"""Alarms and detections: the planted slow-down is real, verdicts are counted right, a real pair is timed."""

import numpy as np
import pytest

from harness import registry
from harness.backend import Origin
from harness.measure.series import series, table
from harness.problems.catalogue import case
from harness.spec.cell import Cell
from harness.spec.job import Environment, Job, Speed
from harness.spec.recipe import Recipe
from harness.store import Record
from suites import alarms, twins
from suites.alarms import Found

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


@pytest.mark.parametrize("backend", alarms.BATCHES)
def test_twins_are_the_backend_under_other_names(backend):
    own = registry.find(backend)
    left, right, slowed = (
        registry.find(f"suites.twins:{backend.upper()}_{side}") for side in ("LEFT", "RIGHT", "SLOWED")
    )
    assert left.opens == right.opens == own.opens != slowed.opens
    assert left.flags == right.flags == slowed.flags == own.flags
    assert len({left.name, right.name, slowed.name, own.name}) == 4


def record(backend, blocks):
    one = case(alarms.PROBLEM)
    cell = Cell(one.problem, Recipe(one.recipe.optimizer), one.budget, backend)
    job = Job(cell, Speed(), Environment("3.11", {}, "code", "data", "machine", 1, {}))
    rows = table([series("step_seconds", blocks, np.arange(len(blocks)))])
    plan = dict.fromkeys(("model", "loss", "optimizer"), Origin("native", "own"))
    return Record(job, "ok", "", plan, {"session": "one"}, rows)


def test_the_verdict_is_of_the_right_side_over_the_left():
    noise = np.random.default_rng(0).normal(1, 1e-3, (2, 40))
    left, slower = record(LEFT, noise[0]), record(RIGHT, 1.05 * noise[1])
    assert alarms.verdict(left, slower) == "longer"
    assert alarms.verdict(slower, left) == "shorter"


def test_every_verdict_on_equal_sides_is_an_alarm_and_only_longer_is_a_detection():
    some = Found(["longer", "shorter", *["undecided"] * 298], 1e-3, 5.0)
    # P(X ≤ 2 | 300, p) = 0.05 at p = 2.08 %, P(X ≥ 1 | 300, p) = 0.05 at p = 0.017 %.
    assert alarms.alarms(some) == "2 of 300, 0.7%; 95 % bound: at most 2.1%, goal ≤ 2% missed"
    assert alarms.detections(some) == "1 of 300, 0.3%; 95 % bound: at least 0.0%, goal ≥ 90% missed"
    assert alarms.alarms(some._replace(verdicts=["undecided"] * 300)).endswith("goal ≤ 2% reached")
    assert alarms.detections(some._replace(verdicts=["longer"] * 300)).endswith("goal ≥ 90% reached")


def test_two_processes_of_one_backend_are_timed_in_turn(monkeypatch):
    monkeypatch.setenv(twins.SHARE, "1.0")
    left, right = alarms.compare(LEFT, SLOWED, 32, Speed(blocks=3, block_seconds=0.001))
    assert [one.job.cell.backend for one in (left, right)] == [LEFT, SLOWED]
    assert left.facts["session"] == right.facts["session"]
    assert len(left.series("step_seconds")) == len(right.series("step_seconds")) == 3
