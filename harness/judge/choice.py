"""Choosing λ by cross-validation, and c by raising it until results stop improving.

Settings stand in order, the one that constrains most first: the largest λ, the smallest c, and none at the end. Each
has the mean of its scores over folds and seeds, and that mean's standard error. Chosen is the first setting whose mean
is no worse than the best one's by more than the best one's standard error: of those that cannot be told from the best,
the simplest model (the one-standard-error rule of Breiman, Friedman, Olshen & Stone, *Classification and Regression
Trees*, 1984), and the lowest clip from which raising it further no longer improves the result. The score is the
validation loss at the end, ∞ for a run that diverged.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from msgspec.structs import replace

from harness.judge.convergence import Trial
from harness.judge.speed import Contender
from harness.spec.cell import Cell
from harness.spec.problem import Network
from harness.spec.recipe import L1, L2, Clip, GlobalNorm, NoClip, NoPenalty, Penalty, PerTensor

What = Literal["penalty", "clip"]
Settings = dict[Penalty | Clip, list[Trial]]
FEWEST = 3  # settings, the one without among them
SCORE = "loss/validation"


class Tried(NamedTuple):
    """One setting."""

    setting: Penalty | Clip
    scores: tuple[float, ...]  # over folds and seeds

    @property
    def name(self) -> str:
        """λ or c."""
        match self.setting:
            case L1(rate=rate) | L2(rate=rate):
                return f"λ = {rate:g}"
            case GlobalNorm(c=c) | PerTensor(c=c):
                return f"c = {c:g}"
            case _:
                return "none"

    @property
    def mean(self) -> float:
        """Of the scores."""
        return float(np.mean(self.scores))

    @property
    def error(self) -> float:
        """The mean's standard error; 0 of a single score, which says nothing of noise."""
        return float(np.std(self.scores, ddof=1) / math.sqrt(len(self.scores))) if len(self.scores) > 1 else 0.0


@dataclass(frozen=True)
class Choice:
    """What one contender's runs say of one problem and recipe, but for the setting."""

    what: What
    contender: Contender
    cell: Cell  # of the first setting, without its fold
    folds: int
    tried: tuple[Tried, ...]  # the one that constrains most first

    @property
    def best(self) -> Tried:
        """The lowest mean."""
        return min(self.tried, key=lambda one: one.mean)

    @property
    def chosen(self) -> Tried:
        """The first that the best is not better than by more than its standard error."""
        return next(one for one in self.tried if one.mean <= self.best.mean + self.best.error)


def choices(trials: Sequence[Trial]) -> list[Choice]:
    """λ where problems have folds, c where several were tried; of settings that differ in nothing else."""
    found: dict[tuple[What, Contender, Cell], Settings] = {}
    for trial in trials:
        for what in _asked(trial):
            recipe = trial.cell.recipe
            setting = recipe.penalty if what == "penalty" else recipe.clip
            without = replace(recipe, penalty=NoPenalty()) if what == "penalty" else replace(recipe, clip=NoClip())
            cell = replace(_whole(trial.cell), recipe=without)
            found.setdefault((what, trial.contender, cell), {}).setdefault(setting, []).append(trial)
    return [
        Choice(what, contender, cell, max(map(len, some.values())), _tried(some))
        for (what, contender, cell), settings in found.items()
        for some in _by_kind(settings)
        if len(some) >= FEWEST
    ]


def _by_kind(settings: Settings) -> Iterator[Settings]:
    """Settings of one kind, beside the one without."""
    none = {setting: trials for setting, trials in settings.items() if isinstance(setting, NoPenalty | NoClip)}
    for kind in dict.fromkeys(type(setting) for setting in settings if setting not in none):
        if none:
            yield {setting: trials for setting, trials in settings.items() if type(setting) is kind} | none


def _asked(trial: Trial) -> list[What]:
    """What this trial may be one setting of."""
    problem, recipe = trial.cell.problem, trial.cell.recipe
    if not trial.runs or not isinstance(problem, Network) or trial.final(SCORE) is None:
        return []
    folded = problem.data.fold is not None and isinstance(recipe.penalty, L1 | L2 | NoPenalty)
    asked: list[What] = ["penalty"] if folded else []
    return asked + (["clip"] if isinstance(recipe.clip, GlobalNorm | PerTensor | NoClip) else [])


def _whole(cell: Cell) -> Cell:
    """A cell of all folds together."""
    problem = cell.problem
    if not isinstance(problem, Network) or problem.data.fold is None:
        return replace(cell, seed=0)
    return replace(cell, seed=0, problem=replace(problem, data=replace(problem.data, fold=0)))


def _tried(settings: Settings) -> tuple[Tried, ...]:
    tried = [
        Tried(setting, tuple(run.final(SCORE) for trial in trials for run in trial.runs))
        for setting, trials in settings.items()
    ]
    return tuple(sorted(tried, key=lambda one: _freedom(one.setting)))


def _freedom(setting: Penalty | Clip) -> float:
    """Grows with what a setting leaves free."""
    match setting:
        case L1(rate=rate) | L2(rate=rate):
            return -rate
        case GlobalNorm(c=c) | PerTensor(c=c):
            return c
        case _:
            return math.inf
