"""Convergence: where training ends, and when it gets to the problem's target, over seeds.

A run that diverged counts as one that did not reach the target and ended worse than any other: it is never dropped.
Runs that failed or ran out of time say nothing about training; they are counted apart.
"""

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from msgspec.structs import replace

from harness.judge.speed import Contender, First, Floats, Integers, Steady, contender
from harness.problems.catalogue import target
from harness.spec.cell import Budget, Cell
from harness.spec.job import Convergence
from harness.spec.problem import Network
from harness.store import Record


@dataclass(frozen=True)
class Spread:
    """The median of some runs, from the lowest to the highest; inf (a loss, a step) or −inf (a metric): lost."""

    median: float
    low: float
    high: float
    runs: int

    def scaled(self, factor: float) -> "Spread":
        """Every number times ``factor``."""
        return Spread(self.median * factor, self.low * factor, self.high * factor, self.runs)


@dataclass(frozen=True)
class Run:
    """One training run."""

    record: Record

    @cached_property
    def diverged_at(self) -> int | None:
        """The step whose loss was not finite."""
        if self.record.status != "diverged":
            return None
        steps, losses = self.points("loss")
        broken = steps[~np.isfinite(losses)]
        return int(broken.min()) if broken.size else None

    def points(self, series: str) -> tuple[Integers, Floats]:
        """Steps and values of a series."""
        return self._points.get(series, (np.empty(0, dtype=np.int64), np.empty(0)))

    @property
    def series(self) -> set[str]:
        """The names of all series."""
        return set(self._points)

    @cached_property
    def _points(self) -> dict[str, tuple[Integers, Floats]]:
        """Every series: the table is cut once, by numbers that stand for names, for comparing names is slow."""
        table = self.record.table
        codes, names = pd.factorize(table["series"])
        steps, values = table["step"].to_numpy(), table["value"].to_numpy()
        chosen = {str(name): codes == code for code, name in enumerate(names)}
        return {name: (steps[rows], values[rows]) for name, rows in chosen.items()}

    def final(self, series: str) -> float:
        """The last value of an evaluated series ("loss/test", "metric/validation"); ±inf where training was lost."""
        lost = -math.inf if series.startswith("metric") else math.inf
        steps, values = self.points(series)
        if not steps.size:
            return math.nan
        value = float(values[np.argmax(steps)])
        return value if self.record.status == "ok" and math.isfinite(value) else lost

    def steps_to(self, target: float, series: str) -> float:
        """The first evaluation that met the target; inf if none did, or if the run diverged after it."""
        if self.record.status != "ok":
            return math.inf
        steps, values = self.points(series)
        met = steps[values >= target if series.startswith("metric") else values <= target]
        return float(met.min()) if met.size else math.inf


@dataclass(frozen=True)
class Trial:
    """One cell but for its seed, run by one contender."""

    cell: Cell  # of the lowest seed
    contender: Contender
    records: tuple[Record, ...]  # by seed

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The runs that trained, to their end or to divergence."""
        return tuple(Run(record) for record in self.records if record.status in ("ok", "diverged"))

    @property
    def diverged(self) -> int:
        """How many runs diverged."""
        return sum(run.record.status == "diverged" for run in self.runs)

    def final(self, series: str) -> Spread | None:
        """Where the runs ended; None where the series does not exist."""
        values = [value for run in self.runs if not math.isnan(value := run.final(series))]
        return spread(values) if values else None

    @property
    def target(self) -> float | None:
        """What counts as solved, if the catalogue says so."""
        return target(self.cell.problem)

    @property
    def judged_by(self) -> str:
        """The series that the target is about; on the training part where the problem has no validation part."""
        if not isinstance(self.cell.problem, Network):
            return "loss/training"
        return "metric/validation" if self.cell.problem.data.validation else "metric/training"

    @cached_property
    def steps_to_target(self) -> Spread | None:
        """Updates until the first evaluation that meets the target; None without target or runs."""
        if self.target is None or not self.runs:
            return None
        return spread([run.steps_to(self.target, self.judged_by) for run in self.runs])

    @property
    def reached(self) -> int:
        """How many runs met the target."""
        if self.target is None:
            return 0
        return sum(math.isfinite(run.steps_to(self.target, self.judged_by)) for run in self.runs)


@dataclass(frozen=True)
class Cost:
    """Seconds to the target, reckoned: steps × steady seconds a step of the same cell, the first call beside it."""

    seconds: Spread
    steady: Steady
    first: First | None


def trials(records: Iterable[Record]) -> list[Trial]:
    """All convergence records, those of all seeds together."""
    found: dict[tuple[object, ...], list[Record]] = {}
    for record in records:
        if isinstance(record.job.measure, Convergence):
            cell = {field: getattr(record.job.cell, field) for field in Cell.__struct_fields__ if field != "seed"}
            question = (*cell.values(), record.job.measure, contender(record.job))
            found.setdefault(question, []).append(record)
    return [_trial(group) for group in found.values()]


def cost(trial: Trial, steady: Iterable[Steady], first_calls: Iterable[First]) -> Cost | None:
    """What reaching the target costs; None where no speed of the same cell was measured or there is no target."""
    steps, asked = trial.steps_to_target, (_timed(trial.cell), trial.contender)
    measured = sorted((s for s in steady if (_timed(s.job.cell), s.contender) == asked), key=_seed)
    if steps is None or not measured:
        return None
    firsts = (first for first in first_calls if (_timed(first.record.job.cell), contender(first.record.job)) == asked)
    return Cost(steps.scaled(measured[0].seconds.value), measured[0], next(firsts, None))


def spread(values: Sequence[float]) -> Spread:
    """Median, lowest and highest, where some may be infinite."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else _between(ordered[middle - 1], ordered[middle])
    return Spread(median, ordered[0], ordered[-1], len(ordered))


def _trial(records: Sequence[Record]) -> Trial:
    ordered = sorted(records, key=lambda record: record.job.cell.seed)
    return Trial(ordered[0].job.cell, contender(ordered[0].job), tuple(ordered))


@functools.cache
def _timed(cell: Cell) -> Cell:
    """What the seconds of a step depend on: not the seed, not how long training lasts."""
    return replace(cell, seed=0, budget=Budget(steps=1, batch=cell.budget.batch))


def _seed(steady: Steady) -> int:
    return steady.job.cell.seed


def _between(low: float, high: float) -> float:
    """The mean; half-way to what was lost is lost."""
    return low if low == high else (low + high) / 2
