"""All tensors of a run in one contiguous vector, so that an update is a few operations however many there are."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.spec.layers import Shape

Array = np.ndarray[Any, np.dtype[Any]]


class Flat:
    """A vector of zeros, and its pieces: for each tensor a flat one, and a view of the tensor's shape."""

    def __init__(self, shapes: Mapping[str, Shape], dtype: np.dtype[Any]) -> None:
        ends = np.cumsum([np.prod(shape, dtype=int) for shape in shapes.values()])
        self.vector: Array = np.zeros(ends[-1], dtype)
        self.starts = [0, *ends[:-1]]
        self.pieces = self.split(self.vector)
        self.views = {
            name: piece.reshape(shape) for piece, (name, shape) in zip(self.pieces, shapes.items(), strict=True)
        }

    def split(self, vector: Array) -> list[Array]:
        """Flat pieces of another vector of this layout, one a tensor."""
        return np.split(vector, self.starts[1:])

    def spread(self, values: Mapping[str, float]) -> Array:
        """A vector of this layout with one value in all places of a tensor, and 0 in the tensors not named."""
        pieces = (np.full(view.size, values.get(name, 0.0)) for name, view in self.views.items())
        return np.concatenate(list(pieces)).astype(self.vector.dtype)


def norm(v: Array) -> float:
    """‖v‖ of a vector."""
    return math.sqrt(v.dot(v))
