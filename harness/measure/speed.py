"""Seconds: steady steps in blocks, and the first call."""

import gc
import time
from typing import NamedTuple

import numpy as np

from harness.measure.bandwidth import Bandwidth
from harness.measure.cores import Cores
from harness.measure.pace import Pace
from harness.measure.run import Outcome, Run
from harness.measure.series import series
from harness.spec.job import Speed
from harness.spec.traffic import traffic

FEWEST_STEPS, MOST_STEPS = 5, 2000  # of one block
PILOT = 20  # steps from which the length of a block is chosen
# A block warms up for at least one step in so many that it times. What ran on the core right before weighs on a
# framework whose threads hand each other the work: 20 steps after a pace, JAX's perceptron took 1.03 times as long for
# the rest of a block; after 100, 1.00.
WARMING = 4


class Block(NamedTuple):
    """What was timed at once."""

    seconds: float  # of one step
    pace: float | None  # seconds of the product of ``measure.pace`` beside it; None where a host's core does not tell
    bandwidth: float | None  # bytes a second of scaling in place beside it; None of all but updates with a floor


class Stopwatch:
    """Times blocks of steps of one opened run, each from the same start, between two fences."""

    def __init__(self, run: Run, what: Speed, threads: int) -> None:
        self.run, self.what = run, what
        # What runs on a GPU is not slowed down by its host's threads, and may need several.
        on_host = run.cell.device == "cpu"
        self.cores, self.pace = Cores(threads) if on_host else None, Pace() if on_host else None
        total = max(len(run.order), max(what.warm_up, MOST_STEPS // WARMING) + MOST_STEPS)
        self.order = run.extended(total)
        self.trainer = run.build(False, total)
        self.steps = PILOT
        self._block()  # compiles
        gc.freeze()  # a framework's own objects are many, and collecting among them takes longer than a block
        self.steps = int(np.clip(round(what.block_seconds / self._block()), FEWEST_STEPS, MOST_STEPS))
        held = working_set(run) if what.phase == "update" else None
        self.scaling = Bandwidth(held, threads) if held is not None else None

    def close(self) -> None:
        """Undo what was done to the process."""
        gc.unfreeze()
        if self.cores is not None:
            self.cores.release()
        if self.scaling is not None:
            self.scaling.close()

    def facts(self) -> dict[str, str]:
        """What the blocks were timed on."""
        return {**self.cores.facts(), **self.pace.facts()} if self.cores is not None and self.pace is not None else {}

    def block(self) -> Block:
        """One block; starting over and warming up stay outside the clock."""
        if self.cores is None or self.pace is None:
            return Block(self._block(), None, None)
        self.cores.hold()
        before = self.pace()
        seconds = self._block()
        return Block(seconds, (before + self.pace()) / 2, self.scaling() if self.scaling is not None else None)

    def _block(self) -> float:
        begin = min(max(self.what.warm_up, self.steps // WARMING), self.steps)
        rows = self.order[begin : begin + self.steps]
        self.trainer.reset(self.run.start)
        gc.collect()  # before the steps that warm up: it leaves caches cold
        gc.disable()
        try:
            self.trainer.train(self.order[:begin])
            go = self.trainer.phase(self.what.phase, rows)
            started = time.perf_counter()
            go()
            return (time.perf_counter() - started) / len(rows)
        finally:
            gc.enable()


def working_set(run: Run) -> int | None:
    """Bytes of all arrays that an update touches; None where it has no floor, or not one that NumPy could measure."""
    least = traffic(run.cell.recipe.optimizer)
    if least is None or run.cell.device != "cpu":
        return None
    numbers = sum(values.size for values in run.start.values())
    return least.held * numbers * np.dtype(run.cell.precision).itemsize


def first_call(run: Run, import_seconds: float) -> Outcome:
    """Seconds to import the framework, to build, to make the first step (trace and compile) and the second."""
    started = time.perf_counter()
    trainer = run.trainer()
    built = time.perf_counter()
    trainer.train(run.order[:1])
    first = time.perf_counter()
    trainer.train(run.order[1:2])
    second = time.perf_counter()
    phases = {
        "import": import_seconds,
        "build": built - started,
        "first_step": first - built,
        "second_step": second - first,
    }
    return Outcome([series(f"{name}_seconds", np.array([seconds])) for name, seconds in phases.items()])
