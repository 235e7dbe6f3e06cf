"""The section on gradients: heat maps of every tensor's gradient norm along training."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from harness.judge.convergence import Run, Trial
from harness.judge.speed import Floats
from harness.report import canvas, commands
from harness.report.material import Material, Setting
from harness.report.section import Figure, Panel, Section
from harness.report.trained import by_setting
from harness.report.words import number

LEAD = (
    "The L2 norm of each tensor's gradient before the clip, as log₁₀, one row a tensor from input to output. All "
    "backends of a figure share one colour scale. Blank: zero, not finite, or after a divergence."
)
Layout = tuple[object, ...]  # tensors and steps
COLOURS = "viridis"
WIDTH, ROW, MARGINS = 280.0, 17.0, (84.0, 8.0, 30.0, 2.0)


def section(material: Material) -> Section:
    """One figure an optimizer, of its first recipe and seed; all but the first folded away."""
    figures: list[Figure] = []
    sheets: dict[Layout, _Sheet] = {}
    for position, (one, trials) in enumerate(by_setting(material)):
        chosen: dict[str, list[Trial]] = {}
        for trial in trials:
            group = chosen.setdefault(material.optimizer(trial.cell.recipe), [])
            if not group or group[0].cell.recipe == trial.cell.recipe:
                group.append(trial)
        for place, group in enumerate(chosen.values()):
            name = f"gradients-{position}-{place}"
            figures += _figure(material, one, group, name, bool(figures), sheets)
    missing = None
    if not figures:
        missing = ("No gradient norms were recorded in these runs.", commands.missing(material))
    return Section("gradients", "Gradients", LEAD, figures, missing)


def _figure(
    material: Material, one: Setting, trials: Sequence[Trial], name: str, folded: bool, sheets: dict[Layout, "_Sheet"]
) -> list[Figure]:
    maps = [(trial, *_norms(trial.runs[0])) for trial in trials]
    maps = [entry for entry in maps if entry[3].size and np.isfinite(entry[3]).any()]
    if not maps:
        return []
    finite = np.concatenate([logs[np.isfinite(logs)] for *_, logs in maps])
    limits = float(finite.min()), float(finite.max())
    if limits[0] == limits[1]:  # a single norm, or one that never changes
        limits = limits[0] - 0.5, limits[1] + 0.5
    recipe, seed = trials[0].cell.recipe, trials[0].runs[0].record.job.cell.seed
    words = material.recipe(recipe)
    panels = []
    for place, (trial, tensors, steps, logs) in enumerate(maps):
        who, layout = material.contenders[trial.contender].name, (*tensors, *steps)
        sheet = sheets[layout] = sheets.get(layout) or _Sheet(tensors, steps)
        panels.append(Panel(sheet.svg(logs, limits, f"{name}-{place}", f"Gradient norms, {who}, {words}"), who))
    figure = Figure(
        name,
        f"Gradient norms, {one.name}, {words}",
        panels,
        note=f"{one.conditions}, seed {seed}.",
        scale=Panel(_scale(limits, f"{name}-scale"), "log₁₀ of the norm"),
        again=commands.again(material, (trial.runs[0].record for trial, *_ in maps)),
        folded=folded,
        smallest=250,
    )
    return [figure]


def _norms(run: Run) -> tuple[list[str], Floats, Floats]:
    """Tensors, steps, and log₁₀ of the norms: one row a tensor, nan where there is none."""
    rows = run.record.series("gradient_norm")
    places, names = pd.factorize(rows["tensor"])
    tensors, steps = [str(name) for name in names], np.unique(rows["step"].to_numpy())
    logs = np.full((len(tensors), steps.size), np.nan)
    values = rows["value"].to_numpy()
    usable = np.isfinite(values) & (values > 0)
    at = np.searchsorted(steps, rows["step"].to_numpy())
    logs[places[usable], at[usable]] = np.log10(values[usable])
    return tensors, steps.astype(float), logs


class _Sheet:
    """The frame of a heat map, drawn once for all maps of the same tensors and steps."""

    def __init__(self, tensors: Sequence[str], steps: Floats) -> None:
        half = float(np.diff(steps).min()) / 2 if steps.size > 1 else 0.5
        self.drawn = canvas.axes(WIDTH, ROW * len(tensors) + MARGINS[2] + MARGINS[3], MARGINS)
        self.image = self.drawn.imshow(
            np.zeros((len(tensors), steps.size)),
            cmap=COLOURS,
            aspect="auto",
            interpolation="none",
            extent=(steps[0] - half, steps[-1] + half, len(tensors) - 0.5, -0.5),
        )
        ticks = MaxNLocator(4, steps=[1, 2, 5, 10], integer=True).tick_values(0, steps[-1])
        across = {x: f"{x:g}" for x in ticks if steps[0] <= x <= steps[-1]}
        canvas.frame(self.drawn, across, dict(enumerate(tensors)), "step")

    def svg(self, logs: Floats, limits: tuple[float, float], name: str, title: str) -> Markup:
        """One map; what is not finite stays blank."""
        self.image.set_data(np.ma.masked_invalid(logs))
        self.image.set_clim(*limits)
        return canvas.svg(self.drawn, name, title)


def _scale(limits: tuple[float, float], name: str) -> Markup:
    """The colour scale that the panels share."""
    drawn = canvas.axes(220, 34, (14, 14, 20, 2))
    ramp = np.linspace(0, 1, 128)[None, :]
    drawn.imshow(ramp, cmap=COLOURS, aspect="auto", interpolation="none", extent=(*limits, 0, 1))
    drawn.set_yticks([])
    drawn.xaxis.set_major_locator(MaxNLocator(4))
    drawn.grid(visible=False)
    drawn.spines[:].set_visible(False)
    return canvas.svg(drawn, name, f"Colours from {number(limits[0])} to {number(limits[1])}")
