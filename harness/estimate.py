"""How long jobs will take, before they run: for ``--dry-run`` and for the time left."""

import functools
import math
from collections.abc import Iterable

from harness.environment import cores
from harness.measure.speed import FEWEST_STEPS, WARMING
from harness.problems import task as tasks
from harness.spec import architecture
from harness.spec.job import TIMED, Agreement, Convergence, FirstCall, Health, Job, Memory, Speed
from harness.spec.layers import (
    GRU,
    LSTM,
    Attention,
    BatchNorm,
    Conv2D,
    Flatten,
    Layer,
    LayerNorm,
    Reshape,
    Residual,
    Shape,
    SimpleRNN,
)
from harness.spec.problem import Network, Problem, RandomGradients

# Seconds on a small two-core machine, dense networks of a few thousand parameters: start of a worker, build and
# first step of a new cell, one step. Only proportions matter once the first jobs are done.
DENSE = 5.0  # the operations of a network of three dense layers, of which the seconds below are
_START = {"tensorflow": 8.0, "torch": 3.0, "jax": 2.0}
_BUILD = {"tensorflow": 1.0, "jax": 1.5}
TOGETHER = 10  # comparisons whose processes are started together (``execute.local``)
_PACE = 0.01  # what is timed beside a block
_BY_SIZE = 2e-8  # more for each parameter of an update that is timed alone
_STEP = {"tensorflow": 1.5e-3, "torch": 0.8e-3, "jax": 0.3e-3, "numpy": 0.15e-3, "reference": 0.3e-3}


def seconds(job: Job) -> float:
    """A rough estimate for one job, its worker's start apart."""
    backend, measure = job.cell.backend, job.measure
    start, build, step = _START.get(backend, 1.0), _BUILD.get(backend, 0.05), _STEP.get(backend, 1e-3)
    match measure:
        case Agreement() | Convergence() | Health():
            samples, operations = _size(job.cell.problem)
            return (build / _sharing(job) + step * tasks.total_steps(samples, job.cell.budget)) * operations / DENSE
        case Speed(blocks=blocks, block_seconds=block, warm_up=warm_up, processes=processes):
            each = step + _BY_SIZE * _parameters(job.cell.problem)
            steps = max(block / each, FEWEST_STEPS)
            warming = min(max(warm_up, steps / WARMING), steps)
            one = build + (blocks + 1) * ((steps + warming) * each + _PACE)
            return processes * one
        case FirstCall(processes=processes):
            return processes * (start + build)
        case Memory(steps=steps):
            return start + build + steps * step


def _parameters(problem: Problem) -> int:
    """Where there are so many that they, and not the calls, take the time."""
    return problem.parameters or 0 if isinstance(problem, RandomGradients) else 0


@functools.cache
def _size(problem: Problem) -> tuple[int, float]:
    """Training samples, and the operations of one step: a layer is one, a recurrent one as many as its time steps."""
    task = tasks.make(problem)
    if not isinstance(problem, Network):
        return task.samples, DENSE
    places = architecture.places(problem.model, task.inputs)
    return task.samples, sum(_operations(place.layer, place.inputs) for place in places)


def _operations(layer: Layer, inputs: Shape) -> float:
    match layer:
        case SimpleRNN() | LSTM() | GRU():
            return inputs[0]
        case Attention():
            return 6
        case Conv2D() | BatchNorm() | LayerNorm():
            return 2
        case Flatten() | Reshape() | Residual():
            return 0.1
        case _:
            return 1


def _sharing(job: Job) -> float:
    """Seeds share compiled code; three seeds are the usual number."""
    return 2.0 if isinstance(job.measure, Convergence) else 1.0


def total(jobs: Iterable[Job], threads: int) -> float:
    """Seconds for all jobs: untimed ones side by side, timed ones one at a time, in workers of their own."""
    jobs = list(jobs)
    untimed = sum(seconds(job) for job in jobs if not isinstance(job.measure, TIMED))
    timed = sum(seconds(job) for job in jobs if isinstance(job.measure, TIMED))
    processes = dict.fromkeys((job.cell.backend for job in jobs), 1.0)
    for job in jobs:
        if isinstance(job.measure, Speed):
            processes[job.cell.backend] += job.measure.processes / TOGETHER
    starts = sum(_START.get(backend, 1.0) * math.ceil(count) for backend, count in processes.items())
    return (untimed + starts) / max(1, cores() // threads) + timed
