"""Benchmarks over commits: small multiples, a panel for each combination of parameters, a line a contender."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import LogLocator, MaxNLocator

from harness.judge.kinds import DIVERGED, Measurement
from harness.judge.speed import Floats
from harness.report import canvas
from harness.report.commits_tables import scale
from harness.report.section import Figure, Legend, Panel
from harness.report.tracked import Machine, Track, Tracker

WIDTH, HEIGHT, MARGINS = 320.0, 150.0, (54.0, 16.0, 34.0, 8.0)
LABELS = 4  # commits named below a panel
FEW = 20.0  # times: values further apart than that are drawn as logarithms


def over_commits(machine: Machine, track: Track, name: str, folded: bool) -> Figure | None:
    """One benchmark over all commits; None where no contender has two."""
    whos = [machine.trackers[who] for who in machine.trackers if who in track.who]
    lines = {(row, who.name): _line(machine, track, row, who) for row in track.rows for who in whos}
    if all(np.isfinite(line[1]).sum() < 2 for line in lines.values()):
        return None
    finite = np.concatenate([line[np.isfinite(line)] for line in lines.values()])
    size, unit = scale(track.benchmark.kind, finite.tolist())
    panels = []
    for place, row in enumerate(track.rows):
        own = {who: lines[row, who.name] / size for who in whos if np.isfinite(lines[row, who.name]).any()}
        if own:
            title = f"{track.benchmark.name} over commits, {row}"
            frame = _Frame(machine.commits, unit, track.benchmark.kind is DIVERGED)
            panels.append(Panel(_panel(frame, own, f"{name}-{place}", title), row))
    return Figure(
        name,
        f"{track.benchmark.name} over commits",
        panels,
        note="Commits from the oldest to the newest. Bars: the middle half of the values. A gap: failed, skipped or "
        "not measured at that commit. Lines are nested, the last on top and thinnest.",
        legend=[Legend(who) for who in whos],
        folded=folded,
        smallest=290,
    )


def _line(machine: Machine, track: Track, row: str, who: Tracker) -> Floats:
    """Lower quartile, median and upper quartile commit by commit; nan where there is none."""
    points = [track.at(row, who.name, commit) for commit in machine.commits]
    return np.array([_three(p.entry.measurement) if p is not None else (math.nan,) * 3 for p in points]).T


def _three(one: Measurement) -> tuple[float, float, float]:
    if not one.values or not math.isfinite(one.median):
        return (math.nan,) * 3
    return one.spread.low, one.median, one.spread.high


class _Frame(NamedTuple):
    """What the panels of a figure share."""

    commits: Sequence[str]
    unit: str
    yes_or_no: bool


def _panel(frame: _Frame, lines: dict[Tracker, Floats], name: str, title: str) -> Markup:
    drawn = canvas.axes(WIDTH, HEIGHT, MARGINS)
    values = np.concatenate([line[np.isfinite(line)] for line in lines.values()])
    limits, ticks, logarithmic = ((-0.2, 1.2), {0.0: "no", 1.0: "yes"}, False) if frame.yes_or_no else _ticks(values)
    if logarithmic:
        drawn.set_yscale("log")
    drawn.set_ylim(*limits)
    last = len(frame.commits) - 1
    drawn.set_xlim(-0.3, last + 0.3)
    for y in ticks:
        drawn.axhline(y, color=canvas.LINE, lw=0.8, zorder=0)
    at = np.unique(np.linspace(0, last, min(LABELS, last + 1)).round().astype(int))
    canvas.frame(drawn, {int(x): frame.commits[x][:7] for x in at}, ticks, "commit", frame.unit)
    places = np.arange(last + 1)
    for below, (who, (lower, median, upper)) in zip(reversed(range(len(lines))), lines.items(), strict=True):
        colour = canvas.series(who.series)
        drawn.plot(places, median, color=colour, lw=1.4 + 1.4 * below, marker="o", ms=4 + 2 * below)
        drawn.vlines(places, lower, upper, color=colour, lw=2.2, alpha=0.4)
    return canvas.svg(drawn, name, title)


def _ticks(values: Floats) -> tuple[tuple[float, float], dict[float, str], bool]:
    """Limits, ticks and whether values are drawn as logarithms."""
    low, high = float(values.min()), float(values.max())
    logarithmic = low > 0 and high / low > FEW
    if logarithmic:
        limits = low / 1.3, high * 1.3
        ticks = np.asarray(LogLocator(numticks=5).tick_values(*limits))
    else:
        room = 0.12 * (high - low) or abs(high) * 0.1 or 1.0
        limits = low - room if low < 0 else max(low - room, 0.0), high + room
        ticks = np.asarray(MaxNLocator(4).tick_values(*limits))
    return limits, {float(y): f"{y:g}" for y in ticks if limits[0] <= y <= limits[1]}, logarithmic
