"""What was observed at the start, layer by layer, against what theory expects."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from harness.findings.seen import Seen
from harness.health.gains import Expected
from harness.observation import SIGNAL
from harness.report.health_runs import Case, Run
from harness.report.words import counted, listed
from harness.spec.losses import times_mean


class Point(NamedTuple):
    """A layer's number against theory's; nan: unknown, or not observed."""

    layer: str
    expected: float
    spread: float  # of its ln
    observed: tuple[float, ...]  # by run
    why: str  # it is unknown

    @property
    def off(self) -> float:
        """How many spreads the first backend lies from theory."""
        with np.errstate(all="ignore"):
            return float(np.log(np.divide(self.observed[0], self.expected)) / np.float64(self.spread))


@dataclass(frozen=True)
class Profile:
    """One quantity of every layer at the start."""

    name: str
    when: str
    points: tuple[Point, ...]

    @property
    def observed(self) -> bool:
        """Whether anything of it was."""
        return any(np.isfinite(point.observed).any() for point in self.points)


@dataclass(frozen=True)
class Start:
    """One start, which recipes may share: the case that shows it, and its two profiles."""

    case: Case
    expected: Expected

    @cached_property
    def outputs(self) -> Profile:
        """Mean squares, over each backend's first window."""
        layers = self.expected.layers.values()
        points = (Point(one.name, one.square, one.spread, self._each(_square, one.name), one.why) for one in layers)
        every, window = self.case.runs[0].seen.measure.every, self.case.runs[0].seen.measure.window
        when = f"steps 0 to {every * (window - 1)}" if window > 1 else "step 0"
        return Profile("mean square of outputs", when, tuple(points))

    @cached_property
    def signals(self) -> Profile:
        """‖∂L/∂y‖² of each backend's first step."""
        scale, layers = _scale(self.case.runs[0].seen, self.expected), self.expected.layers.values()
        points = (
            Point(one.name, one.gradient * scale, one.gradient_spread, self._each(_signal, one.name), one.why)
            for one in layers
        )
        return Profile("‖∂L/∂y‖²", "step 0", tuple(points))

    def _each(self, what: Callable[[Run, str], float], layer: str) -> tuple[float, ...]:
        return tuple(what(run, layer) for run in self.case.runs)


def unknown(*profiles: Profile) -> str:
    """The layers of which theory says nothing in one of them, and why."""
    reasons: dict[str, dict[str, None]] = {}
    for point in (point for points in zip(*(profile.points for profile in profiles), strict=True) for point in points):
        if not math.isfinite(point.expected):
            reasons.setdefault(point.why or "not derived", {})[point.layer] = None
    return "; ".join(f"{_few(list(layers))} ({why})" for why, layers in reasons.items())


def starts(cases: Sequence[Case]) -> list[Start]:
    """Each start once, where anything of it was observed and theory knows of it."""
    found: dict[object, Start] = {}
    for case in cases:
        key = case.setting, case.seed
        expected = case.runs[0].seen.expected
        if key not in found and expected is not None:
            start = Start(case, expected)
            if start.signals.observed or start.outputs.observed:
                found[key] = start
    return list(found.values())


def _square(run: Run, layer: str) -> float:
    mean, spread = (run.seen.track(name, layer).values for name in ("mean", "spread"))
    return float(mean[0] ** 2 + spread[0] ** 2) if len(mean) else math.nan


def _signal(run: Run, layer: str) -> float:
    values = run.seen.track(SIGNAL, layer).values
    return float(values[0] ** 2) if len(values) else math.nan


def _scale(seen: Seen, expected: Expected) -> float:
    """From the part of the batch that theory looked at, and its mean loss, to the whole batch and the loss as it is."""
    looked_at = next(iter(expected.gradients.values())).batch if expected.gradients else seen.batch
    return looked_at / seen.batch * times_mean(expected.loss, (seen.batch, *expected.outputs)) ** 2


def _few(layers: Sequence[str]) -> str:
    return listed(layers) if len(layers) < 4 else f"{counted(len(layers), 'layer')} from {layers[0]} to {layers[-1]}"
