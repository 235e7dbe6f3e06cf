"""The two backends, opened once, and a run of one cell on either."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from backends import jax, reference
from harness.backend import Backend, Integers, Parameters, Steps, Trainer
from harness.problems import task as tasks
from harness.spec.cell import Budget, Cell
from harness.spec.problem import Problem
from harness.spec.recipe import Recipe


class Run(NamedTuple):
    """A trainer, where it started, and what its first block gave."""

    trainer: Trainer
    start: Parameters
    steps: Steps

    def distance(self, other: "Run") -> float:
        """The largest distance of a tensor from its counterpart, over the largest distance that it moved there."""
        mine, theirs = self.trainer.parameters(), other.trainer.parameters()
        return max(float(np.abs(mine[n] - w).max() / np.abs(w - self.start[n]).max()) for n, w in theirs.items())


@pytest.fixture(scope="session")
def backend() -> Backend:
    return jax.BACKEND.open(threads=1)


@pytest.fixture(scope="session")
def make(backend: Backend) -> Callable[..., tuple[Trainer, Parameters, Integers]]:
    """A trainer of a cell at its start, the start and the batch order; ``on`` is "jax" or "reference"."""
    backends = {"jax": backend, "reference": reference.BACKEND.open(threads=1)}

    def make(
        problem: Problem,
        recipe: Recipe,
        budget: Budget,
        on: str = "jax",
        precision: str = "float64",
        implementation: str = "exact",
    ) -> tuple[Trainer, Parameters, Integers]:
        cell = Cell(problem, recipe, budget, on, implementation, precision=precision)
        task = tasks.make(problem)
        start = tasks.initial(task, 0)
        order = tasks.order(task.samples, budget, 0)
        return backends[on].trainer(cell, task, start, len(order), observe=True), start, order

    return make


@pytest.fixture(scope="session")
def run(make: Callable[..., tuple[Trainer, Parameters, Integers]]) -> Callable[..., Run]:
    """The same, trained for its budget."""

    def run(*cell: Problem | Recipe | Budget, **words: str) -> Run:
        trainer, start, order = make(*cell, **words)
        return Run(trainer, start, trainer.train(order))

    return run
