"""The two backends, opened once, and a run of one cell on either."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from backends import reference, tensorflow
from harness.backend import Backend, Integers, Parameters, Steps, Trainer
from harness.problems import task as tasks
from harness.spec.cell import Budget, Cell
from harness.spec.problem import Problem
from harness.spec.recipe import Recipe


class Run(NamedTuple):
    """A trainer, where it started, and what its first block gave."""

    trainer: Trainer
    start: Parameters
    order: Integers
    steps: Steps

    def distance(self, other: "Run") -> float:
        """The largest distance of a tensor from its counterpart, over the largest distance that it moved there."""
        mine, theirs = self.trainer.parameters(), other.trainer.parameters()
        return max(float(np.abs(mine[n] - w).max() / np.abs(w - self.start[n]).max()) for n, w in theirs.items())


@pytest.fixture(scope="session")
def backend() -> Backend:
    return tensorflow.BACKEND.open(threads=1)


@pytest.fixture(scope="session")
def run(backend: Backend) -> Callable[..., Run]:
    """Train the cell of a recipe for a block; ``on`` is "tensorflow" or "reference"."""
    backends = {"tensorflow": backend, "reference": reference.BACKEND.open(threads=1)}

    def train(
        problem: Problem,
        recipe: Recipe,
        budget: Budget,
        on: str = "tensorflow",
        precision: str = "float64",
        implementation: str = "exact",
    ) -> Run:
        cell = Cell(problem, recipe, budget, on, implementation, precision=precision)
        task = tasks.make(problem)
        start = tasks.initial(task, 0)
        order = tasks.order(task.samples, budget, 0)
        trainer = backends[on].trainer(cell, task, start, len(order), observe=True)
        return Run(trainer, start, order, trainer.train(order))

    return train
