"""The drawing of loss curves, on a frame that all panels of a setting share."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

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
        end = max(float(curve.steps[-1]) for curve in curves)
        axes = "y" if self.logarithmic else ""
        self.drawing = canvas.Drawing((WIDTH, HEIGHT), MARGINS, (0.0, end * 1.03 or 1.0), self.limits, axes)
        up = canvas.log_ticks(*self.limits) if self.logarithmic else canvas.ticks(*self.limits)
        for y in self.drawing.y(np.array([self.limits[0], *up])).tolist():
            ends = [(self.drawing.left, y), (self.drawing.right, y)]
            self.drawing.add(canvas.path(ends, f'stroke="{canvas.LINE}" stroke-width="0.8"'))
        self.drawing.scale_across([step for step in canvas.ticks(0, end) if step == int(step)], "step")
        name = "loss, logarithmic" if self.logarithmic else "loss"
        self.drawing.scale_up({y: f"{y:g}" for y in up}, name=name)

    def svg(self, curves: Sequence[Curve], name: str, title: str) -> Markup:
        """One panel. Lines are nested, the last on top and thinnest, so that none hides another."""
        lines = [self._curve(curve, len(curves) - 1 - place) for place, curve in enumerate(curves)]
        crosses = [self._crosses(curve, len(curves) - 1 - place) for place, curve in enumerate(curves)]
        return self.drawing.svg(name, title, self.drawing.clipped(lines) + "".join(crosses))

    def _curve(self, curve: Curve, below: int) -> str:
        """A line and, where seeds differ, its band."""
        colour = canvas.series(curve.contender.series)
        style = f'fill="none" stroke="{colour}" stroke-width="{1.4 + 1.6 * below:.1f}"'
        line = canvas.path(self._points(curve.steps, curve.median), style)
        shown = np.isfinite(curve.low)
        if np.array_equal(curve.low, curve.high):
            return line
        steps, low, high = curve.steps[shown], curve.low[shown], np.minimum(curve.high[shown], self._above)
        around = self._points(np.concatenate([steps, steps[::-1]]), np.concatenate([low, high[::-1]]))
        return line + canvas.path(around, f'fill="{colour}" fill-opacity="0.13"', closed=True)

    def _crosses(self, curve: Curve, below: int) -> str:
        """A cross where a run diverged, at its last loss or at the top of the frame."""
        style = f'stroke="{canvas.series(curve.contender.series)}" stroke-width="{2.2 + 2 * below:.1f}"'
        arm, drawn = 4.0 + below, ""
        for step, loss in curve.diverged:
            ((x, y),) = self._points(np.array([step]), np.array([min(loss, self.limits[1])])).tolist()
            for turn in (1, -1):
                drawn += canvas.path([(x - arm, y - turn * arm), (x + arm, y + turn * arm)], style)
        return drawn

    def _points(self, steps: Floats, losses: Floats) -> Floats:
        return np.column_stack([self.drawing.x(steps), self.drawing.y(losses)])

    @property
    def _above(self) -> float:
        """A loss outside the frame."""
        low, high = self.limits
        return high * 10 if self.logarithmic else 2 * high - low


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
