"""How often a comparison cries wolf, and how often it sees the wolf.

``python -m suites.alarms`` compares a backend with itself: two fresh worker processes, timed in turn as every run times
backends, judged as every run is judged. Each comparison that is not undecided is a false alarm. With ``--planted 0.05``
one side is 5 % slower, by a busy wait inside the clock, and each comparison that says so is a detection. Rates are
printed with the 95 % bounds of Clopper and Pearson: the upper one of alarms, the lower one of detections.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from harness.environment import fingerprint
from harness.execute.local import Local, Settings
from harness.judge import power, speed
from harness.problems.catalogue import case
from harness.spec.cell import Budget, Cell
from harness.spec.job import Job, Speed
from harness.spec.optimizers import Adam
from harness.spec.recipe import Recipe
from harness.spec.spellings import short
from harness.store import Record, Store
from suites import twins

# Samples a batch, so that a step takes about a millisecond on one core of a small machine.
BATCHES = {"numpy": 768, "torch": 32, "tensorflow": 32, "jax": 512}
PROBLEM = "digits-64-64-64-10"
# Blocks as short as a verdict's noise allows: what disturbs a block lasts longer than it, and spares the next.
SETTINGS = Speed(blocks=120, block_seconds=0.005)
ALARMS, DETECTED = 0.02, 0.9  # the goals: upper bound of alarms, lower bound of detections


class Found(NamedTuple):
    """What some comparisons came to."""

    verdicts: list[speed.Verdict]
    step: float  # seconds, the median of all blocks of the left side
    longest: float  # seconds of a comparison, processes and compiling included


def verdict(left: Record, right: Record) -> speed.Verdict:
    """What a comparison of two records says of right over left."""
    sides = {s.job.cell.backend: s for group in speed.groups([left, right]) for s in group.steady}
    return speed.ratio(sides[right.job.cell.backend], sides[left.job.cell.backend]).verdict


def compare(left: str, right: str, batch: int, measure: Speed) -> tuple[Record, Record]:
    """Time two backends in turn, in new processes of their own."""
    problem = case(PROBLEM).problem
    recipe, budget = Recipe(Adam(lr=0.001)), Budget(steps=100, batch=batch)
    cells = [Cell(problem, recipe, budget, name, implementation="shipped") for name in (left, right)]
    jobs = [Job(cell, measure, fingerprint(sys.executable, cell.backend, problem, 1)) for cell in cells]
    found: dict[str, Record] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        Store.create(Path(folder), {}) as store,
        Local(store, Settings(), lambda record: found.update({record.job.cell.backend: record})) as local,
    ):
        local.run(jobs)
    for record in found.values():
        if record.status != "ok":
            raise SystemExit(f"{record.job.cell.backend}: {record.status}: {record.reason}")
    return found[left], found[right]


def repeat(backend: str, other: str, comparisons: int, measure: Speed) -> Found:
    """Compare a backend with its twin of that kind (RIGHT, SLOWED), again and again."""
    left, right = (f"suites.twins:{backend.upper()}_{side}" for side in ("LEFT", other))
    verdicts, steps, longest = [], [], 0.0
    for _ in range(comparisons):
        started = time.perf_counter()
        records = compare(left, right, BATCHES[backend], measure)
        longest = max(longest, time.perf_counter() - started)
        verdicts.append(verdict(*records))
        steps += records[0].series("step_seconds")["value"].tolist()
    return Found(verdicts, float(np.median(steps)), longest)


def alarms(found: Found) -> str:
    """Verdicts on equal sides: each that is not undecided is an alarm."""
    counted = power.rate(sum(verdict != "undecided" for verdict in found.verdicts), len(found.verdicts))
    goal = _goal(counted.high <= ALARMS, f"≤ {ALARMS:.0%}")
    return f"{_share(counted)}; 95 % bound: at most {counted.high:.1%}, {goal}"


def detections(found: Found) -> str:
    """Verdicts on a slowed side: each that says so is a detection."""
    counted = power.rate(found.verdicts.count("longer"), len(found.verdicts))
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
    parser.add_argument("--seconds", type=float, default=10.0, help="that a comparison may take")
    parser.add_argument("--backend", choices=BATCHES, default="numpy")
    parser.add_argument(
        "--planted", type=float, help="slow one side down by this share, and count how often it is seen"
    )
    parser.add_argument("--blocks", type=int, default=SETTINGS.blocks)
    parser.add_argument("--block-seconds", type=float, default=SETTINGS.block_seconds)
    asked = parser.parse_args()
    measure = Speed(blocks=asked.blocks, block_seconds=asked.block_seconds)
    print(f"{asked.backend}, {asked.comparisons} comparisons, {short(measure)}", flush=True)
    if asked.planted is None:
        found = repeat(asked.backend, "RIGHT", asked.comparisons, measure)
        print(f"false alarms: {alarms(found)}")
    else:
        os.environ[twins.SHARE] = str(asked.planted)
        found = repeat(asked.backend, "SLOWED", asked.comparisons, measure)
        print(f"planted {asked.planted:.0%} found: {detections(found)}")
    took = f"a step took {found.step * 1e3:.2f} ms, the longest comparison {found.longest:.1f} s"
    print(f"{took}, {'within' if found.longest <= asked.seconds else 'longer than'} {asked.seconds:g} s")


if __name__ == "__main__":
    main()
