"""Clipping, in place on the gradients."""

import math
from collections.abc import Callable

import numpy as np

from backends.numpy.flat import Array, Flat
from harness.spec.recipe import ByValue, Clip, GlobalNorm, NoClip, PerTensor


def clipper(spec: Clip, g: Flat) -> Callable[[], object] | None:
    """A function that clips the gradients in place, or None."""
    match spec:
        case NoClip():
            return None
        case GlobalNorm(c=c):
            return lambda: _shorten([g.vector], c)
        case PerTensor(c=c):
            return lambda: _shorten(g.pieces, c)
        case ByValue(lowest=lowest, highest=highest):
            return lambda: np.clip(g.vector, lowest, highest, out=g.vector)


def _shorten(vectors: list[Array], c: float) -> None:
    """g ← g if ‖g‖ ≤ c, else (c/‖g‖)g, for each vector on its own."""
    for g in vectors:
        norm = math.sqrt(np.dot(g, g))
        if not norm <= c:  # NaN goes this way
            np.multiply(g, c / norm, out=g)
