"""What a warm worker adds to a job beside the job's own work.

``python -m suites.warm_worker`` sends the same small jobs through a worker process and a store, and does the same work
directly in this process, alternating; it prints the difference in milliseconds a job.
"""

import tempfile
import time
from pathlib import Path

import numpy as np

from harness import registry
from harness.execute.local import Local, Settings
from harness.measure import convergence
from harness.measure.run import Builder
from harness.problems import task as tasks
from harness.spec.job import Convergence, Job
from harness.store import Store
from harness.study import Grid, Study, select

JOBS, TURNS = 20, 10


def main() -> None:
    """Print the median over turns, with the spread."""
    grid = Grid(Convergence(), ("digits-64-64-64-10",), backends=("numpy",), seeds=JOBS * TURNS, steps=20)
    jobs = select(Study("warm-worker", "", (grid,))).jobs
    builder = Builder(registry.find("numpy").open(1))
    extra = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Store.create(Path(folder), {}) as store,
        Local(store, Settings(), lambda record: None) as local,
    ):
        local.run(jobs[:1])  # starts and warms the worker
        for turn in range(TURNS):
            some = jobs[turn * JOBS : (turn + 1) * JOBS]
            started = time.perf_counter()
            local.run(some)
            through = time.perf_counter() - started
            extra.append((through - _directly(some, builder)) / JOBS * 1e3)
    print(f"a warm worker adds {np.median(extra):.1f} ms a job ({min(extra):.1f} to {max(extra):.1f})")


def _directly(jobs: list[Job], builder: Builder) -> float:
    """Seconds of the jobs' own work."""
    task = tasks.make(jobs[0].cell.problem)
    started = time.perf_counter()
    for job in jobs:
        assert isinstance(job.measure, Convergence)
        convergence.measure(builder.open(job.cell, task, tasks.initial(task, job.cell.seed)), job.measure)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
