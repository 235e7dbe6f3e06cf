"""Step times and first calls as drawings."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from harness.judge.speed import First, Group
from harness.report import canvas, commands
from harness.report.material import Material, Setting
from harness.report.section import Figure, Panel
from harness.report.timed import label, legend, unit


def step_times(material: Material, one: Setting, groups: Sequence[Group], name: str) -> Figure:
    """Points with intervals, one row a recipe, on a logarithmic axis: what is compared are ratios."""
    contenders = material.present(s.contender for group in groups for s in group.steady)
    lanes = {contender.name: lane for lane, contender in enumerate(contenders)}
    size, words = unit(min(s.seconds.value for group in groups for s in group.steady))
    labels = [canvas.broken(label(material, group, groups)) for group in groups]
    row, gap = max(9.0 * len(contenders) + 12, canvas.high(labels) + 4), 9.0
    height = row * len(groups) + 52
    drawn = canvas.axes(400, height, (canvas.room(labels), 14, 36, 16))
    for line, group in enumerate(groups):
        for steady in group.steady:
            contender = material.of(steady.job)
            y = line * row + (lanes[contender.name] - (len(lanes) - 1) / 2) * gap
            colour, seconds = canvas.series(contender.series), steady.seconds
            drawn.plot([seconds.low / size, seconds.high / size], [y, y], color=colour, lw=2.2, alpha=0.45)
            hollow = canvas.PAPER if steady.composed else colour
            drawn.plot([seconds.value / size], [y], "o", ms=6.5, mfc=hollow, mec=colour, mew=1.6)
    for line in range(len(groups) - 1):
        drawn.axhline((line + 0.5) * row, color=canvas.LINE, lw=0.8)
    drawn.set_ylim((len(groups) - 0.5) * row, -0.5 * row)
    drawn.set_yticks([line * row for line in range(len(groups))])
    drawn.set_yticklabels(labels, color=canvas.INK)
    drawn.set_xscale("log")
    _log_ticks(drawn)
    drawn.grid(visible=False, axis="y")
    drawn.spines["left"].set_visible(False)
    drawn.set_xlabel(f"{words} a step, logarithmic")
    panel = Panel(canvas.svg(drawn, name, f"Step times on {one.name}, {one.step_conditions}"))
    return Figure(
        name,
        f"Step time, {one.name}",
        [panel],
        note=f"{one.step_conditions}. Lines: 95 % interval. Hollow: composed from the framework's primitives.",
        legend=legend(material, one, [s.record for group in groups for s in group.steady]),
        again=commands.again(material, (s.record for group in groups for s in group.steady)),
    )


def _log_ticks(drawn: Axes) -> None:
    """Ticks as dense as their labels allow, and room enough that at least two show."""
    low, high = drawn.get_xlim()
    low = min(low, high / 4)
    drawn.set_xlim(low, high)
    decades = math.log10(high / low)
    subs = (1.0, 2.0, 5.0) if decades < 1.4 else (1.0, 3.0) if decades < 2.5 else (1.0,)
    drawn.xaxis.set_major_locator(LogLocator(subs=subs))
    drawn.xaxis.set_minor_locator(NullLocator())
    drawn.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))


def first_calls(material: Material, one: Setting, firsts: Sequence[First], name: str) -> Figure:
    """Import, build and first step stacked, one bar a contender and recipe; in shades of the contender's colour."""
    several = len({first.record.job.cell.recipe for first in firsts}) > 1
    phases = [(first.imports, first.build, first.first_step) for first in firsts]
    size, words = unit(max(sum(seconds) for seconds in phases))
    who = [
        material.of(first.record.job).name + (f", {material.recipe(first.record.job.cell.recipe)}" if several else "")
        for first in firsts
    ]
    names = [canvas.broken(name) for name in who]
    row = max(26.0, canvas.high(names) + 4)
    drawn = canvas.axes(400, row * len(firsts) + 52, (canvas.room(names), 40, 36, 8))
    for line, (first, seconds) in enumerate(zip(firsts, phases, strict=True)):
        contender, begin = material.of(first.record.job), 0.0
        for length, shade in zip(seconds, (0.3, 0.6, 1.0), strict=True):
            colour = canvas.series(contender.series)
            drawn.barh(line, length / size, left=begin, height=0.6, color=colour, alpha=shade, lw=0)
            begin += length / size
        drawn.text(begin, line, f" {begin:.3g}", va="center", color=canvas.SOFT)
    drawn.set_ylim(len(firsts) - 0.4, -0.6)
    drawn.set_xlim(left=0)
    drawn.set_yticks(range(len(firsts)))
    drawn.set_yticklabels(names, color=canvas.INK)
    drawn.grid(visible=False, axis="y")
    drawn.set_xlabel(f"{words} until the first step is made")
    panel = Panel(canvas.svg(drawn, name, f"First call on {one.name}, {one.step_conditions}"))
    recipes = sorted({material.recipe(first.record.job.cell.recipe) for first in firsts})
    return Figure(
        name,
        f"First call, {one.name}",
        [panel],
        note=f"{', '.join(recipes)}; {one.step_conditions}. From light to full colour: import the framework, build "
        "model and optimizer (with all that is imported only then), make the first step (with whatever it compiles). "
        "In a new process with empty compile caches.",
        legend=legend(material, one, [first.record for first in firsts]),
        again=commands.again(material, [first.record for first in firsts]),
    )
