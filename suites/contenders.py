"""Who is measured: a backend in one of its modes, each in a worker process, as in ``gradgauge run``.

asv starts a process for every combination of parameters; that process asks a worker, which is started with the threads
and flags of its backend, and imports no framework itself.
"""

import atexit
import functools
import os
import sys
from collections.abc import Mapping

from asv_runner.benchmarks.mark import SkipNotImplemented

from harness import environment, registry
from harness.errors import GradgaugeError, InvalidInput
from harness.execute.process import Process
from harness.frames import Reply, Request
from harness.problems.catalogue import case
from harness.spec.base import to_json
from harness.spec.cell import Budget, Cell
from harness.spec.job import Job, Measure
from harness.spec.optimizers import Adam
from harness.spec.problem import Problem, RandomGradients
from harness.spec.recipe import Recipe
from harness.study import all_devices
from suites import sidecar

LIMIT = 600.0  # seconds; asv's own limit is below


def device(asked: str) -> str:
    """Where all workers compute, as ``GRADGAUGE_DEVICE`` asks for it."""
    if asked not in all_devices():
        raise InvalidInput(f"GRADGAUGE_DEVICE={asked}: must be one of {', '.join(all_devices())}")
    return asked


def threads(asked: str) -> int:
    """The threads of each worker, as ``GRADGAUGE_THREADS`` asks for them."""
    if not asked.isdecimal() or not int(asked):
        raise InvalidInput(f"GRADGAUGE_THREADS={asked}: must be a whole number, 1 or more. Each worker gets so many")
    return int(asked)


DEVICE = device(os.environ.get("GRADGAUGE_DEVICE", "cpu"))
THREADS = threads(os.environ.get("GRADGAUGE_THREADS", "1"))

EACH = ["numpy eager", "torch eager", "tensorflow graph", "jax jit"]  # every framework, as most of its users run it
KERNELS = ["numpy eager", "torch single", "torch foreach", "torch fused", "tensorflow graph", "jax jit"]
MODES = [
    *("numpy eager", "torch eager", "torch single", "torch foreach", "torch fused", "torch compile"),
    *("tensorflow graph", "tensorflow eager", "tensorflow xla", "jax jit"),
]
ARCHITECTURES = {
    "MLP": "digits-64-64-64-10",
    "CNN": "digits-cnn",
    "LSTM": "digits-rows-lstm",
    "transformer": "digits-transformer",
}


def cell(contender: str, problem: Problem, recipe: Recipe, batch: int) -> Cell:
    """What a contender is to train: as shipped, in float32."""
    backend, _, mode = contender.partition(" ")
    budget = Budget(steps=100, batch=batch)
    return Cell(problem, recipe, budget, backend, "shipped", DEVICE, "float32", mode)


def name(cell: Cell) -> str:
    """The contender of a cell."""
    return f"{cell.backend} {cell.mode}"


def architecture(name: str) -> Problem:
    """The problem that stands for an architecture."""
    return case(ARCHITECTURES[name]).problem


ADAM = Recipe(Adam(lr=0.001))  # what steps the networks, where nothing else is said
NETWORKS = (*map(architecture, ARCHITECTURES), ADAM)


def parameters(number: int, tensors: int = 1) -> Problem:
    """So many parameters with a gradient that is simply there."""
    return RandomGradients(samples=1, parameters=number, tensors=tensors)


def missing(backend: str) -> str | None:
    """Why a backend cannot run here, if it cannot."""
    declaration = registry.find(backend)
    if DEVICE not in declaration.devices:
        return f"{backend} does not run on {DEVICE}"
    return registry.missing(declaration, DEVICE)


def job(cell: Cell, measure: Measure) -> Job:
    """The job; skipped, with the reason, where it cannot run."""
    reason = missing(cell.backend)
    if reason is not None:
        raise SkipNotImplemented(reason)
    try:
        place = environment.fingerprint(sys.executable, cell.backend, cell.problem, THREADS, cell.device)
        return Job(cell, measure, place)
    except InvalidInput as error:
        raise SkipNotImplemented(str(error)) from None


@functools.cache
def worker(backend: str) -> Process:
    """The one worker of this process."""
    started = Process(backend, sys.executable, THREADS)
    atexit.register(started.kill)
    return started


def ask(job: Job, what: str) -> Reply:
    """The worker's answer; what is unsupported is skipped with its reason, what fails fails."""
    reply = worker(job.cell.backend).ask(Request(what, to_json(job)), LIMIT)  # type: ignore[arg-type]
    if reply.status == "unsupported":
        raise SkipNotImplemented(reply.reason)
    if reply.status not in ("ok", "diverged"):
        raise GradgaugeError(f"{job.cell.backend}: {reply.reason}")
    return reply


def note(job: Job, facts: Mapping[str, str]) -> None:
    """Keep what a worker told when it answered, beside asv's results."""
    here = {name: value for name, value in facts.items() if name not in ("session", "host")}  # asv names its machines
    additional = registry.additional(registry.find(job.cell.backend), DEVICE)
    sidecar.note(job.cell.backend, {**additional, **here}, job.environment.flags)
