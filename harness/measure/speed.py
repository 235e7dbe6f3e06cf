"""Seconds: steady steps in blocks, and the first call."""

import gc
import time

import numpy as np

from harness.measure.bandwidth import Bandwidth
from harness.measure.cores import Cores
from harness.measure.run import Outcome, Run
from harness.measure.series import series
from harness.spec.job import Speed
from harness.spec.traffic import traffic

FEWEST_STEPS, MOST_STEPS = 5, 2000  # of one block
PILOT = 20  # steps from which the length of a block is chosen


class Stopwatch:
    """Times blocks of steps of one opened run, each from the same start, between two fences."""

    def __init__(self, run: Run, what: Speed, threads: int) -> None:
        self.run, self.what = run, what
        # What runs on a GPU is not slowed down by its host's threads, and may need several.
        self.cores = Cores(threads) if run.cell.device == "cpu" else None
        total = max(len(run.order), what.warm_up + MOST_STEPS)
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
        return self.cores.facts() if self.cores is not None else {}

    def block(self) -> float:
        """Seconds a step over one block; starting over and warming up stay outside the clock."""
        if self.cores is not None:
            self.cores.hold()
        return self._block()

    def _block(self) -> float:
        begin = min(self.what.warm_up, self.steps)
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

    def bandwidth(self) -> float | None:
        """Bytes a second of scaling in place, measured beside a block of updates; None for those without a floor."""
        return self.scaling() if self.scaling is not None else None


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
