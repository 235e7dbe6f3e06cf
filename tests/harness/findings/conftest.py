"""A run of the NumPy backend in this process, observed, as a record."""

import pytest

from harness import registry
from harness.measure import health
from harness.measure.run import Builder
from harness.measure.series import table
from harness.problems import task as tasks
from harness.spec.cell import Budget, Cell
from harness.spec.job import Environment, Health, Job
from harness.store import Record

ENVIRONMENT = Environment("3.11", {}, "", "", "", 1, {})


@pytest.fixture(scope="session")
def observe():
    builder = Builder(registry.find("numpy").open(threads=1))

    def observe(
        problem, recipe, steps=200, batch=32, every=4, window=3, faults=(), seed=0, precision="float32", **more
    ):
        measure = Health(every=every, window=window, evaluations=10, faults=faults, **more)
        cell = Cell(problem, recipe, Budget(steps=steps, batch=batch), "numpy", precision=precision, seed=seed)
        task = tasks.make(problem)
        outcome = health.measure(builder.open(cell, task, tasks.initial(task, seed)), measure)
        status = "ok" if outcome.diverged is None else "diverged"
        return Record(Job(cell, measure, ENVIRONMENT), status, table=table(outcome.series))

    return observe
