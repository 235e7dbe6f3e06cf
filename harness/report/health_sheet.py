"""The drawing of one layer × step map, with its scale, what is not finite, and the findings on it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.ticker import MaxNLocator

from harness.judge.speed import Floats
from harness.report import canvas
from harness.report.words import number

WIDTH, HIGHEST, MOST, LEAST = 372.0, 15.0, 620.0, 4.0  # pixels: a map; a row at most; all rows; a row at least
BELOW, ABOVE, LABEL = 66.0, 6.0, 11.5  # margins; the height that a label needs
BROKEN = "#e6009e"  # what is not finite: in none of the scales
LONGEST = 24  # characters of a row's name
MARK = 6.5  # half a mark's width and height in pixels


@dataclass(frozen=True)
class Colours:
    """A scale: its map, and whether both of its ends are as far from its middle, 0, as each other."""

    name: str
    diverging: bool = False
    shares: bool = False  # from 0 to 1

    def limits(self, values: Iterable[Floats]) -> tuple[float, float]:
        """From where to where it goes for some maps; decades or shares."""
        if self.shares:
            return 0.0, 1.0
        finite = np.concatenate([v[np.isfinite(v)] for v in values] or [np.zeros(0)])
        if self.diverging:
            far = max(float(np.abs(finite).max(initial=0.0)), 0.5)
            return -far, far
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
        middle, half = (low + high) / 2, max((high - low) / 2, LEAST)
        return middle - half, middle + half


DECADES, AGAINST, SHARE = Colours("viridis"), Colours("coolwarm", diverging=True), Colours("cividis", shares=True)
LEAST = 0.25  # decades to either side of the middle: over less, what is all but constant would be drawn as stripes


@dataclass(frozen=True)
class Grid:
    """Numbers by row and step; nan: blank, ``broken``: not finite."""

    rows: tuple[str, ...]
    steps: Floats  # of the columns
    span: float  # steps that a column stands for, the last of them its own
    values: Floats  # (rows, steps)
    broken: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

    @property
    def shows(self) -> bool:
        """Whether anything of it is not blank."""
        return bool(np.isfinite(self.values).any() or self.broken.any())


class Mark(NamedTuple):
    """A finding's number at a row and a step."""

    number: int
    row: int
    step: float


class Sheet:
    """The frame of a map, drawn once for all maps of the same rows and steps."""

    def __init__(self, grid: Grid, colours: Colours) -> None:
        self.grid = grid
        count = len(grid.rows)
        self.row = min(HIGHEST, max(LEAST, MOST / count))
        every = math.ceil(LABEL / self.row)
        names = {place: shortened(name) for place, name in enumerate(grid.rows) if place % every == 0}
        left = canvas.room(list(names.values()))
        self.height = self.row * count
        self.drawn = canvas.axes(WIDTH, self.height + BELOW + ABOVE, (left, 12.0, BELOW, ABOVE))
        self.left, self.right = grid.steps[0] - grid.span, grid.steps[-1]
        place = {"aspect": "auto", "interpolation": "none", "extent": (self.left, self.right, count - 0.5, -0.5)}
        blank = np.full(grid.values.shape, np.nan)
        self.image = self.drawn.imshow(blank, cmap=colours.name, **place)  # type: ignore[arg-type]
        self.over = self.drawn.imshow(blank, cmap=ListedColormap([BROKEN]), **place)  # type: ignore[arg-type]
        ticks = MaxNLocator(4, steps=[1, 2, 5, 10], integer=True).tick_values(0, self.right)
        across = {x - grid.span / 2: f"{x:g}" for x in ticks if self.left < x <= self.right}
        canvas.frame(self.drawn, across, names, "step")
        self.ramp = self._ramp(colours)

    def _ramp(self, colours: Colours) -> Axes:
        """The colour scale, below the map."""
        figure = self.drawn.get_figure(root=True)
        assert figure is not None
        box, high = self.drawn.get_position(), figure.get_figheight() * 72
        ramp = figure.add_axes((box.x0, 18 / high, box.width, 8 / high))
        ramp.imshow(np.linspace(0, 1, 96)[None, :], cmap=colours.name, aspect="auto", extent=(0, 1, 0, 1))
        ramp.set_axis_off()
        return ramp

    def svg(self, grid: Grid, limits: tuple[float, float], marks: Sequence[Mark], name: str, title: str) -> Markup:
        """One map."""
        self.image.set_data(np.ma.masked_invalid(grid.values))
        self.image.set_clim(*limits)
        self.over.set_data(np.ma.masked_where(~grid.broken, np.ones(grid.values.shape)))
        drawn: list[Artist] = [*self._crosses(grid), *self._marks(marks)]
        for x in (0.0, 0.5, 1.0):
            text = number(limits[0] + x * (limits[1] - limits[0]), 2)
            ends = {0.0: "left", 0.5: "center", 1.0: "right"}
            drawn.append(
                self.ramp.annotate(
                    text, (x, 0), xytext=(0, -3), textcoords="offset points", ha=ends[x], va="top", color=canvas.SOFT
                )
            )
        made = canvas.svg(self.drawn, name, title)
        for artist in drawn:
            artist.remove()
        return made

    def _crosses(self, grid: Grid) -> list[Artist]:
        """A cross at each row's first number that is not finite."""
        at = [(grid.steps[np.argmax(row)] - grid.span / 2, place) for place, row in enumerate(grid.broken) if row.any()]
        size = min(self.row - 2, 7)
        return [*self.drawn.plot(*zip(*at, strict=True), "x", ms=size, mew=1.4, color="white")] if at else []

    def _marks(self, marks: Sequence[Mark]) -> list[Artist]:
        """Rings at the findings' cells, their numbers beside them where there is room."""
        drawn: list[Artist] = []
        box = self.drawn.get_position()
        figure = self.drawn.get_figure(root=True)
        assert figure is not None
        width = box.width * figure.get_figwidth() * 72
        cells: dict[tuple[float, float], list[int]] = {}
        for mark in marks:
            x = (mark.step - self.grid.span / 2 - self.left) / (self.right - self.left) * width
            cells.setdefault((min(max(x, 0.0), width), (mark.row + 0.5) * self.row), []).append(mark.number)
        taken: list[tuple[float, float, float]] = []  # centre and half the width of what stands there
        for (x, y), numbers in sorted(cells.items(), key=lambda item: (item[0][1], item[0][0])):
            text = " ".join(str(one) for one in numbers)
            half = 3.2 * len(text) + 3.5
            there = _room(x, y, half, width, self.height, taken)
            taken += [(x, y, 4.0), (*there, half)]
            place = (self.left + x / width * (self.right - self.left), y / self.row - 0.5)
            drawn += self.drawn.plot(
                *place, "o", ms=6.5, mfc=canvas.PAPER, mec=canvas.INK, mew=1.4, clip_on=False, zorder=4
            )
            drawn.append(
                self.drawn.annotate(
                    text,
                    place,
                    xytext=(there[0] - x, y - there[1]),
                    textcoords="offset points",
                    ha="center",
                    va="center_baseline",
                    fontsize=canvas.FONT - 1.5,
                    zorder=5,
                    bbox={"boxstyle": "square,pad=0.12", "fc": canvas.PAPER, "ec": canvas.INK, "lw": 0.8},
                    arrowprops={"arrowstyle": "-", "color": canvas.INK, "lw": 0.9, "shrinkA": 0, "shrinkB": 3},
                    annotation_clip=False,
                )
            )
        return drawn


def _room(
    x: float, y: float, half: float, width: float, height: float, taken: Sequence[tuple[float, float, float]]
) -> tuple[float, float]:
    """The nearest place beside a cell for a number: inside the map, on nothing else."""
    far = [(away, up, side) for away in (9, 23, 39, 59) for up in (0, -13, 13, -26, 26) for side in (1, -1)]
    ways = [(side * (half + away), up) for away, up, side in far]
    for across, up in ways:
        there = x + across, y + up
        inside = half <= there[0] <= width - half and MARK - 4 <= there[1] <= height - MARK + 4
        if inside and all(abs(there[0] - a) > half + h or abs(there[1] - b) > 2 * MARK for a, b, h in taken):
            return there
    return x + ways[0][0], y


def shortened(name: str) -> str:
    """A row's name in so many characters, its end kept."""
    return name if len(name) <= LONGEST else "…" + name[1 - LONGEST :]


def grid(tracks: Mapping[str, tuple[Floats, Floats]], span: float, decades: bool) -> Grid:
    """Series by row, each its steps and values, on one grid; of ``decades`` the log₁₀, blank where 0."""
    steps = np.unique(np.concatenate([at for at, _ in tracks.values()])).astype(float)
    values = np.full((len(tracks), steps.size), np.nan)
    broken = np.zeros(values.shape, dtype=bool)
    for row, (at, found) in enumerate(tracks.values()):
        columns, finite = np.searchsorted(steps, at), np.isfinite(found)
        broken[row, columns[~finite]] = True
        shown = finite & (found > 0) if decades else finite
        values[row, columns[shown]] = np.log10(found[shown]) if decades else found[shown]
    return Grid(tuple(tracks), steps, span, values, broken)
