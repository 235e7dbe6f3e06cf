"""What evaluations decide while training goes on: when a plateau cuts the rate, and when training stops."""

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np

from harness.backend import Evaluation, Integers, Steps
from harness.measure.run import Run
from harness.spec.schedules import Plateau
from harness.spec.stopping import AtTarget, EarlyStopping, ToTheEnd


class Trains(Protocol):
    """What is asked of a trainer here."""

    @property
    def evaluate(self) -> Callable[[str], Evaluation]:
        """As ``backend.Trainer``'s."""
        ...

    @property
    def rescale(self) -> Callable[[float], None]:
        """As ``backend.Trainer``'s."""
        ...

    def train(self, order: Integers) -> Steps:
        """As ``backend.Trainer``'s; may end at a loss that is not finite."""
        ...


class Feedback:
    """Trains through blocks, and evaluates in between where the schedule or the stopping rule asks for it."""

    def __init__(self, run: Run, trainer: Trains) -> None:
        self.run, self.trainer = run, trainer
        self.part = "validation" if "validation" in run.task.parts else "training"
        schedule, stop = run.cell.recipe.schedule, run.cell.budget.stop
        self.plateau = OnPlateau(schedule) if isinstance(schedule, Plateau) else None
        self.stop = None if isinstance(stop, ToTheEnd) else Stop(stop)
        self.rules = [rule for rule in (self.plateau, self.stop) if rule is not None]
        self.stopped: int | None = None  # updates made when it ended before its budget
        self.cuts: list[tuple[int, float]] = []  # the first step after each, and the plateau's factor from then on

    def train(self, begin: int, end: int) -> Steps:
        """Steps ``begin`` … ``end`` − 1 of the run, or as far as it goes."""
        bounds = sorted({begin, end} | {at for rule in self.rules for at in range(0, end, rule.every) if at > begin})
        blocks = []
        for first, last in zip(bounds[:-1], bounds[1:], strict=True):
            blocks.append(self.trainer.train(self.run.order[first:last]))
            self._decide(last)
            if self.stopped is not None or not np.isfinite(blocks[-1].loss).all():
                break
        return _joined(blocks)

    def _decide(self, step: int) -> None:
        due = [rule for rule in self.rules if step % rule.every == 0]
        if not due:
            return
        found = self.trainer.evaluate(self.part)
        if self.plateau in due and self.plateau is not None and self.plateau.cuts(found.loss):
            self.trainer.rescale(self.plateau.scale)
            self.cuts.append((step, self.plateau.scale))
        if self.stop in due and self.stop is not None and self.stop.ends(found):
            self.stopped = step


class OnPlateau:
    """The factor of a ``Plateau`` so far."""

    def __init__(self, spec: Plateau) -> None:
        self.spec, self.every = spec, spec.every
        self.scale, self.best, self.bad, self.resting = 1.0, math.inf, 0, 0

    def cuts(self, loss: float) -> bool:
        """Whether this loss cuts the rate."""
        if math.isinf(self.best) or loss < self.best - self.spec.threshold * abs(self.best):
            self.best, self.bad = loss, 0
        elif self.resting:
            self.bad = 0
        else:
            self.bad += 1
        self.resting = max(self.resting - 1, 0)
        if self.bad < self.spec.patience or self.scale <= self.spec.floor:
            return False
        self.scale = max(self.scale * self.spec.factor, self.spec.floor)
        self.bad, self.resting = 0, self.spec.cooldown
        return True


class Stop:
    """Whether an evaluation ends the training."""

    def __init__(self, spec: EarlyStopping | AtTarget) -> None:
        self.spec, self.every = spec, spec.every
        self.best, self.bad = math.inf, 0

    def ends(self, found: Evaluation) -> bool:
        """Whether it does."""
        if isinstance(self.spec, AtTarget):
            return found.loss <= self.spec.value if found.metric is None else found.metric >= self.spec.value
        if math.isinf(self.best) or found.loss < self.best - self.spec.by:
            self.best, self.bad = found.loss, 0
        else:
            self.bad += 1
        return self.bad >= self.spec.patience


def _joined(blocks: list[Steps]) -> Steps:
    norms = [block.norms for block in blocks if block.norms is not None]
    return Steps(
        np.concatenate([block.loss for block in blocks]),
        np.concatenate([block.penalty for block in blocks]),
        np.concatenate(norms) if norms else None,
    )
