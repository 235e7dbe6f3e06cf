"""Loss curves: small multiples, one line a contender, a band over seeds."""

import math
from collections.abc import Sequence

import numpy as np

from harness.judge.convergence import Trial
from harness.judge.speed import Floats
from harness.report import commands
from harness.report.contenders import Contender
from harness.report.loss_sheet import Curve, Sheet
from harness.report.material import Material, Setting
from harness.report.section import Figure, Legend, Panel
from harness.report.words import counted, rest_text

POINTS = 60  # a curve's: losses are averaged over as many consecutive steps as that needs


def figures(material: Material, one: Setting, trials: Sequence[Trial], name: str) -> list[Figure]:
    """One figure for each clip (and other pieces), one panel an optimizer."""
    curves = {id(trial): _curve(material.of(trial.records[0].job), trial) for trial in trials if trial.runs}
    sheet = Sheet(list(curves.values()))
    rests: dict[str, dict[str, list[Trial]]] = {}
    for trial in trials:
        if trial.runs:
            panels = rests.setdefault(rest_text(trial.cell.recipe), {})
            panels.setdefault(material.optimizer(trial.cell.recipe), []).append(trial)
    found = []
    for position, (rest, panels) in enumerate(rests.items()):
        drawn = [
            Panel(
                sheet.svg([curves[id(t)] for t in group], f"{name}-{position}-{place}", f"Training loss, {optimizer}"),
                optimizer,
                _lost(group),
            )
            for place, (optimizer, group) in enumerate(panels.items())
        ]
        found.append(
            _figure(material, one, [t for group in panels.values() for t in group], rest, drawn, f"{name}-{position}")
        )
    return found


def _figure(
    material: Material, one: Setting, trials: Sequence[Trial], rest: str, panels: Sequence[Panel], name: str
) -> Figure:
    seeds = max(len(trial.runs) for trial in trials)
    width = _bin(max(_length(trial) for trial in trials))
    mean = f"Each point is the mean of {width} steps. " if width > 1 else ""
    among = f"Line: median of {seeds} seeds, band: lowest to highest. " if seeds > 1 else ""
    return Figure(
        name,
        f"Training loss, {one.name}, {rest or 'no clip'}",
        panels,
        note=f"{one.conditions}. {among}{mean}Lines are nested, the last on top and thinnest: where backends "
        "agree, all colours show as one striped line. ×: a run diverged here.",
        legend=[Legend(contender) for contender in material.present(trial.contender for trial in trials)],
        again=commands.again(material, (record for trial in trials for record in trial.records)),
        smallest=310,
    )


def _curve(contender: Contender, trial: Trial) -> Curve:
    length = _length(trial)
    width = _bin(length)
    rows, crosses = [], []
    for run in trial.runs:
        losses = np.full(-(-length // width) * width, np.nan)
        steps, values = run.points("loss")
        losses[steps] = values
        end = run.diverged_at
        if end is not None:
            before = losses[:end][np.isfinite(losses[:end])]
            crosses.append((float(end), float(before[-1]) if before.size else math.inf))
            losses[end:] = np.nan
        rows.append(_means(losses.reshape(-1, width), lost=end is not None))
    table = np.sort(np.array(rows), axis=0)  # what was lost sorts highest
    middle = len(rows) // 2
    median = table[middle] if len(rows) % 2 else (table[middle - 1] + table[middle]) / 2
    at = np.arange(table.shape[1], dtype=np.float64) * width + (width - 1) / 2
    return Curve(contender, at, median, table[0], table[-1], tuple(crosses))


def _means(binned: Floats, lost: bool) -> Floats:
    """The mean of each bin's finite losses; inf where a diverged run has none left."""
    finite = np.isfinite(binned)
    count = finite.sum(axis=1)
    mean = np.where(finite, binned, 0.0).sum(axis=1) / np.maximum(count, 1)
    return np.where(count > 0, mean, math.inf if lost else math.nan)


def _length(trial: Trial) -> int:
    return 1 + max(int(run.points("loss")[0].max(initial=0)) for run in trial.runs)


def _bin(length: int) -> int:
    return -(-length // POINTS)


def _lost(trials: Sequence[Trial]) -> str:
    diverged = sum(trial.diverged for trial in trials)
    runs = sum(len(trial.runs) for trial in trials)
    return f"{diverged} of {counted(runs, 'run')} diverged" if diverged else ""
