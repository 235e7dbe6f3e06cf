"""Clipping, in place on the gradients."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from backends.numpy.flat import Array, Flat
from harness.spec.recipe import ByValue, Clip, GlobalNorm, NoClip, PerTensor


def clipper(spec: Clip, g: Flat) -> Callable[[], object] | None:
    """A function that clips the gradients in place, or None."""
    match spec:
        case NoClip():
            return None
        case GlobalNorm(c=c):
            return lambda: _scale(g.vector, c)
        case PerTensor(c=c):
            return lambda: list(map(partial(_scale, c=c), g.pieces))
        case ByValue(lowest=lowest, highest=highest):
            return lambda: np.clip(g.vector, lowest, highest, out=g.vector)


def _scale(g: Array, c: float) -> None:
    """g ← g if ‖g‖ ≤ c, else (c/‖g‖)g."""
    norm = math.sqrt(np.dot(g, g))
    if not norm <= c:  # NaN goes this way
        np.multiply(g, c / norm, out=g)
