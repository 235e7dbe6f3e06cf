"""How often a comparison cries wolf, and how often it sees the wolf.

``python -m suites.alarms`` times a backend, its twin, and a twin that is 5 % slower by a busy wait inside the clock:
new processes in turn, as every run times backends, by the settings that runs have by default. It compares the
twins as ``gradgauge compare`` does by default. Each time it calls the equal one faster or slower is a false alarm, each
time it calls the slowed one slower is a detection. Rates are printed with the 95 % bounds of Clopper and Pearson: the
upper one of alarms, the lower one of detections. With ``--apart`` each side is timed by itself, one after the other, as
the sides of two runs are; and what would have been said of the first process of each alone, as of asv's results, is
printed beside.
"""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from harness.environment import fingerprint
from harness.errors import NothingMeasured
from harness.execute.local import Local, Settings
from harness.judge import compare, measurements, power
from harness.judge.compare import Side
from harness.judge.kinds import Key, Measurement
from harness.judge.speed import MARGIN
from harness.spec.activations import Relu
from harness.spec.cell import Budget, Cell
from harness.spec.job import Job, Speed
from harness.spec.layers import Dense
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import Adam
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import Recipe
from harness.spec.spellings import short
from harness.store import Record, Store
from suites import twins

PROBLEM = Network(DataSet("digits"), (Dense(128), Relu(), Dense(128), Relu(), Dense(10)), CrossEntropy())
BACKENDS = ("numpy", "torch", "tensorflow", "jax")
STEP, PILOT, MOST = 1e-3, 64, 1000  # seconds a step is to take; samples of the batch tried first, and at most
PLANTED = 0.05
ALARMS, DETECTED = 0.02, 0.9  # the goals: upper bound of alarms, lower bound of detections
SIDES = ("LEFT", "RIGHT", "SLOWED")


class Trial(NamedTuple):
    """One comparison of each kind."""

    equal: Side  # what was said of the twin
    slowed: Side  # and of the slowed one
    alone: Side  # and of the twin, had each been one process
    step: float  # seconds, the left side's median
    seconds: float  # that all of it took, processes and compiling included


def names(backend: str) -> list[str]:
    """The twins: left, right, slowed."""
    return [f"suites.twins:{backend.upper()}_{side}" for side in SIDES]


def timed(sessions: list[list[str]], batch: int, measure: Speed) -> dict[str, Record]:
    """Time backends in new processes: those of a session in turn, sessions one after the other."""
    recipe, budget = Recipe(Adam(lr=0.001)), Budget(steps=100, batch=batch)
    found: dict[str, Record] = {}
    for session in sessions:
        cells = [Cell(PROBLEM, recipe, budget, name, implementation="shipped") for name in session]
        jobs = [Job(cell, measure, fingerprint(sys.executable, cell.backend, PROBLEM, 1)) for cell in cells]
        with (
            tempfile.TemporaryDirectory() as folder,
            Store.create(Path(folder), {}) as store,
            Local(store, Settings(), lambda record: found.update({record.job.cell.backend: record})) as local,
        ):
            local.run(jobs)
    for record in found.values():
        if record.status != "ok":
            raise NothingMeasured(f"{record.job.cell.backend}: {record.status}: {record.reason}")
    return found


def first_process(record: Record) -> Record:
    """The record, had there been no other."""
    assert isinstance(record.job.measure, Speed)
    job = msgspec.structs.replace(record.job, measure=msgspec.structs.replace(record.job.measure, processes=1))
    return replace(record, job=job, table=record.table[record.table["step"] < record.job.measure.blocks])


def side(record: Record) -> dict[Key, Measurement]:
    """What a comparison takes, whoever computed it."""
    return {key._replace(who=""): one for key, one in measurements.of_run([record]).measurements.items()}


def verdict(a: Record, b: Record) -> Side:
    """What a comparison by default says of b over a."""
    (found,) = compare.compare(side(a), side(b), MARGIN).comparisons
    return found.verdict.side


def trial(backend: str, batch: int, measure: Speed, apart: bool) -> Trial:
    """Time the twins and compare them."""
    started = time.perf_counter()
    sides = names(backend)
    records = timed([[one] for one in sides] if apart else [sides], batch, measure)
    left, right, slowed = (records[one] for one in sides)
    step = float(left.series("step_seconds")["value"].median())
    seconds = time.perf_counter() - started
    alone = verdict(first_process(left), first_process(right))
    return Trial(verdict(left, right), verdict(left, slowed), alone, step, seconds)


def batch_of(backend: str, measure: Speed) -> int:
    """So many samples that a step takes about a millisecond here."""
    one, batch = names(backend)[0], PILOT
    for _ in range(2):  # a part of a step does not grow with its batch
        found = timed([[one]], batch, measure)[one].series("step_seconds")["value"].median()
        batch = int(np.clip(round(batch * STEP / found), 1, MOST))
    return batch


def alarms(equal: list[Side]) -> str:
    """Equal sides that were called worse or better."""
    counted = power.rate(sum(one in ("worse", "better") for one in equal), len(equal))
    goal = _goal(counted.high <= ALARMS, f"≤ {ALARMS:.0%}")
    return f"{_share(counted)}; 95 % bound: at most {counted.high:.1%}, {goal}"


def detections(trials: list[Trial]) -> str:
    """Slowed sides that were called worse."""
    counted = power.rate(sum(one.slowed == "worse" for one in trials), len(trials))
    goal = _goal(counted.low >= DETECTED, f"≥ {DETECTED:.0%}")
    return f"{_share(counted)}; 95 % bound: at least {counted.low:.1%}, {goal}"


def _share(counted: power.Rate) -> str:
    return f"{counted.events} of {counted.trials}, {counted.value:.1%}"


def _goal(reached: bool, goal: str) -> str:
    return f"goal {goal} {'reached' if reached else 'missed'}"


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser(description="false alarms and detections of speed comparisons")
    parser.add_argument("--comparisons", type=int, default=300)
    parser.add_argument("--backend", choices=BACKENDS, default="numpy")
    parser.add_argument("--planted", type=float, default=PLANTED, help="the share by which one side is slowed down")
    parser.add_argument("--apart", action="store_true", help="time each side by itself, not in turn")
    asked = parser.parse_args()
    os.environ[twins.SHARE] = str(asked.planted)
    measure = Speed()
    batch = batch_of(asked.backend, measure)
    how = "one after the other" if asked.apart else "in turn"
    settings = f"{short(measure)}, margin {MARGIN:.1%}"
    print(f"{asked.backend}, {asked.comparisons} comparisons, sides {how}, batch {batch}, {settings}", flush=True)
    trials = [trial(asked.backend, batch, measure, asked.apart) for _ in range(asked.comparisons)]
    print(f"false alarms: {alarms([one.equal for one in trials])}")
    if asked.apart:
        print(f"false alarms of one process a side: {alarms([one.alone for one in trials])}")
    print(f"planted {asked.planted:.0%} found: {detections(trials)}")
    steps = np.median([one.step for one in trials])
    print(f"a step took {steps * 1e3:.2f} ms; both comparisons together {max(t.seconds for t in trials):.1f} s at most")


if __name__ == "__main__":
    main()
