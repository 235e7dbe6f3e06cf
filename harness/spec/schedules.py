"""How the rate changes: η_t = lr · factor(t), t = 0 at the first update."""

from typing import Annotated

import msgspec
import numpy as np

from harness.spec.base import Count, NonNegative, Piece, Positive

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

    steps: Count | None = None
    floor: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0


class WarmUp(Piece, frozen=True, tag="warm_up"):
    """factor(t) = start + (1 − start)t/steps for t < steps, then ``then`` counted from there (Goyal et al. 2017)."""

    steps: Count = 100
    start: NonNegative = 0.0
    then: Constant | Step | Exponential | Cosine = Constant()


Schedule = Constant | Step | Exponential | Cosine | WarmUp
SCHEDULES: tuple[type[Schedule], ...] = (Constant, Step, Exponential, Cosine, WarmUp)


def factors(schedule: Schedule, steps: int) -> Floats:
    """factor(0) … factor(steps − 1) in float64: the table that every backend's ``exact`` follows."""
    t = np.arange(steps, dtype=np.float64)
    match schedule:
        case Constant():
            return np.ones(steps)
        case Step(every=every, rate=rate):
            return np.asarray(rate ** np.floor(t / every))
        case Exponential(rate=rate, every=every):
            return np.asarray(rate ** (t / every))
        case Cosine(steps=length, floor=floor):
            progress = np.minimum(t / (length or max(steps, 1)), 1.0)
            return np.asarray(floor + (1 - floor) * (1 + np.cos(np.pi * progress)) / 2)
        case WarmUp(steps=length, start=start, then=then):
            rise = start + (1 - start) * t[:length] / length
            return np.concatenate([rise, factors(then, max(steps - length, 0))])
