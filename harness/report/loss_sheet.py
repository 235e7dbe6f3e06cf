"""The drawing of loss curves, on a frame that all panels of a setting share."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib.artist import Artist
from matplotlib.ticker import LogLocator, MaxNLocator

from harness.judge.speed import Floats
from harness.report import canvas
from harness.report.contenders import Contender

WIDTH, HEIGHT, MARGINS = 340.0, 170.0, (48.0, 8.0, 34.0, 6.0)


class Curve(NamedTuple):
    """One trial's losses: median, lowest and highest over seeds in each bin; where runs diverged."""

    contender: Contender
    steps: Floats
    median: Floats
    low: Floats
    high: Floats
    diverged: tuple[tuple[float, float], ...]  # step and last finite loss


class Sheet:
    """A frame with limits that suit some curves; logarithmic where all losses are positive."""

    def __init__(self, curves: Sequence[Curve]) -> None:
        self.limits, self.logarithmic = _limits(curves)
        low, high = self.limits
        self.drawn = canvas.axes(WIDTH, HEIGHT, MARGINS)
        if self.logarithmic:
            self.drawn.set_yscale("log")
        end = max(float(curve.steps[-1]) for curve in curves)
        self.drawn.set_ylim(low, high)
        self.drawn.set_xlim(0, end * 1.03 or 1.0)
        up = {y: f"{y:g}" for y in self._ticks() if low <= y <= high}
        ticks = MaxNLocator(4, steps=[1, 2, 5, 10], integer=True).tick_values(0, end)
        across = {x: f"{x:g}" for x in ticks if 0 <= x <= end}
        for y in (low, *up):
            self.drawn.axhline(y, color=canvas.LINE, lw=0.8, zorder=0)
        canvas.frame(self.drawn, across, up, "step", "loss, logarithmic" if self.logarithmic else "loss")

    def svg(self, curves: Sequence[Curve], name: str, title: str) -> Markup:
        """One panel. Lines are nested, the last on top and thinnest, so that none hides another."""
        drawn = [artist for place, curve in enumerate(curves) for artist in self._curve(curve, len(curves) - 1 - place)]
        drawn += [artist for place, c in enumerate(curves) for artist in self._crosses(c, len(curves) - 1 - place)]
        panel = canvas.svg(self.drawn, name, title)
        for artist in drawn:
            artist.remove()
        return panel

    def _curve(self, curve: Curve, below: int) -> list[Artist]:
        """A line and, where seeds differ, its band."""
        colour = canvas.series(curve.contender.series)
        median = np.where(np.isfinite(curve.median), curve.median, np.nan)
        artists: list[Artist] = [*self.drawn.plot(curve.steps, median, color=colour, lw=1.4 + 1.6 * below)]
        shown = np.isfinite(curve.low)
        if not np.array_equal(curve.low, curve.high):
            low, high = curve.low[shown], np.minimum(curve.high[shown], self._above)
            artists.append(self.drawn.fill_between(curve.steps[shown], low, high, color=colour, alpha=0.13, lw=0))
        return artists

    def _crosses(self, curve: Curve, below: int) -> list[Artist]:
        """A cross where a run diverged, at its last loss or at the top of the frame."""
        colour = canvas.series(curve.contender.series)
        return [
            artist
            for step, loss in curve.diverged
            for artist in self.drawn.plot(
                [step],
                [min(loss, self.limits[1])],
                "x",
                ms=8 + 2 * below,
                mew=2.2 + 2 * below,
                color=colour,
                clip_on=False,
            )
        ]

    @property
    def _above(self) -> float:
        """A loss outside the frame."""
        low, high = self.limits
        return high * 10 if self.logarithmic else 2 * high - low

    def _ticks(self) -> Floats:
        low, high = self.limits
        if not self.logarithmic:
            return np.asarray(MaxNLocator(4).tick_values(low, high))
        decades = math.log10(high / low)
        subs = (1.0, 2.0, 5.0) if decades < 1.5 else (1.0, 3.0) if decades < 3 else (1.0,)
        return np.asarray(LogLocator(subs=subs, numticks=6).tick_values(low, high))


def _limits(curves: Sequence[Curve]) -> tuple[tuple[float, float], bool]:
    """Limits, and whether losses can be drawn as logarithms.

    The upper one is at most ten times the largest loss at the start: what blows up leaves the frame.
    """
    whole = [curve for curve in curves if not curve.diverged] or list(curves)
    values = np.concatenate([v[np.isfinite(v)] for curve in whole for v in (curve.low, curve.median, curve.high)])
    lowest, highest = (float(values.min()), float(values.max())) if values.size else (0.1, 1.0)
    if lowest <= 0:
        room = 0.05 * (highest - lowest) or 1.0
        return (lowest - room, highest + room), False
    starts = [float(curve.median[0]) for curve in whole if np.isfinite(curve.median[0])]
    top = min(highest, 10 * max(starts, default=highest))
    return (max(lowest / 1.3, top * 1e-12), top * 1.3), True
