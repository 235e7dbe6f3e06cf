"""Tapes: lists of NumPy calls, bound to their buffers once for a batch size and then only called.

Nothing is looked up, decided or allocated in the loop. Outputs are given as last positional argument, where NumPy
lets us: a ``partial`` with keywords takes a slower way, worth 5 % of a step of a small network.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from backends.numpy.flat import Array, on_host

Tape = list[Callable[[], object]]


class Pair(NamedTuple):
    """Values, and d: the gradient of the loss with respect to them."""

    value: Array
    d: Array

    def reshape(self, *shape: int) -> "Pair":
        """The same memory in another shape."""
        return Pair(self.value.reshape(shape), self.d.reshape(shape))

    def rows(self) -> "Pair":
        """As a matrix: all axes but the last joined."""
        return self.reshape(-1, self.value.shape[-1])


@dataclass(frozen=True)
class Mark:
    """Stands in a tape where a layer's outputs are there, or the gradient of them, for those who want to see them."""

    layer: str
    y: Pair

    def __call__(self) -> None:
        """Nothing is done about it."""


Own = Mapping[str, Pair]  # the parameters of one layer, by role: "weight", "bias"


class Tapes(NamedTuple):
    """Outputs y from inputs x, and the gradients of x and the parameters from that of y.

    Forward writes y.value, backward x.d, and what they read stays as it is: values until backward is through, y.d
    even longer, for a residual reads it again.
    """

    forward: Tape
    backward: Tape


def pair(shape: tuple[int, ...], like: Array) -> Pair:
    """Buffers for values of that shape and their gradient, of the array's kind."""
    return Pair(np.empty(shape, like.dtype, like=like), np.empty(shape, like.dtype, like=like))


def spread(vector: Array, over: Array) -> tuple[Array, Tape]:
    """A vector along the last axis repeated for each place of a sample, so that NumPy's inner loop is a sample long."""
    if over.ndim == 2 or not on_host(vector):
        return vector, []
    repeated = np.empty(over.shape[1:], vector.dtype)
    return repeated, [partial(np.copyto, repeated, vector)]


def total(rows: Array, out: Array) -> Tape:
    """The sum over rows, faster than np.sum."""
    return [partial(np.dot, np.ones_like(rows, shape=len(rows)), rows, out)]


def maxima(rows: Array, out: Array) -> Tape:
    """The maximum of each row, (rows, 1); of short rows from a transposed copy, whose inner loop is long."""
    if rows.shape[1] > 64 or not on_host(rows):
        return [greatest(rows, 1, out, keepdims=True)]
    across = np.empty(rows.shape[::-1], rows.dtype)
    return [partial(np.copyto, across, rows.T), greatest(across, 0, out[:, 0])]


def greatest(array: Array, axis: int, out: Array, keepdims: bool = False) -> Callable[[], object]:
    """The maximum along an axis: NumPy's ufunc has the shortest way to it, CuPy's has no ``reduce``."""
    if on_host(array):
        return partial(np.maximum.reduce, array, axis, None, out, keepdims)
    return partial(array.max, axis, out, keepdims)


def take(array: Array, places: Array, axis: int, out: Array) -> Callable[[], object]:
    """What lies at these places along an axis."""
    return partial(array.take, places, axis, out, *unchecked(array))


def unchecked(array: Array) -> tuple[Any, ...]:
    """How ``take`` is asked not to check places, the last of its arguments.

    With NumPy's "raise" it goes through a copy; CuPy never checks, and takes no such word.
    """
    return ("clip",) if on_host(array) else ()
