"""One phase of the training step by itself, for timing."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from backends.numpy.clips import Shorten, clipper
from backends.numpy.flat import Array, Flat
from backends.numpy.objective import Objective
from backends.numpy.penalties import Penalty
from backends.numpy.update import Update
from harness.backend import Phase
from harness.spec.recipe import Recipe

LOWER = 1 - 1e-4  # well beyond the rounding of a norm, and over a block of 2000 rows less than a fifth


class Step(Protocol):
    """What a trainer lends."""

    recipe: Recipe
    w: Flat
    g: Flat
    penalty: Penalty | None
    update: Update

    def objective(self, batch: int) -> Objective:
        """The loss, bound to buffers for that many samples."""
        ...

    def load(self, on: Objective, row: Array) -> None:
        """The coming step's samples and masks into those buffers."""
        ...


def phase(step: Step, name: Phase, first: Array) -> Callable[[Array], object]:
    """What is done for each row; ``first`` is the batch whose gradients are held where gradients are needed."""
    on, penalty = step.objective(len(first)), step.penalty

    def forward(row: Array) -> None:
        step.load(on, row)
        on.loss()
        if penalty is not None:
            penalty.value()
        on.remember()

    def gradient(row: Array) -> None:
        step.load(on, row)
        on.loss()
        on.differentiate()
        if penalty is not None:
            penalty()
        on.remember()

    match name:
        case "forward":
            return forward
        case "gradient":
            return gradient
        case "penalty":
            assert penalty is not None, "measure.speed asks for the phases that a recipe has"
            return lambda row: penalty()
        case "clip":
            gradient(first)
            return _clip(step)
        case "update":
            gradient(first)
            _without_zeros(step.g.vector)
            return lambda row: step.update.apply()
        case "step":
            raise ValueError("a whole step is train's")


def _without_zeros(g: Array) -> None:
    """Where a held gradient is 0, as that of a unit which none of the batch excites, averages would only shrink.

    After 800 steps of Adam they would be subnormal, and 1.5 % of these double its time. Of the small number that is put
    there even the fourth power is a normal one.
    """
    np.copyto(g, float(np.finfo(g.dtype).tiny ** 0.25), where=g == 0)


def _clip(step: Step) -> Callable[[Array], object]:
    """The clip, in place as ever.

    What has been cut to a length would be left alone the next time, so that length is a little less each time: all that
    had to be cut at first has to be cut again, by as many passes over memory.
    """
    clip = clipper(step.recipe.clip, step.g, step.w)
    assert clip is not None, "measure.speed asks for the phases that a recipe has"
    if not isinstance(clip, Shorten):
        return lambda row: clip()

    def shorten(row: Array) -> None:
        clip()
        clip.c *= LOWER

    return shorten
