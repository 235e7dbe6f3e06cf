"""The floor: how many times as long an update takes as what it must move at least takes.

floor = bytes that the formula must read and write (``harness.spec.traffic``) / bandwidth of reading and writing in
place, measured beside each block by NumPy, on as many threads, over as large a working set
(``harness.measure.bandwidth``). The multiple is the median over blocks of seconds / floor, block by block, with its
bootstrap interval.

Nothing that makes the whole update moves less, so a multiple below 1 says that the bandwidth was measured while the
machine was slower. A multiple of 2 or 3 where the parameters do not fit the caches says that the update passes over
memory that many times; a large one at few parameters is the cost of the calls.
"""

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from harness.judge import speed
from harness.judge.speed import Interval
from harness.problems import task as tasks
from harness.spec.job import Job, Speed
from harness.spec.problem import Problem
from harness.spec.traffic import traffic
from harness.store import Record


@dataclass(frozen=True)
class Multiple:
    """An update that was timed alone, held against its floor."""

    record: Record
    parameters: int
    tensors: int
    seconds: float  # of one update, the median block
    floor: float  # seconds, the median block
    factor: Interval  # seconds over floor, paired by block

    @property
    def job(self) -> Job:
        """The job that measured it."""
        return self.record.job


def has_floor(record: Record) -> bool:
    """Whether a record holds an update's seconds with the bandwidth beside them."""
    measure = record.job.measure
    return (
        isinstance(measure, Speed)
        and measure.phase == "update"
        and record.status == "ok"
        and not record.series("bandwidth").empty
    )


def multiples(records: Iterable[Record]) -> list[Multiple]:
    """Every update that has a floor, the smallest first."""
    found = [_multiple(record) for record in records if has_floor(record)]
    return sorted(found, key=lambda m: (m.parameters, m.tensors, m.record.key))


def _multiple(record: Record) -> Multiple:
    cell = record.job.cell
    least = traffic(cell.recipe.optimizer)
    assert least is not None, "a bandwidth is measured for updates with a floor only"
    parameters, tensors = size(cell.problem)
    moved = least.moved * parameters * np.dtype(cell.precision).itemsize
    seconds, bandwidth = (
        record.series(name).sort_values("step")["value"].to_numpy() for name in ("step_seconds", "bandwidth")
    )
    floors = moved / bandwidth
    factor = speed.median(seconds / floors, record.key)
    return Multiple(record, parameters, tensors, float(np.median(seconds)), float(np.median(floors)), factor)


@functools.cache
def size(problem: Problem) -> tuple[int, int]:
    """How many parameters, in how many tensors."""
    shapes = tasks.make(problem).shapes.values()
    return sum(math.prod(shape) for shape in shapes), len(shapes)
