"""Step times and first calls as drawings."""

import dataclasses
import math
from collections.abc import Sequence

from harness.judge.speed import First, Group, Steady
from harness.report import canvas, commands
from harness.report.material import Material, Setting
from harness.report.section import Figure, Panel
from harness.report.timed import label, legend, unit


def step_times(material: Material, one: Setting, groups: Sequence[Group], name: str) -> Figure:
    """Points with intervals, one row a recipe, on a logarithmic axis: what is compared are ratios."""
    contenders = material.present(s.contender for group in groups for s in group.steady)
    lanes = {contender.name: lane for lane, contender in enumerate(contenders)}
    size, words = unit(min(s.seconds.value for group in groups for s in group.steady))
    row, gap = 9.0 * len(contenders) + 12, 9.0
    height = row * len(groups) + 52
    labels = [label(material, group, groups) for group in groups]
    seconds = [(s.seconds.value, s.seconds.low, s.seconds.high) for group in groups for s in group.steady]
    found = [value / size for values in seconds for value in values if math.isfinite(value)]
    low, high = _spread(min(found), max(found))
    up = (len(groups) - 0.5) * row, -0.5 * row
    drawing = canvas.Drawing((400, height), (canvas.room(labels), 14, 36, 16), (low, high), up, "x")
    drawing.scale_across(canvas.log_ticks(low, high), f"{words} a step, logarithmic", lines=True)
    drawing.scale_up({line * row: text for line, text in enumerate(labels)}, canvas.INK)
    for line, group in enumerate(groups):
        if line:
            y = float(drawing.y((line - 0.5) * row))
            ends = [(drawing.left, y), (drawing.right, y)]
            drawing.add(canvas.path(ends, f'stroke="{canvas.LINE}" stroke-width="0.8"'))
        for steady in group.steady:
            contender = material.of(steady.job)
            y = float(drawing.y(line * row + (lanes[contender.name] - (len(lanes) - 1) / 2) * gap))
            drawing.add(_point(drawing, steady, y, size, canvas.series(contender.series)))
    panel = Panel(drawing.svg(name, f"Step times on {one.name}, {one.step_conditions}"))
    return Figure(
        name,
        f"Step time, {one.name}",
        [panel],
        note=f"{one.step_conditions}. Lines: 95 % interval. Hollow: composed from the framework's primitives.",
        legend=legend(material, one, [s.record for group in groups for s in group.steady]),
        again=commands.again(material, (s.record for group in groups for s in group.steady)),
    )


def _spread(low: float, high: float) -> tuple[float, float]:
    """An axis with room at its ends, and long enough that at least two round numbers show."""
    return min(low / 1.06, high / 4), high * 1.06


def _point(drawing: canvas.Drawing, steady: Steady, y: float, size: float, colour: str) -> str:
    """A step time with its interval; hollow where code is composed."""
    value, low, high = (float(drawing.x(s / size)) for s in dataclasses.astuple(steady.seconds))
    line = canvas.path([(low, y), (high, y)], f'stroke="{colour}" stroke-width="2.2" stroke-opacity="0.45"')
    fill = canvas.PAPER if steady.composed else colour
    return f'{line}<circle cx="{value:.1f}" cy="{y:.1f}" r="3.2" fill="{fill}" stroke="{colour}" stroke-width="1.6"/>'


def first_calls(material: Material, one: Setting, firsts: Sequence[First], name: str) -> Figure:
    """Import, build and first step stacked, one bar a contender and recipe; in shades of the contender's colour."""
    several = len({first.record.job.cell.recipe for first in firsts}) > 1
    phases = [(first.imports, first.build, first.first_step) for first in firsts]
    size, words = unit(max(sum(seconds) for seconds in phases))
    names = [
        material.of(first.record.job).name + (f", {material.recipe(first.record.job.cell.recipe)}" if several else "")
        for first in firsts
    ]
    longest = max(sum(seconds) for seconds in phases) / size
    margins, height = (canvas.room(names), 40.0, 36.0, 8.0), 26.0 * len(firsts) + 52
    drawing = canvas.Drawing((400, height), margins, (0, longest * 1.05), (len(firsts) - 0.4, -0.6))
    drawing.scale_across(canvas.ticks(0, longest * 1.05), f"{words} until the first step is made", lines=True)
    drawing.scale_up(dict(enumerate(names)), canvas.INK)
    for line, (first, seconds) in enumerate(zip(firsts, phases, strict=True)):
        colour, begin = canvas.series(material.of(first.record.job).series), 0.0
        top, bottom = (float(drawing.y(line + half)) for half in (-0.3, 0.3))
        for length, shade in zip(seconds, (0.3, 0.6, 1.0), strict=True):
            left, right = float(drawing.x(begin)), float(drawing.x(begin + length / size))
            box = f'x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}"'
            drawing.add(f'<rect {box} fill="{colour}" fill-opacity="{shade}"/>')
            begin += length / size
        drawing.text(float(drawing.x(begin)) + 4, (top + bottom) / 2, f"{begin:.3g}", "start")
    panel = Panel(drawing.svg(name, f"First call on {one.name}, {one.step_conditions}"))
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
