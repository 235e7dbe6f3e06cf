"""Loss curves: small multiples, one line a contender, a band over seeds."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from harness.judge.convergence import Trial
from harness.judge.speed import Floats
from harness.report import canvas, commands
from harness.report.material import Contender, Material, Setting
from harness.report.section import Figure, Legend, Panel
from harness.report.words import counted, rest_text

POINTS = 60  # a curve's: losses are averaged over as many consecutive steps as that needs
WIDTH, HEIGHT, MARGINS = 340.0, 170.0, (36.0, 8.0, 30.0, 6.0)


class Curve(NamedTuple):
    """One trial's losses: median, lowest and highest over seeds in each bin; where runs diverged."""

    contender: Contender
    steps: Floats
    median: Floats
    low: Floats
    high: Floats
    diverged: tuple[tuple[float, float], ...]  # step and last finite loss


def figures(material: Material, one: Setting, trials: Sequence[Trial], name: str) -> list[Figure]:
    """One figure for each clip (and other pieces), one panel an optimizer."""
    curves = {id(trial): _curve(material.of(trial.records[0].job), trial) for trial in trials if trial.runs}
    limits, logarithmic = _limits(list(curves.values()))
    rests: dict[str, dict[str, list[Trial]]] = {}
    for trial in trials:
        if trial.runs:
            panels = rests.setdefault(rest_text(trial.cell.recipe), {})
            panels.setdefault(material.optimizer(trial.cell.recipe), []).append(trial)
    found = []
    for position, (rest, panels) in enumerate(rests.items()):
        drawn = [
            Panel(
                _panel([curves[id(t)] for t in group], limits, logarithmic, f"{name}-{position}-{place}", optimizer),
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
    among = f"line: median of {seeds} seeds, band: lowest to highest. " if seeds > 1 else ""
    return Figure(
        name,
        f"Training loss, {one.name}, {rest or 'no clip'}",
        panels,
        note=f"{one.conditions}; {among}{mean}Lines are nested, the last on top and thinnest: where backends "
        "agree, all colours show as one striped line. ×: a run diverged here.",
        legend=[Legend(contender) for contender in material.present(trial.contender for trial in trials)],
        command=commands.run(material, one.problem, [trial.cell.recipe for trial in trials]),
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


def _limits(curves: Sequence[Curve]) -> tuple[tuple[float, float], bool]:
    """Limits that all panels of a setting share, and whether losses can be drawn as logarithms.

    The upper one is at most ten times the largest loss at the start: what blows up leaves the frame.
    """
    values = np.concatenate([v[np.isfinite(v)] for c in curves for v in (c.low, c.median, c.high)] or [np.ones(1)])
    starts = [float(c.median[0]) for c in curves if np.isfinite(c.median[0]) and not c.diverged]
    if values.min(initial=math.inf) <= 0:
        spread = float(np.ptp(values)) or 1.0
        return (float(values.min()) - 0.05 * spread, float(values.max()) + 0.05 * spread), False
    top = min(float(values.max()), 10 * max(starts, default=float(values.max())))
    return (max(float(values.min()) / 1.3, top * 1e-12), top * 1.3), True


def _panel(
    curves: Sequence[Curve], limits: tuple[float, float], logarithmic: bool, name: str, optimizer: str
) -> Markup:
    with canvas.axes(WIDTH, HEIGHT, MARGINS) as drawn:
        if logarithmic:
            drawn.set_yscale("log")
            _log_ticks(drawn, limits)
        for place, curve in enumerate(curves):
            colour = canvas.series(curve.contender.series)
            high = np.minimum(curve.high, limits[1] * 10) if logarithmic else curve.high
            shown = np.isfinite(curve.low)
            if len(curves) and not np.array_equal(curve.low, curve.high):
                drawn.fill_between(curve.steps[shown], curve.low[shown], high[shown], color=colour, alpha=0.13, lw=0)
            inside = np.where(np.isfinite(curve.median), curve.median, np.nan)
            drawn.plot(curve.steps, inside, color=colour, lw=1.3 + 1.5 * (len(curves) - 1 - place))
        for curve in curves:
            for step, loss in curve.diverged:
                y = min(loss, limits[1] / 1.25) if logarithmic else min(loss, limits[1])
                drawn.plot([step], [y], "x", ms=8, mew=2.2, color=canvas.series(curve.contender.series), clip_on=False)
        drawn.set_ylim(limits)
        drawn.set_xlim(left=0)
        drawn.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        drawn.grid(visible=False, axis="x")
        drawn.spines["left"].set_visible(False)
        drawn.set_xlabel("step", labelpad=1)
        return canvas.svg(drawn, name, f"Training loss with {optimizer}")


def _log_ticks(drawn: Axes, limits: tuple[float, float]) -> None:
    decades = math.log10(limits[1] / limits[0])
    drawn.yaxis.set_major_locator(LogLocator(subs=(1.0,) if decades > 2 else (1.0, 3.0), numticks=6))
    drawn.yaxis.set_minor_locator(NullLocator())
    drawn.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))


def _lost(trials: Sequence[Trial]) -> str:
    diverged = sum(trial.diverged for trial in trials)
    runs = sum(len(trial.runs) for trial in trials)
    return f"{diverged} of {counted(runs, 'run')} diverged" if diverged else ""
