"""How the rate changes: η_t = lr · factor(t), t = 0 at the first update."""

from collections.abc import Sequence
from typing import Annotated, get_args

import msgspec
import numpy as np

from harness.spec.base import Count, NonNegative, Piece, Positive, left_out

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


class Constant(Piece, frozen=True, tag="constant"):
    """factor(t) = 1."""


class Step(Piece, frozen=True, tag="step"):
    """factor(t) = rate^⌊t/every⌋."""

    every: Count = 100
    rate: Positive = 0.5


class Exponential(Piece, frozen=True, tag="exponential"):
    """factor(t) = rate^(t/every)."""

    rate: Positive = 0.5
    every: Count = 100


class Cosine(Piece, frozen=True, tag="cosine"):
    """factor(t) = floor + (1 − floor)(1 + cos πt/steps)/2, then floor (Loshchilov & Hutter 2017).

    ``steps`` left out means the whole budget (what a warm-up before it leaves of it).
    """

    steps: Annotated[Count | None, left_out("the whole budget", 1000)] = None
    floor: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0


class Polynomial(Piece, frozen=True, tag="polynomial"):
    """factor(t) = end + (1 − end)(1 − t/steps)^power, then end. ``steps`` left out means the whole budget."""

    steps: Annotated[Count | None, left_out("the whole budget", 1000)] = None
    power: Positive = 1.0
    end: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0


class InverseTime(Piece, frozen=True, tag="inverse_time"):
    """factor(t) = 1/(1 + rate·t/every)."""

    rate: NonNegative = 1.0
    every: Count = 100


class OneCycle(Piece, frozen=True, tag="one_cycle"):
    """From ``start`` up to 1, at lr, and down to ``end``, each along half a cosine (Smith & Topin 2019).

    The peak is at t = rise·steps − 1, the end at steps − 1. ``steps`` left out means the whole budget.
    """

    steps: Annotated[Count | None, left_out("the whole budget", 1000)] = None
    rise: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.3
    start: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.04
    end: Annotated[float, msgspec.Meta(ge=0, le=1)] = 4e-6


class Plateau(Piece, frozen=True, tag="plateau"):
    """The rate times ``factor`` whenever the loss has not improved in ``patience`` evaluations, down to ``floor``.

    Evaluated every ``every`` steps: on the validation part, or on the training part of a problem that has no other. An
    improvement is a loss below (1 − ``threshold``) times the best so far. After each cut, ``cooldown`` evaluations
    do not count.
    """

    factor: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.5
    patience: Count = 5
    every: Count = 30
    threshold: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 1e-4
    cooldown: Annotated[int, msgspec.Meta(ge=0)] = 0
    floor: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0


class WarmUp(Piece, frozen=True, tag="warm_up"):
    """factor(t) = start + (1 − start)t/steps for t < steps, then ``then`` counted from there (Goyal et al. 2017)."""

    steps: Count = 100
    start: NonNegative = 0.0
    then: Constant | Step | Exponential | Cosine | Polynomial | InverseTime | OneCycle = Constant()


Schedule = Constant | Step | Exponential | Cosine | Polynomial | InverseTime | OneCycle | Plateau | WarmUp
SCHEDULES: tuple[type[Schedule], ...] = get_args(Schedule)


def factors(schedule: Schedule, steps: int) -> Floats:
    """factor(0) … factor(steps − 1) in float64: the table that every backend's ``exact`` follows.

    ``Plateau`` depends on the losses: its factor comes on top, from ``harness.measure.feedback``.
    """
    t = np.arange(steps, dtype=np.float64)
    match schedule:
        case Constant() | Plateau():
            return np.ones(steps)
        case Step(every=every, rate=rate):
            return np.asarray(rate ** np.floor(t / every))
        case Exponential(rate=rate, every=every):
            return np.asarray(rate ** (t / every))
        case Cosine(steps=length, floor=floor):
            progress = np.minimum(t / (length or max(steps, 1)), 1.0)
            return np.asarray(floor + (1 - floor) * (1 + np.cos(np.pi * progress)) / 2)
        case Polynomial(steps=length, power=power, end=end):
            left = np.maximum(1 - t / (length or max(steps, 1)), 0.0)
            return np.asarray(end + (1 - end) * left**power)
        case InverseTime(rate=rate, every=every):
            return np.asarray(1 / (1 + rate * t / every))
        case OneCycle():
            return _one_cycle(schedule, t, schedule.steps or max(steps, 1))
        case WarmUp(steps=length, start=start, then=then):
            rise = start + (1 - start) * t[:length] / length
            return np.concatenate([rise, factors(then, max(steps - length, 0))])


def made(schedule: Schedule, steps: int, at: Sequence[int], scales: Sequence[float]) -> Floats:
    """The factors of a run: the schedule's, and from each of these steps on so much of them, as a plateau has cut."""
    places = np.searchsorted(np.asarray(at), np.arange(steps), "right")
    return np.asarray(factors(schedule, steps) * np.concatenate([np.ones(1), scales])[places], dtype=np.float64)


def _one_cycle(schedule: OneCycle, t: Floats, steps: int) -> Floats:
    peak, last = schedule.rise * steps - 1, steps - 1

    def along(progress: Floats, first: float, second: float) -> Floats:
        return np.asarray(second + (first - second) * (1 + np.cos(np.pi * np.clip(progress, 0.0, 1.0))) / 2)

    rising = along(t / peak if peak > 0 else np.ones_like(t), schedule.start, 1.0)
    falling = along((t - peak) / (last - peak), 1.0, schedule.end)
    return np.where(t <= peak, rising, falling)
