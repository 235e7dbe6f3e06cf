"""The drawing of a layer's histograms over windows: sizes in powers of two, 0 and what is not finite below them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap, ListedColormap, PowerNorm
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from harness.judge.speed import Floats
from harness.observation import BINS, EDGES, FROM_ZERO
from harness.report import canvas
from harness.report.health_sheet import BROKEN, LABEL

WIDTH, HIGHEST, MOST, LEAST = 270.0, 7.0, 230.0, 3.0  # pixels: a drawing; a row at most; all bins; a row at least
BELOW, ABOVE, BETWEEN, APART = 34.0, 8.0, 14.0, 14.0  # margins; what is apart: above it, and each of its two rows
NAMES = {0: "0", 1: "NaN, ∞"}  # of what is apart: the last two of a histogram
SIZES = BINS // 2  # bins of either sign, from 0 out
LEAST_POWER = round(np.log2(EDGES[FROM_ZERO]))  # the sizes of bin s are below 2 to that + s
NEAR = 0.05  # of a layer's outputs at most, in any window, lie in the row of the smallest, if bins go that far
# From all but the paper, light or dark, to a colour that stands out from both.
COLOURS = LinearSegmentedColormap.from_list("shares", [(0.1, 0.38, 0.78, alpha) for alpha in (0.1, 1.0)])
SHOWN = PowerNorm(0.5, 0, 1)  # so that small shares are told apart
TOLD = (0, 0.02, 0.1, 0.3, 0.6, 1)  # shares whose colours are named


class Rows(NamedTuple):
    """Which bins are rows of a drawing, counted from 0 out."""

    near: int  # so many of both signs are one row
    above: int  # positive outputs lie in so many
    below: int  # negative ones

    @property
    def number(self) -> int:
        """Rows of a drawing."""
        return self.above + self.below - 2 * self.near + 1

    def fold(self, shares: Floats) -> Floats:
        """Histograms (windows, BINS + 2) as they are drawn, without what is apart: (rows, windows), largest first."""
        positive, negative = _signs(shares)
        middle = (positive + negative)[:, : self.near].sum(axis=1, keepdims=True)
        parts = positive[:, self.near : self.above][:, ::-1], middle, negative[:, self.near : self.below]
        return np.concatenate(parts, axis=1).T

    def labels(self, row: float) -> dict[float, str]:
        """Powers of two at the edges of rows so many pixels high, and, at the middle one, where that ends."""
        middle, least = self.above - self.near, self.near + LEAST_POWER - 1
        every = next(n for n in (1, 2, 4, 8, 16) if n * row >= 1.5 * LABEL)
        found = {float(middle): f"±{_power(least)}"}
        for away in range(1, max(self.above, self.below) - self.near + 1):
            exponent = least + away
            if exponent % every or (away + 0.5) * row < 1.2 * LABEL or EDGES[-1] < 2.0**exponent:
                continue
            if away <= self.above - self.near:
                found[middle - away - 0.5] = _power(exponent)
            if away <= self.below - self.near:
                found[middle + away + 0.5] = f"−{_power(exponent)}"
        return found


def rows(every: Sequence[Floats]) -> Rows:
    """Those that show all of some histograms, each (windows, BINS + 2)."""
    positive, negative = _signs(np.concatenate(every))
    inside = np.cumsum(positive + negative, axis=1).max(axis=0)
    near = int(np.clip(np.sum(inside <= NEAR), 1, SIZES - 1))
    above, below = (max(np.flatnonzero(one.any(axis=0)).max(initial=-1) + 1, near) for one in (positive, negative))
    return Rows(near, int(above), int(below))


class Sheet:
    """The frame of a drawing, made once for all layers with the same rows and windows."""

    def __init__(self, rows: Rows, steps: Floats) -> None:
        self.rows = rows
        self.row = min(HIGHEST, max(LEAST, MOST / rows.number))
        labels = rows.labels(self.row)
        left, high, apart = canvas.room(list(NAMES.values())), self.row * rows.number, APART * len(NAMES)
        height = ABOVE + high + BETWEEN + apart + BELOW
        self.drawn = canvas.axes(WIDTH, height, (left, 10.0, height - ABOVE - high, ABOVE))
        figure = self.drawn.get_figure(root=True)
        assert figure is not None
        box = self.drawn.get_position()
        self.apart = figure.add_axes((box.x0, BELOW / height, box.width, apart / height))
        windows = len(steps)
        self.image = _blank(self.drawn, rows.number, windows, COLOURS)
        self.zeros = _blank(self.apart, len(NAMES), windows, COLOURS)
        self.broken = _blank(self.apart, len(NAMES), windows, ListedColormap([BROKEN]))
        for axes, places in ((self.drawn, labels), (self.apart, NAMES)):
            for y in places:
                axes.axhline(y, color=canvas.LINE, lw=0.8, zorder=-1)
        canvas.frame(self.drawn, {}, labels, "")
        canvas.frame(self.apart, named(steps), NAMES, "step")

    def svg(self, shares: Floats, name: str, title: str) -> Markup:
        """One layer's histograms, (windows, BINS + 2); what no output lies in is blank."""
        zeros, broken = shares[:, BINS:].T
        blank = np.zeros(zeros.shape)
        for image, values in (
            (self.image, self.rows.fold(shares)),
            (self.zeros, np.stack([zeros, blank])),
            (self.broken, np.stack([blank, broken])),
        ):
            image.set_data(np.ma.masked_equal(values, 0))
        first = np.flatnonzero(broken)[:1]
        (cross,) = self.apart.plot(first, np.ones(first.shape), "x", ms=7, mew=1.4, color="white")
        made = canvas.svg(self.drawn, name, title)
        cross.remove()
        return made


def named(steps: Floats) -> dict[float, str]:
    """A few round steps by the columns of their windows, of each of which the last step is given."""
    found: dict[float, str] = {}
    for step in MaxNLocator(4, steps=[1, 2, 5, 10], integer=True).tick_values(0, steps[-1]):
        if 0 <= step <= steps[-1]:
            found.setdefault(float(np.searchsorted(steps, step)), f"{step:g}")
    return found


def ramp(name: str) -> Markup:
    """The colour scale of all drawings."""
    drawn = canvas.axes(260, 34, (14, 14, 20, 2))
    drawn.imshow(np.linspace(0, 1, 128)[None, :], cmap=COLOURS, aspect="auto", extent=(0, 1, 0, 1))
    canvas.frame(drawn, {float(SHOWN(share)): f"{share:g}" for share in TOLD}, {}, "")
    return canvas.svg(drawn, name, f"Colours from {TOLD[0]} to {TOLD[-1]}")


def _blank(axes: Axes, rows: int, windows: int, colours: Colormap) -> AxesImage:
    blank = np.full((rows, windows), np.nan)
    return axes.imshow(blank, cmap=colours, norm=SHOWN, aspect="auto", interpolation="none")


def _signs(shares: Floats) -> tuple[Floats, Floats]:
    """The shares of positive and of negative outputs, (windows, SIZES) each, from 0 out."""
    return shares[:, SIZES:BINS], shares[:, SIZES - 1 :: -1]


def _power(exponent: int) -> str:
    """2⁻⁵."""
    return "2" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
