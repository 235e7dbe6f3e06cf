"""An observed run as arrays: what its record's long table holds of it, and what theory expected at its start."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from harness.findings import answers
from harness.health.gains import Expected, expected
from harness.problems import task as tasks
from harness.problems.task import Task
from harness.spec.activations import ACTIVATIONS
from harness.spec.architecture import Place, is_weight, output_shape, outputs, places
from harness.spec.cell import Budget, Cell
from harness.spec.job import Health
from harness.spec.layers import BatchNorm, LayerNorm, Residual
from harness.spec.problem import Network
from harness.spec.schedules import made
from harness.store import Record

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Integers = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
# Of the way from what the best constant answer loses to what the best linear one does: with more of it left at the
# end, a run has learned little.
UNLEARNED = 0.25
NOTHING_LEARNED = 0.9  # of the best constant answer's loss
TELLS = 0.95  # of the best constant answer's loss: a linear one that loses more tells nothing of what can be learned
SMOOTHED = 20  # parts of a run: over one of them, losses of single batches are averaged


@dataclass(frozen=True)
class Track:
    """A series: its steps, in order, and its value at each."""

    steps: Integers
    values: Floats

    def __len__(self) -> int:
        return len(self.steps)

    def since(self, step: int) -> Floats:
        """The values from that step on."""
        return self.values[self.steps >= step]

    def before(self, step: int) -> Floats:
        """The values before it."""
        return self.values[self.steps < step]


NOTHING = Track(np.zeros(0, np.int64), np.zeros(0))


class Weighted(NamedTuple):
    """A layer with parameters, and what stands behind it."""

    place: Place
    parameters: tuple[str, ...]
    activation: Place | None  # the next layer, or the one behind a normalisation
    normalised: bool  # whether a normalisation comes next, so that the scale of its weights does not matter


class Seen:
    """A run that was measured by ``Health``."""

    def __init__(self, record: Record) -> None:
        assert isinstance(record.job.measure, Health)
        self.record = record
        self.cell: Cell = record.job.cell
        self.measure: Health = record.job.measure
        self.tracks: dict[tuple[str, str], Track] = {}
        ordered = record.table.sort_values(["step", "index"], kind="stable")
        for (name, tensor), rows in ordered.groupby(["series", "tensor"], observed=True, sort=False):
            self.tracks[str(name), str(tensor)] = Track(rows["step"].to_numpy(), rows["value"].to_numpy())

    def track(self, name: str, tensor: str = "") -> Track:
        """A series of a tensor or layer (of the whole, where ""); an empty one where it was not observed."""
        return self.tracks.get((name, tensor), NOTHING)

    @cached_property
    def task(self) -> Task:
        """The problem made concrete."""
        return tasks.make(self.cell.problem)

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """The layers in order; none of a function."""
        problem = self.cell.problem
        return tuple(places(problem.model, self.task.inputs)) if isinstance(problem, Network) else ()

    @cached_property
    def weighted(self) -> tuple[Weighted, ...]:
        """The layers with parameters that are not normalisations."""
        found = []
        for i, place in enumerate(self.places):
            own = tuple(name for name in self.task.parameters if name.rpartition(".")[0] == place.name)
            if not any(is_weight(name) for name in own) or isinstance(place.layer, Residual):
                continue
            behind = [one for one in self.places[i + 1 : i + 3] if not isinstance(one.layer, Residual)]
            normalised = bool(behind) and isinstance(behind[0].layer, BatchNorm | LayerNorm)
            following = behind[1:] if normalised else behind[:1]
            active = following[0] if following and isinstance(following[0].layer, ACTIVATIONS) else None
            found.append(Weighted(place, own, active, normalised))
        return tuple(found)

    @cached_property
    def batch(self) -> int:
        """Samples a step."""
        return tasks.batch_size(self.task.samples, self.cell.budget)

    @property
    def steps(self) -> int:
        """Steps that were made."""
        return len(self.track("loss"))

    @cached_property
    def factors(self) -> Floats:
        """The schedule's factor at each step, and a plateau's as its cuts were made."""
        total, cuts = tasks.total_steps(self.task.samples, self.cell.budget), self.track("plateau_factor")
        return made(self.cell.recipe.schedule, total, cuts.steps.tolist(), cuts.values.tolist())[: self.steps]

    @cached_property
    def expected(self) -> Expected | None:
        """What theory expects at the start, on the run's first batch; None of functions."""
        problem = self.cell.problem
        return at_start(problem, self.cell.budget, self.cell.seed) if isinstance(problem, Network) else None

    @cached_property
    def constant(self) -> float:
        """The loss of a batch by the best constant answer; of a function, its first loss."""
        problem = self.cell.problem
        if not isinstance(problem, Network):
            return float(self.track("loss").values[0])
        return easy(problem, self.batch).constant

    @cached_property
    def constant_of_all(self) -> float:
        """The same of a whole part of the data, as evaluations are: one batch of all samples."""
        problem = self.cell.problem
        return easy(problem, self.batch).constant_of_all if isinstance(problem, Network) else self.constant

    @cached_property
    def linear(self) -> float:
        """The loss of a batch by the best linear answer, where that tells what can be learned; else 0."""
        problem = self.cell.problem
        least = easy(problem, self.batch).linear if isinstance(problem, Network) else np.nan
        return least if least < TELLS * self.constant else 0.0

    @property
    def linear_of_all(self) -> float:
        """The same of all samples in one batch; NaN where it tells nothing."""
        problem = self.cell.problem
        least = easy(problem, self.batch).linear_of_all if isinstance(problem, Network) else np.nan
        return least if least < TELLS * self.constant_of_all else np.nan

    def units(self, layer: str) -> int:
        """The size of a layer's last axis."""
        place = next(place for place in self.places if place.name == layer)
        return output_shape(place.layer, place.inputs)[-1]

    @cached_property
    def smooth(self) -> Floats:
        """Of each step, the median loss of the steps up to it, ``smoothed`` of them where there are so many."""
        losses, over = self.track("loss").values, self.smoothed
        return np.array([np.median(losses[max(i - over + 1, 0) : i + 1]) for i in range(len(losses))])

    @property
    def smoothed(self) -> int:
        """Over how many steps losses are averaged: a ``SMOOTHED``-th of the run, ten at least."""
        return max(self.steps // SMOOTHED, 10)

    @cached_property
    def plateau(self) -> float:
        """The share of the run after which the loss is below nine tenths of the best constant answer's for good."""
        over = np.flatnonzero(~(self.smooth < 0.9 * self.constant))
        return float((over[-1] + 1) / self.steps) if over.size else 0.0

    def left(self, step: int | None = None) -> float:
        """The loss at a step (the end, if left out) over the best constant answer's: 1 and more is nothing learned."""
        if not self.steps:
            return np.nan
        last = self.smooth[-1 if step is None else min(step, self.steps - 1)]
        return float(last / self.constant) if np.isfinite(last) and self.constant > 0 else np.inf

    def unlearned(self) -> float:
        """The share of what the best linear answer gains over the best constant one that the loss ends without."""
        floor = self.linear / self.constant if self.linear else 0.0
        return max((self.left() - floor) / (1 - floor), 0.0) if self.steps else np.nan


@lru_cache(maxsize=256)  # it takes seconds, and backends share it
def at_start(problem: Network, budget: Budget, seed: int) -> Expected:
    """What theory expects on the first batch; of batches of one sample, on the first 32."""
    task = tasks.make(problem)
    part = task.parts["training"]
    first = tasks.order(task.samples, budget, seed)[0]
    if len(first) < 2:
        first = np.arange(min(len(part.x), 32), dtype=first.dtype)
    return expected(problem, part.x[first], part.y[first])


class Easy(NamedTuple):
    """What answers lose that take no training, on the training samples."""

    constant: float  # a batch
    constant_of_all: float  # all in one batch
    linear: float  # a batch; NaN where nobody knows
    linear_of_all: float


@lru_cache(maxsize=256)  # it takes up to a second, and runs of one problem share it
def easy(problem: Network, batch: int) -> Easy:
    """What the best constant and the best linear answer lose, of a batch of that size."""
    task = tasks.make(problem)
    (x, y), loss, shape = task.parts["training"], problem.loss, outputs(problem.model, task.inputs)
    constant = answers.losses(loss, answers.constant(loss, y, shape), y)
    fit = answers.linear(loss, x, y, shape)
    linear = np.full(len(y), np.nan) if fit is None else answers.losses(loss, fit, y)
    return Easy(
        answers.of_a_batch(loss, constant, shape, batch),
        answers.of_all(loss, constant, shape),
        answers.of_a_batch(loss, linear, shape, batch),
        answers.of_all(loss, linear, shape),
    )
