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
            return Shorten([g.vector], c)
        case PerTensor(c=c):
            return Shorten(g.pieces, c)
        case ByValue(lowest=lowest, highest=highest):
            return lambda: np.clip(g.vector, lowest, highest, out=g.vector)
        case Adaptive():
            return adaptive(spec, g, w)


class Shorten:
    """g ← g if ‖g‖ ≤ c, else (c/‖g‖)g, for each vector on its own."""

    def __init__(self, vectors: list[Array], c: float) -> None:
        self.vectors, self.c = vectors, c

    def __call__(self) -> None:
        for g in self.vectors:
            length = norm(g)
            if not length <= self.c:  # NaN goes this way
                np.multiply(g, self.c / length, out=g)


def adaptive(spec: Adaptive, g: Flat, w: Flat) -> Callable[[], object]:
    """g ← g·min(1, c·max(‖w‖, ε)/‖g‖) for each unit: a column of the tensor laid out as a matrix."""
    square = np.empty_like(g.vector)
    shapes = [(-1, view.shape[-1] if view.ndim > 1 else 1) for view in g.views.values()]
    squares, gradients = (
        [piece.reshape(shape) for piece, shape in zip(g.split(vector), shapes, strict=True)]
        for vector in (square, g.vector)
    )
    ends = np.cumsum([matrix.shape[1] for matrix in squares])
    lengths, limits = np.empty((2, int(ends[-1])), square.dtype, like=square)
    each_length, each_limit = np.split(lengths, ends[:-1]), np.split(limits, ends[:-1])
    ones = [np.ones_like(square, shape=len(matrix)) for matrix in squares]

    def measure(vector: Array, outs: list[Array]) -> None:
        np.multiply(vector, vector, out=square)
        for one, matrix, out in zip(ones, squares, outs, strict=True):
            np.dot(one, matrix, out=out)  # the sum over a column, faster than np.sum

    def shorten() -> None:
        measure(w.vector, each_limit)
        measure(g.vector, each_length)
        np.sqrt(limits, out=limits)
        np.sqrt(lengths, out=lengths)
        np.maximum(limits, spec.eps, out=limits)
        np.multiply(limits, spec.c, out=limits)
        np.divide(limits, lengths, out=limits)
        np.minimum(limits, 1.0, out=limits)  # also where ‖g‖ = 0, and exactly 1 below the limit
        for gradient, limit in zip(gradients, each_limit, strict=True):
            np.multiply(gradient, limit, out=gradient)

    return shorten
