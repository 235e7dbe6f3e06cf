"""An observed run as arrays: what its record's long table holds of it, and what theory expected at its start."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from harness.health.gains import Expected, expected
from harness.problems import task as tasks
from harness.problems.task import Task
from harness.spec.architecture import Place, places
from harness.spec.cell import Cell
from harness.spec.job import Health
from harness.spec.problem import Network
from harness.store import Record

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Integers = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


@dataclass(frozen=True)
class Track:
    """A series: its steps, in order, and its value at each."""

    steps: Integers
    values: Floats

    def __len__(self) -> int:
        return len(self.steps)


NOTHING = Track(np.zeros(0, np.int64), np.zeros(0))


class Seen:
    """A run that was measured by ``Health``."""

    def __init__(self, record: Record) -> None:
        assert isinstance(record.job.measure, Health)
        self.record = record
        self.cell: Cell = record.job.cell
        self.measure: Health = record.job.measure
        self.tracks: dict[tuple[str, str], Track] = {}
        for (name, tensor), rows in record.table.groupby(["series", "tensor"], observed=True, sort=False):
            ordered = rows.sort_values(["step", "index"])
            self.tracks[str(name), str(tensor)] = Track(ordered["step"].to_numpy(), ordered["value"].to_numpy())

    def track(self, name: str, tensor: str = "") -> Track:
        """A series of a tensor or layer (of the whole, where ""); an empty one where it was not observed."""
        return self.tracks.get((name, tensor), NOTHING)

    @cached_property
    def task(self) -> Task:
        """The problem made concrete."""
        return tasks.make(self.cell.problem)

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """The layers in order; none of a function."""
        problem = self.cell.problem
        return tuple(places(problem.model, self.task.inputs)) if isinstance(problem, Network) else ()

    @property
    def batch(self) -> int:
        """Samples a step."""
        return tasks.batch_size(self.task.samples, self.cell.budget)

    @property
    def steps(self) -> int:
        """Steps that were made."""
        return len(self.track("loss"))

    @cached_property
    def expected(self) -> Expected | None:
        """What theory expects at the start, on the run's first batch; None of functions and batches of one sample."""
        problem = self.cell.problem
        if not isinstance(problem, Network):
            return None
        part = self.task.parts["training"]
        first = tasks.order(self.task.samples, self.cell.budget, self.cell.seed)[0]
        if len(first) < 2:
            first = np.arange(min(len(part.x), 32), dtype=first.dtype)
        return expected(problem, part.x[first], part.y[first])
