"""Depth profiles at the start, drawn and in a table: what theory expects with its band, and what was observed."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from harness.judge.speed import Floats
from harness.report import canvas, commands
from harness.report.health_profiles import Point, Profile, Start, starts, unknown
from harness.report.health_runs import Case, Run
from harness.report.health_sheet import HIGHEST, LABEL, LEAST, MOST, shortened
from harness.report.material import Material
from harness.report.section import Column, Entry, Figure, Legend, Panel, Table
from harness.report.words import NOTHING, number

WIDTH, BELOW, ABOVE, BETWEEN = 520.0, 34.0, 24.0, 40.0
BAND = 2.0  # spreads


def figures(material: Material, cases: Sequence[Case]) -> list[Figure]:
    """A drawing a start, of several seeds the first: outputs on the left, signals on the right."""
    every = starts(cases)
    seeds = {start.case.setting: start.case.seed for start in reversed(every)}
    chosen = [start for start in every if start.case.seed == seeds[start.case.setting]]
    if not chosen:
        return []
    panels = [
        Panel(_drawn(start, f"health-start-{place}"), start.case.setting.name, _told(start))
        for place, start in enumerate(chosen)
    ]
    runs = [run for start in chosen for run in start.case.runs]
    figure = Figure(
        "health-start",
        "At the start: expected against observed, layer by layer",
        panels,
        note="Line and bands: what theory expects of the first batch before any weight is drawn, ± 2 spreads of a draw "
        "of this width. Points: observed, nested, the last backend on top and smallest. Without a line: theory does "
        "not know. Outputs are observed over a window of steps, in which training may have moved them.",
        legend=[Legend(one) for one in material.present_of(run.contender for run in runs)],
        again=commands.again(material, (run.record for run in runs)),
        smallest=500,
    )
    return [figure]


def tables(material: Material, cases: Sequence[Case]) -> list[Table]:
    """How many layers lie inside the band, and which lies farthest from it; the CSV holds every layer."""
    rows, long = [], []
    for start in starts(cases):
        for profile in (one for one in (start.outputs, start.signals) if one.observed):
            known = [point for point in profile.points if math.isfinite(point.off)]
            inside = sum(abs(point.off) <= BAND for point in known)
            rows.append(
                [
                    Entry(start.case.setting.name, f"{profile.name}, {profile.when}"),
                    Entry(f"{inside} of {len(known)}" if known else NOTHING, order=inside / max(len(known), 1)),
                    *_farthest(known),
                    Entry(unknown(profile) or NOTHING),
                ]
            )
            long += [row for point in profile.points for row in _long(start, profile, point)]
    if not rows:
        return []
    names = ("problem", "within 2 spreads", "farthest", "observed", "expected", "spreads apart", "theory does not know")
    columns = [Column(n, numeric=n in NUMERIC, wide=n in ("problem", "theory does not know")) for n in names]
    title = "At the start: how many layers are as expected"
    return [Table("health-start-table", "health-start", title, columns, rows, pd.DataFrame(long), folded=True)]


NUMERIC = ("within 2 spreads", "observed", "expected", "spreads apart")


def _farthest(known: Sequence[Point]) -> list[Entry]:
    if not known:
        return [Entry(NOTHING), *[Entry(NOTHING, order=math.inf)] * 3]
    one = max(known, key=lambda point: abs(point.off))
    return [Entry(one.layer), *(Entry(number(v), order=v) for v in (one.observed[0], one.expected, one.off))]


def _long(start: Start, profile: Profile, point: Point) -> list[dict[str, object]]:
    return [
        {
            "problem": start.case.setting.name,
            "seed": start.case.seed,
            "quantity": profile.name,
            "layer": point.layer,
            "backend": run.contender.name,
            "observed": observed,
            "expected": point.expected,
            "spread": point.spread,
        }
        for run, observed in zip(start.case.runs, point.observed, strict=True)
    ]


def _told(start: Start) -> str:
    """What must be known beside the drawing: layers that theory does not know, what was not observed."""
    both = start.outputs, start.signals
    silent = [f"{one.name} not observed" for one in both if not one.observed]
    return "; ".join([*silent, *([f"unknown: {unknown(*both)}"] if unknown(*both) else [])])


def _drawn(start: Start, name: str) -> Markup:
    """Layers from the first, at the top, to the last; numbers across, in decades."""
    layers = [point.layer for point in start.signals.points]
    row = min(HIGHEST, max(LEAST, MOST / len(layers)))
    every = math.ceil(LABEL / row)
    names = {place: shortened(layer) for place, layer in enumerate(layers) if place % every == 0}
    left = canvas.room(list(names.values()))
    height = row * len(layers) + BELOW + ABOVE
    half = (WIDTH - left - 14 - BETWEEN) / 2
    first = canvas.axes(WIDTH, height, (left, WIDTH - left - half, BELOW, ABOVE))
    figure = first.get_figure(root=True)
    assert figure is not None
    box = first.get_position()
    second = figure.add_axes((box.x0 + (half + BETWEEN) / WIDTH, box.y0, box.width, box.height))
    for drawn, profile, up in ((first, start.outputs, names), (second, start.signals, {})):
        ticks = _profile(drawn, profile, start.case.runs, row)
        canvas.frame(drawn, ticks, up, "")
        drawn.annotate(
            f"{profile.name}, {profile.when}",
            (0.5, 1),
            xycoords="axes fraction",
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            va="bottom",
            color=canvas.SOFT,
        )
    return canvas.svg(first, name, f"Expected against observed at the start, {start.case.setting.name}")


def _profile(drawn: Axes, profile: Profile, runs: Sequence[Run], row: float) -> dict[float, str]:
    """One profile on its axes; its tick labels."""
    points = profile.points
    with np.errstate(all="ignore"):
        middle = np.log10([point.expected for point in points])
        half = BAND * np.array([point.spread for point in points]) / math.log(10)
        seen = np.log10(np.array([point.observed for point in points]))
    low, high = _limits(middle, half, seen)
    drawn.set_xlim(low, high)
    drawn.set_ylim(len(points) - 0.5, -0.5)
    ticks = [x for x in MaxNLocator(3, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= x <= high]
    for x in ticks:
        drawn.axvline(x, color=canvas.LINE, lw=0.8, zorder=0)
    at = np.arange(len(points))
    known = np.isfinite(middle + half)
    drawn.barh(at[known], 2 * half[known], 0.86, middle[known] - half[known], color=canvas.SOFT, alpha=0.24, lw=0)
    drawn.plot(middle, at, color=canvas.INK, lw=1.2)
    for place, run in enumerate(runs):
        size = min(3.8 + 1.6 * (len(runs) - 1 - place), max(row - 2, 2.5))
        drawn.plot(seen[:, place], at, "o", ms=size, mew=0, color=canvas.series(run.contender.series))
    return {x: number(10.0**x, 1 if x == round(x) else 2) for x in ticks}


def _limits(middle: Floats, half: Floats, seen: Floats) -> tuple[float, float]:
    """All that is finite, with a little room."""
    every = np.concatenate([middle - half, middle + half, middle, seen.ravel()])
    finite = every[np.isfinite(every)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (-0.5, 0.5)
    room = 0.06 * (high - low) or 0.5
    return low - room, high + room
