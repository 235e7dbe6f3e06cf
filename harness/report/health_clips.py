"""What the clip did along training: norms before and after it, against c, and where it bound."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.ticker import LogLocator, MaxNLocator

from harness.report import canvas, commands
from harness.report.health_runs import Case, Run
from harness.report.material import Material
from harness.report.section import Column, Entry, Figure, Panel, Table
from harness.report.words import number
from harness.spec.recipe import GlobalNorm, NoClip

WIDTH, HEIGHT, MARGINS = 372.0, 168.0, (52.0, 12.0, 34.0, 14.0)


def clipped(cases: Sequence[Case]) -> list[Case]:
    """The cases whose recipe clips, and that were observed."""
    return [c for c in cases if not isinstance(c.recipe.clip, NoClip) and len(c.runs[0].seen.track("clip_bound"))]


def share(run: Run) -> float:
    """On which share of the observed steps it bound."""
    return float(np.mean(run.seen.track("clip_bound").values))


def figures(material: Material, cases: Sequence[Case]) -> list[Figure]:
    """A panel a case, of its first backend."""
    panels = [
        Panel(
            _drawn(case, case.runs[0], f"health-clip-{place}", f"Norms before and after the clip, {case.label}"),
            f"{case.label}: binds on {100 * share(case.runs[0]):.0f} %",
        )
        for place, case in enumerate(clipped(cases))
    ]
    if not panels:
        return []
    figure = Figure(
        "health-clips",
        "What the clip does",
        panels,
        note="The norm of the whole gradient, logarithmic: thick and light before the clip, thin and dark after it; "
        "dashed: c, where the clip is by the global norm. Ticks on top: observed steps on which it changed the "
        f"gradient. Drawn: {clipped(cases)[0].runs[0].contender.name}.",
        again=commands.again(material, (case.runs[0].record for case in clipped(cases))),
        smallest=320,
    )
    return [figure]


def tables(material: Material, cases: Sequence[Case]) -> list[Table]:
    """On which share of steps it bound, backend by backend, and how large norms were."""
    chosen = clipped(cases)
    if not chosen:
        return []
    contenders = material.present_of(run.contender for case in chosen for run in case.runs)
    rows, long = [], []
    for case in chosen:
        by_name = {run.contender.name: run for run in case.runs}
        entries = [Entry(case.label)]
        for contender in contenders:
            run = by_name.get(contender.name)
            entries.append(Entry(f"{100 * share(run):.0f} %", order=share(run)) if run is not None else Entry(""))
        for name in ("gradient_norm", "clipped_norm"):
            values = case.runs[0].seen.track(name).values
            entries.append(Entry(number(float(np.median(values))), order=float(np.median(values))))
        rows.append(entries)
        long += [
            {
                "problem": case.setting.name,
                "recipe": material.recipe(case.recipe),
                "seed": case.seed,
                "backend": run.contender.name,
                "share_bound": share(run),
                "median_norm_before": float(np.median(run.seen.track("gradient_norm").values)),
                "median_norm_after": float(np.median(run.seen.track("clipped_norm").values)),
            }
            for run in case.runs
        ]
    columns = [
        Column("problem, recipe", wide=True),
        *(Column(contender.name, group="binds on", numeric=True) for contender in contenders),
        Column("before", group=f"median norm, {chosen[0].runs[0].contender.name}", numeric=True),
        Column("after", group=f"median norm, {chosen[0].runs[0].contender.name}", numeric=True),
    ]
    title = "How often the clip binds"
    return [Table("health-clips-table", "health-clips", title, columns, rows, pd.DataFrame(long), folded=True)]


def _drawn(case: Case, run: Run, name: str, title: str) -> Markup:
    before, after, bound = (run.seen.track(one) for one in ("gradient_norm", "clipped_norm", "clip_bound"))
    drawn = canvas.axes(WIDTH, HEIGHT, MARGINS)
    drawn.set_yscale("log")
    clip = case.recipe.clip
    level = [clip.c] if isinstance(clip, GlobalNorm) else []
    every = np.concatenate([before.values, after.values, level])
    shown = every[np.isfinite(every) & (every > 0)]
    low, high = (float(shown.min()) / 1.3, float(shown.max()) * 1.3) if shown.size else (0.1, 1.0)
    low = max(low, 1e-8 * high)  # a gradient that is all but gone leaves the frame
    last = max(float(before.steps[-1]), 1.0)
    drawn.set_ylim(low, high)
    drawn.set_xlim(-0.02 * last, 1.02 * last)
    decades = np.log10(high / low)
    subs = (1.0, 2.0, 5.0) if decades < 1.5 else (1.0, 3.0) if decades < 3 else (1.0,)
    up = {y: number(y, 1) for y in LogLocator(subs=subs, numticks=6).tick_values(low, high) if low <= y <= high}
    for y in up:
        drawn.axhline(y, color=canvas.LINE, lw=0.8, zorder=0)
    for c in level:
        drawn.axhline(c, color=canvas.BAD, lw=1.3, ls=(0, (4, 3)))
    for track, colour, width in ((before, canvas.SOFT, 3.2), (after, canvas.INK, 1.2)):
        with np.errstate(all="ignore"):
            values = np.where(track.values > 0, track.values, np.nan)
        drawn.plot(track.steps, values, color=colour, lw=width, alpha=0.5 if width > 2 else 1)
    where = bound.steps[bound.values > 0]
    drawn.vlines(where, 1.02, 1.07, transform=drawn.get_xaxis_transform(), color=canvas.INK, lw=1, clip_on=False)
    ticks = MaxNLocator(4, steps=[1, 2, 5, 10], integer=True).tick_values(0, last)
    canvas.frame(drawn, {x: f"{x:g}" for x in ticks if 0 <= x <= last}, up, "step", "‖g‖")
    return canvas.svg(drawn, name, title)
