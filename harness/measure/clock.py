"""Whether a clock in this process sees all the work: with a fence and without, and in the phases that are timed.

A framework may return before it has computed. So matrix products are timed up to the return (unfenced) and up to the
fence. And what is timed in earnest, a phase of a trainer, is followed at once by one more product: it waits for
whatever the phase left undone, so it takes longer than on an idle device by as much as the phase's clock has missed.
"""

import time
from collections.abc import Callable

import numpy as np

from harness.backend import Backend, Phase, Trainer, Work
from harness.measure.series import Series, series
from harness.problems import catalogue
from harness.problems import task as tasks
from harness.spec.cell import Budget, Cell
from harness.spec.optimizers import Adam
from harness.spec.recipe import Recipe

REPEATS = 7
SECONDS = 0.05  # that a computation about takes
SIZES = {"cpu": 512, "cuda": 4096}  # of the matrices: a product takes milliseconds
MOST_PRODUCTS = 20  # a queue that is full makes even an asynchronous framework wait
PHASES: tuple[Phase, ...] = ("forward", "gradient", "update", "step")
PROBLEM, BATCH = "digits-64-64-64-10", 256
PILOT, MOST_STEPS = 10, 2000


def measure(backend: Backend, device: str) -> list[Series]:
    """Seconds, ``REPEATS`` of each.

    "unfenced" and "fenced": the same products. "idle": one product by itself. "PHASE": some steps of each phase; "PHASE
    left": one product right behind them. "twice": twice as many whole steps.
    """
    work = backend.work(device, SIZES[device])
    work.fence(work.start(1))  # compiles
    products = int(np.clip(SECONDS / _seconds(lambda: work.fence(work.start(1))), 1, MOST_PRODUCTS))
    found = {"idle": [_seconds(lambda: work.fence(work.start(1))) for _ in range(REPEATS)]}
    for _ in range(REPEATS):
        for name, seconds in zip(("unfenced", "fenced"), _both(work, products), strict=True):
            found.setdefault(name, []).append(seconds)
    trainer, rows = _trainer(backend, device)
    trainer.train(rows)  # compiles
    steps = {phase: _steps(trainer, phase, rows) for phase in PHASES}
    for _ in range(REPEATS):
        for phase in PHASES:
            found.setdefault(phase, []).append(_seconds(trainer.phase(phase, rows[: steps[phase]])))
            found.setdefault(f"{phase} left", []).append(_seconds(lambda: work.fence(work.start(1))))
        found.setdefault("twice", []).append(_seconds(trainer.phase("step", rows[: 2 * steps["step"]])))
    return [series(name, values) for name, values in found.items()]


def _steps(trainer: Trainer, phase: Phase, rows: np.ndarray) -> int:
    """How many of a phase take about as long as is wanted."""
    each = _seconds(trainer.phase(phase, rows[:PILOT])) / PILOT
    return int(np.clip(SECONDS / each, 5, len(rows) // 2))


def _both(work: Work, products: int) -> tuple[float, float]:
    """Seconds until the products are begun and until they are made."""
    started = time.perf_counter()
    made = work.start(products)
    begun = time.perf_counter() - started
    work.fence(made)
    return begun, time.perf_counter() - started


def _trainer(backend: Backend, device: str) -> tuple[Trainer, np.ndarray]:
    """A network whose steps take about a millisecond, and the batches of many steps."""
    cell = Cell(
        catalogue.case(PROBLEM).problem,
        Recipe(Adam()),
        Budget(steps=MOST_STEPS, batch=BATCH),
        "",
        implementation="shipped",
        device=device,
    )
    task = tasks.make(cell.problem)
    trainer = backend.trainer(cell, task, tasks.initial(task, 0), MOST_STEPS, observe=False)
    return trainer, tasks.order(task.samples, cell.budget, 0)


def _seconds(go: Callable[[], object]) -> float:
    started = time.perf_counter()
    go()
    return time.perf_counter() - started
