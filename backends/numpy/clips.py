"""Clipping, in place on the gradients."""

from collections.abc import Callable

import numpy as np

from backends.numpy.flat import Array, Flat, norm
from harness.spec.recipe import Adaptive, ByValue, Clip, GlobalNorm, NoClip, PerTensor


def clipper(spec: Clip, g: Flat, w: Flat) -> Callable[[], object] | None:
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
        case Adaptive():
            tensors = [adaptive(spec, g.views[name], w.views[name]) for name in g.views]
            return lambda: [shorten() for shorten in tensors]


def _shorten(vectors: list[Array], c: float) -> None:
    """g ← g if ‖g‖ ≤ c, else (c/‖g‖)g, for each vector on its own."""
    for g in vectors:
        length = norm(g)
        if not length <= c:  # NaN goes this way
            np.multiply(g, c / length, out=g)


def adaptive(spec: Adaptive, g: Array, w: Array) -> Callable[[], object]:
    """g ← g·min(1, c·max(‖w‖, ε)/‖g‖) for each unit, a column of the matrix whose last axis is the tensor's."""
    outputs = g.shape[-1] if g.ndim > 1 else 1
    g, w = g.reshape(-1, outputs), w.reshape(-1, outputs)
    square, ones = np.empty_like(g), np.ones(len(g), g.dtype)
    lengths, limits = np.empty((2, outputs), g.dtype)

    def measure(tensor: Array, out: Array) -> None:
        np.multiply(tensor, tensor, out=square)
        np.dot(ones, square, out=out)  # the sum over a unit, faster than np.sum
        np.sqrt(out, out=out)

    def shorten() -> None:
        measure(w, limits)
        measure(g, lengths)
        np.maximum(limits, spec.eps, out=limits)
        np.multiply(limits, spec.c, out=limits)
        np.divide(limits, lengths, out=limits)
        np.minimum(limits, 1.0, out=limits)  # also where ‖g‖ = 0, and exactly 1 below the limit
        np.multiply(g, limits, out=g)

    return shorten
