"""Measured once, read by many tracks: what the suites that are not timed by asv project from one study.

asv calls a class's ``setup_cache`` once in each environment, pickles what it returns and hands it to every track, and
shares it between classes that inherit it from one place. The study runs as under ``gradgauge run``: a worker for each
framework, timed jobs alone on the machine and interleaved. What could not run is in the result with its reason, and
its tracks are skipped.
"""

import itertools
import math
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from asv_runner.benchmarks.mark import SkipNotImplemented
from msgspec.structs import replace

from harness import study as studies
from harness.errors import GradgaugeError
from harness.execute.local import Local, Settings
from harness.judge import convergence, speed
from harness.spec.architecture import is_weight
from harness.spec.job import Convergence, Measure, Speed
from harness.spec.recipe import GlobalNorm
from harness.store import Record, Store
from harness.study import Grid, Study, find_case
from suites import contenders, meaning

# Name → case and epochs: a ReLU network that learns at once, a sigmoid one from a small start that takes its time. Long
# enough that every recipe which can meet the target does.
PROBLEMS = {"digits": ("digits-64-64-64-10", 10), "breast cancer": ("sigmoid-binary", 45)}
# Name → optimizer, clip, penalty. The last one is there to diverge, on the digits.
RECIPES = {
    "SGD": ("sgd[lr=0.1]", "none", "none"),
    "SGD, clipped": ("sgd[lr=0.1]", "global_norm[0.5]", "none"),
    "SGD, L1": ("sgd[lr=0.1]", "none", "l1[1e-4]"),
    "SGD, L2": ("sgd[lr=0.1]", "none", "l2[1e-4]"),
    "Adam": ("adam[lr=0.001]", "none", "none"),
    "Adam, clipped": ("adam[lr=0.001]", "global_norm[0.5]", "none"),
    "Adam, L1": ("adam[lr=0.001]", "none", "l1[1e-4]"),
    "Adam, L2": ("adam[lr=0.001]", "none", "l2[1e-4]"),
    "Adam, clipped, L2": ("adam[lr=0.001]", "global_norm[0.5]", "l2[1e-4]"),
    "SGD, rate too large": ("sgd[lr=1e4]", "none", "none"),
}
# Seconds of one process: it is one of twenty combinations each that are timed, and asv has one number of them.
MEASURES = (Convergence(evaluations=20, norms_every=1), Speed(processes=1))


class Failure(str):
    """Why there is no number, where there should have been one."""


Figure = float | str  # a number, or why there is none
Figures = Mapping[tuple[str, ...], Mapping[str, Figure]]  # (contender, …) → name → figure


def grid(problem: str, recipe: str, contender: str, what: Measure) -> Grid:
    """A problem and a recipe by their names, by one contender."""
    case, epochs = PROBLEMS[problem]
    optimizer, clip, penalty = RECIPES[recipe]
    backend, _, mode = contender.partition(" ")
    return Grid(
        what,
        (case,),
        (optimizer,),
        (clip,),
        (penalty,),
        backends=(backend,),
        devices=(contenders.DEVICE,),
        modes=(mode,),
        implementation="shipped",
        epochs=epochs,
        batch=32,
    )


def measured(grids: Iterable[Grid], named: Callable[[Record], tuple[str, ...]]) -> dict[tuple[str, ...], list[Record]]:
    """The records of a study of these grids, by the parameters of the tracks that read them; none of who is missing."""
    possible = tuple(grid for grid in grids if not any(map(contenders.missing, grid.backends)))
    found: dict[tuple[str, ...], list[Record]] = {}
    if not possible:
        return found
    with tempfile.TemporaryDirectory() as folder, Store.create(Path(folder), {}) as store:
        settings = Settings(threads=contenders.THREADS, limit=contenders.LIMIT)
        with Local(store, settings, lambda record: None) as local:
            local.run(studies.select(Study("suite", "", possible), contenders.THREADS).jobs)
        told: dict[str, dict[str, str]] = {}  # by backend: a timed record tells of cores, others do not
        for record in store.records():
            found.setdefault(named(record), []).append(record)
            told.setdefault(record.job.cell.backend, {}).update(record.facts)
            contenders.note(record.job, told[record.job.cell.backend])
    return found


def figure(figures: Figures, name: str, *parameters: str) -> float:
    """One figure, finite; skipped, with the reason, where there is none to be had; an error where it broke."""
    if parameters not in figures:
        backend = parameters[0].partition(" ")[0]
        raise SkipNotImplemented(contenders.missing(backend) or f"{backend} was not measured")
    found = figures[parameters][name]
    if isinstance(found, Failure):
        raise GradgaugeError(found)
    if isinstance(found, str):
        raise SkipNotImplemented(found)
    if not math.isfinite(found):
        raise SkipNotImplemented(f"not finite: {found}")
    return found


def silence(record: Record) -> str:
    """Why a record has no numbers: one that failed or ran out of time broke."""
    reason = f"{record.status}: {record.reason}"
    return reason if record.status in ("unsupported", "diverged") else Failure(reason)


def version() -> str:
    """Of the problems as they are, and of all that is asked of them but the device."""
    asked = [grid(*one, contenders.EACH[0], what) for *one, what in itertools.product(PROBLEMS, RECIPES, MEASURES)]
    cases = [find_case(case) for case, _ in PROBLEMS.values()]
    return meaning.version((*cases, *(replace(one, devices=()) for one in asked)))


class Trained:
    """What the tracks of trained runs share."""

    params = [contenders.EACH, list(PROBLEMS), list(RECIPES)]
    param_names = ["contender", "problem", "recipe"]
    version = version()
    timeout = 60.0

    def setup_cache(self) -> Figures:
        """Train every problem with every recipe in every framework, and time the same steps."""
        grids = [grid(*one) for one in itertools.product(PROBLEMS, RECIPES, contenders.EACH, MEASURES)]
        names = {
            (find_case(PROBLEMS[problem][0]).problem, spec): (problem, recipe)
            for problem, recipe in itertools.product(PROBLEMS, RECIPES)
            for spec in studies.recipes(
                grid(problem, recipe, contenders.EACH[0], MEASURES[0]), find_case(PROBLEMS[problem][0])
            )
        }
        records = measured(
            grids, lambda r: (contenders.name(r.job.cell), *names[r.job.cell.problem, r.job.cell.recipe])
        )
        return {parameters: trained(group) for parameters, group in records.items()}

    setup_cache.timeout = 1800.0  # type: ignore[attr-defined]


def trained(records: list[Record]) -> dict[str, Figure]:
    """What one recipe's run in one framework gives, lower is better in all; a reason where there is no number."""
    (trial,) = convergence.trials(records)
    (run,) = trial.runs or (None,)
    if run is None:
        return dict.fromkeys(FIGURES, silence(trial.records[0]))
    loss = run.final("loss/training")
    diverged = run.record.status == "diverged" or not math.isfinite(loss)  # the last update may be what loses it
    found: dict[str, Figure] = {"diverged": float(diverged)}
    if diverged:
        reason = f"diverged: {run.record.reason or 'the loss at the end is not finite'}"
        return {**dict.fromkeys(FIGURES, reason), **found, "missed target": 1.0}
    found["loss"] = loss
    assert trial.target is not None
    steps = run.steps_to(trial.target, trial.judged_by)
    found["missed target"] = float(not np.isfinite(steps))
    steady = [s.seconds.value for group in speed.groups(records) for s in group.steady]
    if np.isfinite(steps):
        found["steps"] = steps
        found["seconds"] = steps * steady[0] if steady else next(silence(r) for r in records if r is not run.record)
    else:
        found |= dict.fromkeys(("steps", "seconds"), f"{trial.judged_by} did not reach {trial.target:g}")
    return found | gradients(run.record)


def gradients(record: Record) -> dict[str, Figure]:
    """Orders of magnitude between the first and the last layer's gradient, and how often the clip bound.

    |log10(‖g of the last weight‖/‖g of the first‖)|: the median over all steps, and the largest. The clip rate is the
    share of steps whose global norm is above the threshold.
    """
    rows = record.series("gradient_norm")
    norms = rows.pivot(index="step", columns="tensor", values="value")
    weights = [name for name in dict.fromkeys(rows["tensor"]) if is_weight(name)]
    first, last = (norms[name].to_numpy() for name in (weights[0], weights[-1]))
    alive = (first > 0) & (last > 0) & np.isfinite(first) & np.isfinite(last)
    found: dict[str, Figure] = dict.fromkeys(("depth", "worst depth"), "the first or last layer has no gradient")
    if alive.any():
        decades = np.abs(np.log10(last[alive] / first[alive]))
        found |= {"depth": float(np.median(decades)), "worst depth": float(decades.max())}
    clip = record.job.cell.recipe.clip
    if isinstance(clip, GlobalNorm):
        found["clip rate"] = float(np.mean(np.sqrt((norms.to_numpy() ** 2).sum(axis=1)) > clip.c))
    else:
        found["clip rate"] = "the recipe has no clip"
    return found


FIGURES = ("loss", "steps", "seconds", "missed target", "diverged", "depth", "worst depth", "clip rate")
