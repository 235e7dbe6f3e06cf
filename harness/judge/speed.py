"""Speed: seconds a step, ratios between contenders, and the first call.

Blocks that were measured in turn (one session) are compared block by block, so that a slow moment of the machine
hits both sides; across sessions every block is compared with every block. A ratio is the median of those ratios, with
a percentile-bootstrap interval of 95 %: processes are resampled first, then their blocks, for the blocks of a process
share its draw of addresses (two-stage resampling: Davison and Hinkley, *Bootstrap Methods and their Application*, 1997,
3.8; of four processes it covers less than it says, as the median of six to twenty blocks does, 93 %). An interval that
includes 1 decides nothing, and neither does a ratio within ``MARGIN``: another session of the same two programs moves
it by as much. Where the two were not timed in turn it moves by much more, and the margin is ``APART``
(``docs/measuring.md``). Of two hosts nothing is decided: machines of one name differ, and nobody knows by how much.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from msgspec.structs import replace

from harness.backend import Origin
from harness.spec.cell import Cell
from harness.spec.job import FirstCall, Job, Speed
from harness.spec.recipe import Recipe
from harness.store import Record

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Integers = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
Verdict = Literal["longer", "shorter", "undecided"]

RESAMPLES = 4000
# With n blocks all ratios fall on one side of 1 by chance with probability 2·2⁻ⁿ: below 5 % from six blocks on.
FEWEST_BLOCKS = 6
MARGIN = 0.025
APART = 0.1  # of equal sides, a process each, seconds apart, one in ten was beyond 4 % and the farthest 8.3 %


class Contender(NamedTuple):
    """Who computes: a backend in one environment, whatever the problem."""

    backend: str
    python: str
    packages: tuple[tuple[str, str], ...]
    code: str
    machine: str
    threads: int
    flags: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval; nan where there are too few values for one."""

    value: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Steady:
    """Seconds a step of one contender in one cell, block by block."""

    record: Record
    blocks: Mapping[int, float]

    @property
    def job(self) -> Job:
        """The job that measured it."""
        return self.record.job

    @property
    def contender(self) -> Contender:
        """Who was measured."""
        return contender(self.job)

    @cached_property
    def key(self) -> str:
        """The record's key."""
        return self.record.key

    @property
    def session(self) -> str:
        """What was measured in turn shares a session; empty if unknown."""
        return self.record.facts.get("session", "")

    @property
    def host(self) -> str:
        """Where it was measured; empty if unknown."""
        return self.record.facts.get("host", "")

    @property
    def processes(self) -> int:
        """How many processes the blocks are of, as many of each."""
        measure = self.job.measure
        assert isinstance(measure, Speed)
        return measure.processes if len(self.blocks) == measure.blocks * measure.processes else 1

    @property
    def composed(self) -> tuple[str, ...]:
        """The pieces that this cell uses and the framework does not ship."""
        return composed(self.record)

    @cached_property
    def seconds(self) -> Interval:
        """The median block."""
        return median(np.array([self.blocks[block] for block in sorted(self.blocks)]), self.key, self.processes)


@dataclass(frozen=True)
class Ratio:
    """How many times as long a step of one contender takes as a step of another."""

    of: Steady
    to: Steady
    factor: Interval
    paired: bool  # measured in turn; else "not interleaved"
    logs: Floats  # ln of the bootstrap's ratios

    @property
    def composed(self) -> bool:
        """Whether composed code is involved: such ratios stay out of summaries."""
        return bool(self.of.composed or self.to.composed)

    @property
    def elsewhere(self) -> bool:
        """Whether the two are known to have been measured on different hosts."""
        return bool(self.of.host and self.to.host and self.of.host != self.to.host)

    @property
    def decidable(self) -> bool:
        """Whether there are enough blocks, of one host."""
        return min(len(self.of.blocks), len(self.to.blocks)) >= FEWEST_BLOCKS and not self.elsewhere

    @property
    def verdict(self) -> Verdict:
        """What may be said."""
        return decide(self.factor, margin(self.paired)) if self.decidable else "undecided"


@dataclass(frozen=True)
class Group:
    """One cell, timed with several contenders, the quickest first."""

    cell: Cell  # without its backend
    steady: tuple[Steady, ...]

    @cached_property
    def ratios(self) -> tuple[Ratio, ...]:
        """Every contender over every quicker one."""
        return tuple(ratio(of, to) for to, of in itertools.combinations(self.steady, 2))

    @cached_property
    def fastest(self) -> Steady | None:
        """The contender that is quicker than each other one beyond the noise; composed code does not compete."""
        native = [s for s in self.steady if not s.composed]
        if len(native) < 2:
            return None
        over = [r for r in self.ratios if r.to is native[0] and not r.composed]
        return native[0] if all(r.verdict == "longer" for r in over) else None


@dataclass(frozen=True)
class Overall:
    """The geometric mean of two contenders' ratios over several cells, composed code left out."""

    of: Contender
    to: Contender
    factor: Interval
    ratios: tuple[Ratio, ...]

    @property
    def verdict(self) -> Verdict:
        """What may be said: undecided too where a single cell has too few blocks, or those of two hosts."""
        paired = all(r.paired for r in self.ratios)
        return decide(self.factor, margin(paired)) if all(r.decidable for r in self.ratios) else "undecided"


@dataclass(frozen=True)
class First:
    """Seconds of a first call in a new process: medians over the processes."""

    record: Record
    imports: float
    build: float
    first_step: float
    second_step: float
    compiling: float  # first step − second step: about what tracing and compiling took

    @property
    def total(self) -> float:
        """Seconds until the first step is made."""
        return self.imports + self.build + self.first_step


def contender(job: Job) -> Contender:
    """Who runs a job. The data, though part of the environment, belongs to the problem."""
    e = job.environment
    packages, flags = (tuple(sorted(pairs.items())) for pairs in (e.packages, e.flags))
    return Contender(job.cell.backend, e.python, packages, e.code, e.machine, e.threads, flags)


def composed(record: Record) -> tuple[str, ...]:
    """The composed pieces that a record's cell really uses."""
    return tuple(piece for piece, origin in used(record.job.cell.recipe, record.plan).items() if origin.how != "native")


def used(recipe: Recipe, plan: Mapping[str, Origin]) -> dict[str, Origin]:
    """The pieces of a plan that a recipe uses: a clip, penalty, decay or schedule only if it has one."""
    absent = {
        name
        for name, piece in (
            ("clip", recipe.clip),
            ("penalty", recipe.penalty),
            ("decay", recipe.decay),
            ("schedule", recipe.schedule),
        )
        if piece.spelling() in ("none", "constant")
    }
    return {name: origin for name, origin in plan.items() if name not in absent}


def groups(records: Iterable[Record]) -> list[Group]:
    """The speed records that hold numbers, by the question that they share."""
    shared: dict[tuple[Cell, Speed], list[Steady]] = {}
    for record in records:
        if isinstance(record.job.measure, Speed) and record.status == "ok":
            question = replace(record.job.cell, backend=""), record.job.measure
            rows = record.series("step_seconds")
            blocks = dict(zip(rows["step"].tolist(), rows["value"].tolist(), strict=True))
            shared.setdefault(question, []).append(Steady(record, blocks))
    return [Group(cell, tuple(sorted(rivals, key=_quickest))) for (cell, _), rivals in shared.items()]


def ratio(of: Steady, to: Steady) -> Ratio:
    """Seconds of one over seconds of the other."""
    shared = sorted(of.blocks.keys() & to.blocks.keys())
    paired = bool(shared) and of.session == to.session != ""
    if paired:
        ratios = np.array([of.blocks[block] / to.blocks[block] for block in shared])
        whole = len(shared) == len(of.blocks) == len(to.blocks)
        samples = _medians(ratios, of.key + to.key, of.processes if whole else 1)
    else:
        a, b = (np.array([s.blocks[block] for block in sorted(s.blocks)]) for s in (of, to))
        ratios = a[:, None] / b[None, :]
        rows, columns = _draws(of.key, a.size, of.processes), _draws(to.key, b.size, to.processes)
        resampled = ratios[rows[:, :, None], columns[:, None, :]].reshape(RESAMPLES, -1)
        samples = np.median(resampled, axis=1) if min(a.size, b.size) > 1 else np.full(RESAMPLES, np.nan)
    return Ratio(of, to, interval(float(np.median(ratios)), samples), paired, np.log(samples))


def overall(groups: Sequence[Group]) -> list[Overall]:
    """For each pair of contenders the geometric mean of their ratios, slower over quicker."""
    found: dict[tuple[Contender, Contender], list[Ratio]] = {}
    for r in (r for group in groups for r in group.ratios if not r.composed):
        pair = (r.of.contender, r.to.contender)
        if pair[::-1] in found:
            pair, r = pair[::-1], Ratio(r.to, r.of, _inverse(r.factor), r.paired, -r.logs)
        found.setdefault(pair, []).append(r)
    means = [_overall(of, to, ratios) for (of, to), ratios in found.items()]
    return sorted(means, key=lambda m: (m.to, m.of))


def first_calls(records: Iterable[Record]) -> list[First]:
    """The first calls that hold numbers."""
    found = []
    for record in records:
        if isinstance(record.job.measure, FirstCall) and record.status == "ok":
            imports, build, first, second = (
                record.series(f"{phase}_seconds").sort_values("step")["value"].to_numpy()
                for phase in ("import", "build", "first_step", "second_step")
            )
            medians = [float(np.median(seconds)) for seconds in (imports, build, first, second, first - second)]
            found.append(First(record, medians[0], medians[1], medians[2], medians[3], compiling=medians[4]))
    return found


def median(values: Floats, seed: str, processes: int = 1) -> Interval:
    """The median with its bootstrap interval; ``seed`` is made of record keys."""
    return interval(float(np.median(values)), _medians(values, seed, processes))


def interval(value: float, samples: Floats) -> Interval:
    """A value with the 2.5 % and 97.5 % points of its bootstrap."""
    low, high = np.percentile(samples, (2.5, 97.5))
    return Interval(value, float(low), float(high))


def margin(paired: bool) -> float:
    """What a ratio must be beyond, as a fraction."""
    return MARGIN if paired else APART


def decide(factor: Interval, margin: float) -> Verdict:
    """Longer or shorter only if the interval leaves out 1 and the ratio itself lies beyond the margin."""
    if factor.low > 1 and factor.value > 1 + margin:
        return "longer"
    return "shorter" if factor.high < 1 and factor.value < 1 / (1 + margin) else "undecided"


def _overall(of: Contender, to: Contender, ratios: Sequence[Ratio]) -> Overall:
    value = math.exp(np.mean([math.log(r.factor.value) for r in ratios]))
    mean = Overall(of, to, interval(value, np.exp(np.mean([r.logs for r in ratios], axis=0))), tuple(ratios))
    if value >= 1:
        return mean
    turned = tuple(Ratio(r.to, r.of, _inverse(r.factor), r.paired, -r.logs) for r in ratios)
    return Overall(to, of, _inverse(mean.factor), turned)


def _inverse(factor: Interval) -> Interval:
    return Interval(1 / factor.value, 1 / factor.high, 1 / factor.low)


def _draws(seed: str, size: int, processes: int) -> Integers:
    """Which blocks each resample takes: as many processes as there are, of each as many blocks as it has.

    The seed is made of record keys, so cells are resampled independently.
    """
    rng, each = np.random.default_rng(int(seed, 16)), size // processes
    which = rng.integers(0, processes, (RESAMPLES, processes, 1))
    return (each * which + rng.integers(0, each, (RESAMPLES, processes, each))).reshape(RESAMPLES, size)


def _medians(values: Floats, seed: str, processes: int) -> Floats:
    """The medians of the resamples; nan from a single block, which says nothing about noise."""
    if values.size < 2:
        return np.full(RESAMPLES, np.nan)
    return np.asarray(np.median(values[_draws(seed, values.size, processes)], axis=1))


def _quickest(steady: Steady) -> tuple[float, str]:
    return float(np.median(list(steady.blocks.values()))), steady.key
