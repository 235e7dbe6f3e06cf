"""An opened cell: what every measurement starts from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from harness.backend import Backend, Integers, Parameters, Trainer
from harness.measure.series import Series
from harness.problems import task as tasks
from harness.problems.task import Task
from harness.spec.cell import Budget, Cell


class Outcome(NamedTuple):
    """What a measurement found; ``diverged`` is the first step whose loss is not finite."""

    series: list[Series]
    diverged: int | None = None


@dataclass(frozen=True)
class Run:
    """A cell with its data, its start and its batch order; ``build`` makes (or reuses) the trainer."""

    cell: Cell
    task: Task
    start: Parameters
    order: Integers
    build: Callable[[bool, int], Trainer]  # (observe, steps the schedule spans) → a trainer at step 0

    def trainer(self, observe: bool = False) -> Trainer:
        """A trainer at the start of the run."""
        return self.build(observe, len(self.order))

    def extended(self, steps: int) -> Integers:
        """The batch order for ``steps`` steps, whatever the budget."""
        return tasks.order(self.task.samples, Budget(steps=steps, batch=self.cell.budget.batch), self.cell.seed)


class Builder:
    """Builds trainers, and reuses the last one where only seed or start differ: compiled code is kept."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.last: tuple[object, Trainer] | None = None

    def open(self, cell: Cell, task: Task, start: Parameters) -> Run:
        """The cell, ready to be measured."""
        return Run(
            cell,
            task,
            start,
            tasks.order(task.samples, cell.budget, cell.seed),
            lambda observe, steps: self._trainer(cell, task, start, observe, steps),
        )

    def _trainer(self, cell: Cell, task: Task, start: Parameters, observe: bool, steps: int) -> Trainer:
        same = (cell.problem, cell.recipe, cell.implementation, cell.device, cell.precision, cell.mode, observe, steps)
        if self.last is not None and self.last[0] == same:
            self.last[1].reset(start)
            return self.last[1]
        self.last = None  # frees the old one before the new one is built
        trainer = self.backend.trainer(cell, task, start, steps, observe)
        self.last = (same, trainer)
        return trainer


def first_not_finite(losses: np.ndarray) -> int | None:
    """The first step whose loss is not finite."""
    bad = np.flatnonzero(~np.isfinite(losses))
    return int(bad[0]) if bad.size else None
