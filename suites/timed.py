"""Seconds a step as asv records them: a clock that a worker's fenced blocks drive.

asv would time its call of this process; what is to be timed happens in a worker, in blocks of many steps that start
anew, warm up and fence outside their own clock (``harness.measure.speed``). So the ``timer`` that asv reads stands
still but for a block's seconds a step. The same stopwatch serves ``gradgauge run``; asv's part is the repetition, the
statistics and the history. ``setup`` opens the worker's stopwatch once in a process; that asv calls it before every
sample costs nothing that is timed.
"""

import functools
from collections.abc import Sequence

from harness.spec.base import Spec, from_json, to_json
from harness.spec.cell import Cell
from harness.spec.job import Job, Speed
from suites import contenders, meaning


class Clock:
    """Seconds that have been measured so far."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


clock = Clock()


@functools.cache
def _open(job: bytes) -> None:
    """Have the worker build, compile and choose the length of a block."""
    opened = from_json(Job, job)
    contenders.note(opened, contenders.ask(opened, "open").facts)


class Timed:
    """What timed benchmarks share; a subclass says what is measured, and names its own ``time_`` method."""

    number, rounds, warmup_time = 1, 1, 0.0
    repeat = (10, 20, 2.0)  # at least, at most, in about so many seconds
    min_run_count = 5
    timeout = 300.0
    timer = clock
    phase = "step"
    computes: Sequence[Spec] = ()  # what the version is to follow

    @property
    def measure(self) -> Speed:
        """How: the harness's own settings."""
        return Speed(phase=self.phase)  # type: ignore[arg-type]

    @property
    def version(self) -> str:
        """Of what is computed, and of the settings."""
        return meaning.version((self.measure, *self.computes))

    def open(self, cell: Cell) -> None:
        """Ready to measure a cell."""
        self.job = contenders.job(cell, self.measure)
        _open(to_json(self.job))

    def block(self) -> None:
        """One block: asv's clock goes on by its seconds a step."""
        clock.seconds += contenders.ask(self.job, "block").seconds
