"""What is seen of a step: reduced where its buffers are into one row in the order of ``Layout``.

Sums are float64's, in which the square of a small float32 is not 0; on the host, float32's where they lost nothing.

The step has the tapes of any other, in the same buffers, and at their marks looks at a layer's y when it is there, and
at ∂L/∂y when the way back begins at it: later its place may hold another gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from backends.numpy.flat import Array, Flat, on_host
from backends.numpy.tape import Mark, Pair, Tape
from harness.observation import BINS, BITS, EXACT, FROM_ZERO, LAST, LEAST, MOST, OUTPUTS, Layout
from harness.spec.job import Level

if TYPE_CHECKING:
    from backends.numpy.trainer import NumpyTrainer

BLOCK = 1024  # numbers that float32 adds up before float64 does


class Observer:
    """A trainer's step on batches of one size, with its looks."""

    def __init__(self, trainer: NumpyTrainer, batch: int, level: Level) -> None:
        self.trainer, self.whole = trainer, level != "minimal"
        self.layout = layout = Layout(trainer.task, level)
        self.row = np.zeros(layout.width, like=trainer.device.like)
        tensors, layers = len(layout.parameters), len(layout.layers)
        first = 2 + len(layout.tensors) * tensors
        last = first + (len(OUTPUTS) + 1) * layers
        self.tensors = self.row[2:first].reshape(-1, tensors)  # a row for each quantity
        self.layers = self.row[first:last].reshape(len(OUTPUTS) + 1, layers)
        self.active: dict[str, Array] = {}
        self.places = {layer.name: i for i, layer in enumerate(layout.layers)}
        for layer in layout.layers:
            self.active[layer.name] = self.row[last : last + layer.units]
            last += layer.units
        self.counted = self.row[last:].reshape(layers, layout.bins)
        if self.whole:
            # Made once: large ones that are made and dropped in each step go back to the system.
            shapes, like = trainer.task.shapes, trainer.device.like
            self.delta, *self.kept = (Flat(shapes, trainer.dtype, like) for _ in range(3))
            self.marks = [Flat(shapes, np.dtype(bool), like) for _ in range(2)]
        on = trainer.objective(batch)
        forward, backward = on.marked
        self.on = on._replace(
            forward=self._looking(forward, self._output), backward=self._looking(backward, self._signal)
        )

    def step(self, row: Array) -> Array:
        """Make one step on these samples; the row of what was seen, which the next one overwrites."""
        trainer, on = self.trainer, self.on
        trainer.load(on, row)
        self.row[0] = on.loss()
        on.differentiate()
        if trainer.penalty is not None:
            self.row[1] = trainer.penalty()
        norms(trainer.g.pieces, self.tensors[0])
        if self.whole:
            self._before()
        self._clip_and_update()
        if self.whole:
            self._moved()
        if on.average:
            on.remember()
        return self.row

    def _clip_and_update(self) -> None:
        update, g = self.trainer.update, self.trainer.g
        if update.clip is not None:
            update.clip()
            norms(g.pieces, self.tensors[1])
        else:
            self.tensors[1] = self.tensors[0]
        update.apply()

    def _before(self) -> None:
        """What more is told of g before the clip and of w before the update, while they lie in a cache."""
        out, trainer, zero = self.tensors, self.trainer, self.marks[0]
        w, g, last = trainer.w, trainer.g, trainer.last
        self.delta.vector[...] = w.vector
        norms(w.pieces, out[3])
        largest(w.pieces, out[6])
        largest(g.pieces, out[4])
        np.equal(g.vector, 0, zero.vector)
        counts(zero.pieces, out[7])
        nonfinite(g.pieces, out[0], out[9])
        if last is None:
            out[10] = np.nan
        else:
            products((g, out[0]), last, out[10])
            np.divide(out[10], out[0], out[10])
            np.divide(out[10], last[1], out[10])
        self.kept[0].vector[...] = g.vector
        trainer.last = self.kept[0], out[0].copy()
        self.kept.reverse()

    def _moved(self) -> None:
        """What is told of the update."""
        out, delta, (zero, stands) = self.tensors, self.delta, self.marks
        np.subtract(self.trainer.w.vector, delta.vector, delta.vector)
        norms(delta.pieces, out[2])
        largest(delta.pieces, out[5])
        np.equal(delta.vector, 0, stands.vector)
        np.greater(stands.vector, zero.vector, stands.vector)  # and there is a gradient
        counts(stands.pieces, out[8])

    def _looking(self, tape: Tape, look: Callable[[int, Pair], None]) -> Tape:
        """The tape with a look at the marks of those layers that are looked at, and without the others'."""
        found: Tape = []
        for one in tape:
            if not isinstance(one, Mark):
                found.append(one)
            elif one.layer in self.places:
                found.append(partial(look, self.places[one.layer], one.y))
        return found

    def _output(self, i: int, seen: Pair) -> None:
        layer, out, y = self.layout.layers[i], self.layers, seen.value.reshape(-1)
        out[1, i] = length(y)
        out[0, i] = summed(y, out[1, i]) / y.size
        if layer.bounds is not None:
            low, high = layer.bounds
            out[3, i] = np.count_nonzero(np.greater(low, y)) + np.count_nonzero(np.greater(y, high))
        nonfinite([y], out[1, i : i + 1], out[4, i : i + 1])
        there = np.not_equal(y, 0)
        if layer.units:
            self.active[layer.name][...] = each = columns(there.reshape(-1, layer.units))
            out[2, i] = y.size - each.sum()
        else:
            out[2, i] = y.size - np.count_nonzero(there)
        if self.layout.bins:
            finite = y + 0 if on_host(y) and out[4, i] == 0 else np.where(np.isfinite(y), y + 0, y.dtype.type(0))
            self.counted[i] = np.bincount(bins(finite), minlength=BINS)

    def _signal(self, i: int, seen: Pair) -> None:
        self.layers[len(OUTPUTS), i] = length(seen.d.reshape(-1))


def length(v: Array) -> Any:
    """‖v‖ of a vector, in float64."""
    if on_host(v) and v.dtype != np.float64:
        norm = math.sqrt(v.dot(v))
        if sure(norm):
            return norm
    double = v.astype(np.float64)
    return np.sqrt(double.dot(double))


def bins(y: Array) -> Array:
    """Each number's bin, by its bits; none is −0."""
    bits = BITS[y.dtype.name]
    b = y.view(bits.whole)
    sign = b >> (bits.size - 1)
    b &= np.iinfo(b.dtype).max
    b += sign
    b >>= bits.shift
    b -= bits.offset
    np.clip(b, 0, LAST, out=b)
    b ^= sign
    b += FROM_ZERO
    return b


def summed(v: Array, norm: Any) -> Any:
    """The sum of a vector, in float64; on the host of blocks that float32 adds up, where its norm is ``sure``."""
    if not on_host(v) or v.dtype == np.float64 or not sure(norm):
        return v.sum(dtype=np.float64)
    whole = v.size // BLOCK * BLOCK
    blocks = v[:whole].reshape(-1, BLOCK) @ np.ones(BLOCK, v.dtype)
    return blocks.sum(dtype=np.float64) + v[whole:].sum(dtype=np.float64)


def columns(marked: Array) -> Array:
    """How many of each column are marked: a product, where few columns would make many short sums."""
    if not on_host(marked) or len(marked) > EXACT:
        return np.asarray(np.count_nonzero(marked, 0), like=marked)
    return np.ones(len(marked), np.float32) @ marked.astype(np.float32)


def sure(norm: float) -> bool:
    """Whether float32's squares neither vanished (of 1e8 numbers) nor overflowed where they make this norm."""
    return LEAST <= norm <= MOST


def norms(pieces: list[Array], into: Array) -> None:
    """‖·‖ of each tensor."""
    for i, piece in enumerate(pieces):
        into[i] = length(piece)


def products(now: tuple[Flat, Array], last: tuple[Flat, Array], into: Array) -> None:
    """The inner products of the tensors of two gradients, given with their norms."""
    for i, (a, b) in enumerate(zip(now[0].pieces, last[0].pieces, strict=True)):
        plain = on_host(a) and (a.dtype == np.float64 or (sure(now[1][i]) and sure(last[1][i])))
        into[i] = a.dot(b) if plain else a.astype(np.float64).dot(b.astype(np.float64))


def counts(pieces: list[Array], into: Array) -> None:
    """How many of each tensor are marked."""
    for i, piece in enumerate(pieces):
        into[i] = np.count_nonzero(piece)


def nonfinite(pieces: list[Array], of: Array, into: Array) -> None:
    """How many numbers of each are NaN or ±∞: none where the norm, given, is finite. On a GPU nobody waits to ask."""
    for i, piece in enumerate(pieces):
        known = on_host(piece) and math.isfinite(of[i])
        into[i] = 0 if known else piece.size - np.count_nonzero(np.isfinite(piece))


def largest(pieces: list[Array], into: Array) -> None:
    """The largest |·| of each tensor, NaN where there is one."""
    for i, piece in enumerate(pieces):
        into[i] = np.maximum(piece.max(), -piece.min())
