"""The section on the floor: updates alone, as multiples of the time that their traffic takes at least."""

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from harness.judge.floor import Multiple
from harness.report import canvas, commands
from harness.report.contenders import Contender
from harness.report.material import Material
from harness.report.section import Column, Entry, Figure, Legend, Panel, Section, Table
from harness.report.timed import unit
from harness.report.words import NOTHING, between, fixed, number, recipe_order
from harness.spec.recipe import Recipe

LEAD = (
    "An update alone, its gradients given, as a multiple of its floor: the bytes that its formula must read and write, "
    "each array once and in place, over the bandwidth of scaling an array in place, which NumPy measured beside each "
    "block, on as many threads, over as many bytes as the update's arrays have together. So an update whose arrays fit "
    "a cache is held against that cache. 1 would be perfect; at few parameters the multiple is the cost of the calls."
)
STYLES = ("-", ":", "--", "-.", (0, (1, 3)))  # of a contender's modes, in the order in which it declares them
HEIGHT = 250.0  # of a drawing

Line = tuple[str, str]  # contender and mode
Style = str | tuple[int, tuple[int, ...]]


def section(material: Material) -> Section:
    """A drawing and a table of every recipe, precision and implementation that was timed."""
    parts: list[Figure | Table] = []
    found: dict[tuple[Recipe, str, str], list[Multiple]] = {}
    for multiple in material.multiples:
        cell = multiple.job.cell
        found.setdefault((cell.recipe, cell.implementation, cell.precision), []).append(multiple)
    order = sorted(found.items(), key=lambda item: (recipe_order(item[0][0]), item[0][1:]))
    for position, ((recipe, implementation, precision), some) in enumerate(order):
        name, title = f"floor-{position}", f"{material.recipe(recipe)}, {implementation}, {precision}"
        parts += [_figure(material, title, some, name), _table(material, title, some, name)]
    missing = None if parts else ("No update was timed alone in these runs.", "gradgauge run updates")
    return Section("floor", "The floor", LEAD, parts, missing)


def _line(material: Material, multiple: Multiple) -> Line:
    contender = material.of(multiple.job)
    return contender.name, contender.mode(multiple.job.cell.mode)


def _lines(material: Material, some: Sequence[Multiple]) -> dict[Line, list[Multiple]]:
    """The multiples of each contender and mode, in the order of reports."""
    order = [contender.name for contender in material.contenders.values()]
    found: dict[Line, list[Multiple]] = {}
    for multiple in some:
        found.setdefault(_line(material, multiple), []).append(multiple)
    return dict(sorted(found.items(), key=lambda item: (order.index(item[0][0]), item[0][1])))


def _figure(material: Material, title: str, some: Sequence[Multiple], name: str) -> Figure:
    """Multiple over parameters, both logarithmic: a line each, points of many tensors beside it."""
    lines = _lines(material, some)
    drawn = canvas.axes(460, HEIGHT, (44, canvas.room([" ".join(line) for line in lines]), 36, 16))
    ends: list[tuple[float, float, str]] = []
    for (who, mode), multiples in lines.items():
        colour = canvas.series(material.of(multiples[0].job).series)
        whole = [m for m in multiples if m.tensors == 1]
        cut = [m for m in multiples if m.tensors > 1]
        style = _style(material.of(multiples[0].job), mode)
        drawn.plot([m.parameters for m in whole], [m.factor.value for m in whole], ls=style, color=colour, lw=1.8)
        for some_of, fill in ((whole, colour), (cut, canvas.PAPER)):
            drawn.plot(
                [m.parameters for m in some_of], [m.factor.value for m in some_of], "o", ms=5, mfc=fill, mec=colour
            )
        last = (whole or cut)[-1]
        ends.append((last.parameters, last.factor.value, f"{who} {mode}"))
    drawn.axhline(1, color=canvas.SOFT, lw=1.2)
    drawn.set_xscale("log")
    drawn.set_yscale("log")
    for axis in (drawn.xaxis, drawn.yaxis):
        axis.set_major_locator(LogLocator())
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: fixed(value, 0) if value >= 1 else f"{value:g}"))
    _name(drawn, ends)
    drawn.set_xlabel("parameters, logarithmic")
    panel = Panel(canvas.svg(drawn, name, f"Multiples of the floor, {title}"))
    return Figure(
        name,
        f"Times the floor, {title}",
        [panel],
        note="Up: seconds over the floor, logarithmic; the line at 1 is the floor. Filled: one tensor. Hollow: the "
        "same number of parameters in several tensors.",
        legend=_legend(material, lines),
        again=commands.again(material, (m.record for m in some)),
    )


def _style(contender: Contender, mode: str) -> Style:
    """A contender's lines have one colour: its modes are told apart by dashes."""
    modes = contender.declaration.modes if contender.declaration is not None else ()
    return STYLES[modes.index(mode) % len(STYLES) if mode in modes else 0]


def _legend(material: Material, lines: dict[Line, list[Multiple]]) -> list[Legend]:
    """Each contender once, with its modes."""
    modes: dict[str, list[str]] = {}
    for who, mode in lines:
        modes.setdefault(who, []).append(mode)
    return [
        Legend(contender, f"{', '.join(modes[contender.name])}; {contender.threads}")
        for contender in material.contenders.values()
        if contender.name in modes
    ]


def _name(drawn: Axes, ends: Sequence[tuple[float, float, str]]) -> None:
    """The lines' names at their ends, moved apart where they would overlap."""
    low, high = (math.log(limit) for limit in drawn.get_ylim())
    apart = (high - low) * (canvas.FONT + 2) / (HEIGHT - 52)
    before = -math.inf
    for x, y, text in sorted(ends, key=lambda end: end[1]):
        before = max(math.log(y), before + apart)
        drawn.annotate(
            text,
            (x, math.exp(before)),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            color=canvas.SOFT,
            annotation_clip=False,
        )


def _table(material: Material, title: str, some: Sequence[Multiple], name: str) -> Table:
    """The same in numbers: a row a size, a column a contender and mode."""
    lines = _lines(material, some)
    sizes = sorted({(m.parameters, m.tensors) for m in some})
    rows, long = [], []
    for parameters, tensors in sizes:
        row = [Entry(fixed(parameters, 0), order=parameters), Entry(fixed(tensors, 0), order=tensors)]
        alike = [m for m in some if (m.parameters, m.tensors) == (parameters, tensors)]
        floors = sorted(m.floor for m in alike)
        size, word = unit(floors[0])
        span = dict.fromkeys(number(seconds / size) for seconds in (floors[0], floors[-1]))
        row.append(Entry(f"{'–'.join(span)} {word}", order=floors[0]))
        for multiples in lines.values():
            at = next((m for m in multiples if (m.parameters, m.tensors) == (parameters, tensors)), None)
            row.append(_entry(at))
        rows.append(row)
        long += [_row(material, m) for m in alike]
    columns = [
        *(Column("parameters", numeric=True), Column("tensors", numeric=True), Column("floor", numeric=True)),
        *(Column(mode, "×", group=who, numeric=True) for who, mode in lines),
    ]
    return Table(
        f"{name}-table",
        "floor",
        f"Times the floor in numbers, {title}",
        columns,
        rows,
        pd.DataFrame(long),
        note="Median over blocks of seconds over the floor of the same block (95 % interval). The floor was measured "
        "anew for each contender: the least and the most of the medians are given.",
        again=commands.again(material, (m.record for m in some)),
    )


def _entry(multiple: Multiple | None) -> Entry:
    if multiple is None:
        return Entry(NOTHING, order=math.inf)
    return Entry(number(multiple.factor.value), between(multiple.factor), multiple.factor.value)


def _row(material: Material, m: Multiple) -> dict[str, object]:
    cell = m.job.cell
    who, mode = _line(material, m)
    return {
        "recipe": material.recipe(cell.recipe),
        "implementation": cell.implementation,
        "precision": cell.precision,
        "parameters": m.parameters,
        "tensors": m.tensors,
        "backend": who,
        "mode": mode,
        "threads": m.job.environment.threads,
        "seconds": m.seconds,
        "floor_seconds": m.floor,
        "multiple": m.factor.value,
        "low": m.factor.low,
        "high": m.factor.high,
        "record": m.record.key,
    }
