"""What is seen of a step, as part of a traced step of its own: a row, and the gradient that the next is held against.

Sums are float64's, in which the square of a small float32 is not 0; float32's where they lost nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import tensorflow as tf

from backends.tensorflow import modes
from harness.observation import BINS, BITS, EXACT, FROM_ZERO, LAST, LEAST, MOST, Layout
from harness.spec.job import Level

if TYPE_CHECKING:
    from backends.tensorflow.trainer import TensorFlowTrainer

DOUBLE = tf.float64


class Observer:
    """Observed steps of a trainer, in its mode."""

    def __init__(self, trainer: TensorFlowTrainer, level: Level, mode: str) -> None:
        self.trainer, self.layout, self.whole = trainer, Layout(trainer.task, level), level != "minimal"
        self.watched = {layer.name: layer for layer in self.layout.layers}
        self.function = modes.run(self._step, mode)
        self.traced: dict[int, Callable[..., tuple[tf.Tensor, list[tf.Tensor]]]] = {}  # by the size of a batch

    def step(self, row: tf.Tensor) -> tf.Tensor:
        """Make one step on these samples; the row of what was seen."""
        trainer, samples = self.trainer, len(row)
        if samples not in self.traced:
            kinds = [tf.TensorSpec(w.shape, w.dtype) for w in trainer.weights] if self.whole else []
            self.traced[samples] = modes.concrete(self.function, *trainer.batches(samples), *kinds)
        last: list[tf.Tensor] = []
        if self.whole:
            last = trainer.last or [tf.fill(w.shape, tf.constant(math.nan, w.dtype)) for w in trainer.weights]
        seen, gradient = self.traced[samples](row, *trainer.masks(trainer.steps, samples), *last)
        if self.whole:
            trainer.last = gradient
        return seen

    def _step(self, indices: tf.Tensor, *given: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """One update; the row, and the gradient before the clip."""
        trainer = self.trainer
        masks = len(trainer.masked)
        drawn, last = given[:masks], given[masks:]
        outputs: dict[str, tf.Tensor] = {}

        def look(name: str, y: tf.Tensor) -> tf.Tensor:
            outputs[name] = tf.identity(y)  # apart from an input that is handed on, which more comes back to
            return outputs[name]

        with tf.GradientTape() as tape:
            loss, penalty = trainer.objective(indices, drawn, look if self.watched else None)
            total = loss + penalty
        signalled = [name for name, layer in self.watched.items() if layer.signal]
        g, signals = tape.gradient(total, (trainer.weights, [outputs[name] for name in signalled]))
        g = [tf.convert_to_tensor(one) for one in g]
        before = [tf.identity(w) for w in trainer.weights]
        clipped = trainer.update.clipped(g)
        raw = _norms(g)
        found = [raw, raw if all(a is b for a, b in zip(g, clipped, strict=True)) else _norms(clipped)]
        trainer.update.unclipped(clipped)
        if self.whole:
            after = [tf.convert_to_tensor(w) for w in trainer.weights]
            found += _moved(g, before, after, last, raw)
        if self.watched:
            found += self._looked(outputs, dict(zip(signalled, signals, strict=True)))
        head = [tf.cast(one, DOUBLE) for one in (loss, penalty)]
        return tf.concat([tf.stack(head), *found], 0), g if self.whole else []

    def _looked(self, outputs: dict[str, tf.Tensor], signals: dict[str, tf.Tensor]) -> list[tf.Tensor]:
        """What was seen of the layers, in the row's order."""
        ys = [outputs[name] for name in self.watched]
        norms, zero = _norms(ys), tf.zeros((), DOUBLE)
        zeros, saturated, active = [], [], []
        for layer, y in zip(self.watched.values(), ys, strict=True):
            if layer.units:
                there = tf.cast(tf.reshape(y, [-1, layer.units]) != 0, tf.float32)  # exact up to 2²⁴ of one unit
                active.append(tf.cast(tf.reduce_sum(there, 0), DOUBLE))
                zeros.append(y.shape.num_elements() - tf.reduce_sum(active[-1]))
            else:
                zeros.append(_count(y == 0))
            low, high = layer.bounds or (0.0, 0.0)
            saturated.append(_count((y < low) | (y > high)) if layer.bounds else zero)
        of_outputs = [_means(ys, norms), norms, tf.stack(zeros), tf.stack(saturated), _nonfinite(ys, norms)]
        signalled = [name for name in self.watched if name in signals]
        lengths = dict(zip(signalled, tf.unstack(_norms([signals[name] for name in signalled])), strict=True))
        back = [lengths.get(name, zero) for name in self.watched]
        counted = [_histogram(y) for y in ys] if self.layout.bins else []
        return [*of_outputs, tf.stack(back), *active, *counted]


def _moved(
    g: list[tf.Tensor], before: list[tf.Tensor], after: list[tf.Tensor], last: tuple[tf.Tensor, ...], raw: tf.Tensor
) -> list[tf.Tensor]:
    """What a standard row says more of the tensors; ``raw`` are the norms of g."""
    delta = [new - old for new, old in zip(after, before, strict=True)]
    stands = [(d == 0) & (one != 0) for d, one in zip(delta, g, strict=True)]
    lengths = raw, _norms(delta), _norms(before)
    return [
        *lengths[1:],
        *(_largest(*one) for one in zip((g, delta, before), lengths, strict=True)),
        tf.stack([_count(one == 0) for one in g]),
        tf.stack([_count(one) for one in stands]),
        _nonfinite(g, raw),
        _products(g, last, raw) / raw / _norms(list(last)),
    ]


def _means(tensors: list[tf.Tensor], norms: tf.Tensor) -> tf.Tensor:
    """The mean of each, in float64."""
    plain = tf.stack([tf.cast(tf.reduce_mean(one), DOUBLE) for one in tensors])
    if tensors[0].dtype == DOUBLE:
        return plain
    return tf.cond(
        _sure(norms), lambda: plain, lambda: tf.stack([tf.reduce_mean(tf.cast(one, DOUBLE)) for one in tensors])
    )


def _histogram(y: tf.Tensor) -> tf.Tensor:
    """How many are in each bin, by their bits."""
    bits = BITS[y.dtype.name]
    finite = tf.reshape(tf.where(tf.math.is_finite(y) & (y != 0), y, tf.zeros_like(y)), [-1])  # −0 too
    b = tf.bitcast(finite, bits.whole)
    sign = tf.bitwise.right_shift(b, bits.size - 1)
    power = tf.bitwise.right_shift((b & b.dtype.max) + sign, bits.shift) - bits.offset
    bins = FROM_ZERO + (tf.clip_by_value(power, 0, LAST) ^ sign)
    kind = tf.float32 if y.shape.num_elements() <= EXACT else DOUBLE
    return tf.cast(tf.math.unsorted_segment_sum(tf.ones_like(finite, kind), bins, BINS), DOUBLE)  # XLA compiles it too


def _norms(tensors: list[tf.Tensor]) -> tf.Tensor:
    """‖·‖ of each, in float64."""
    plain = tf.cast(tf.sqrt(2 * tf.stack([tf.nn.l2_loss(one) for one in tensors])), DOUBLE)
    if tensors[0].dtype == DOUBLE:
        return plain
    return tf.cond(_sure(plain), lambda: plain, lambda: tf.stack([tf.norm(tf.cast(one, DOUBLE)) for one in tensors]))


def _sure(norms: tf.Tensor) -> tf.Tensor:
    """Whether sums in float32 lost nothing; what is exactly 0 may have."""
    return tf.reduce_all((norms >= LEAST) & (norms <= MOST))


def _products(g: list[tf.Tensor], last: tuple[tf.Tensor, ...], raw: tf.Tensor) -> tf.Tensor:
    """The inner products of two gradients."""

    def doubles() -> tf.Tensor:
        return tf.stack([tf.reduce_sum(tf.cast(a, DOUBLE) * tf.cast(b, DOUBLE)) for a, b in zip(g, last, strict=True)])

    def plain() -> tf.Tensor:
        return tf.cast(tf.stack([tf.reduce_sum(a * b) for a, b in zip(g, last, strict=True)]), DOUBLE)

    return doubles() if g[0].dtype == DOUBLE else tf.cond(_sure(raw), plain, doubles)


def _nonfinite(tensors: list[tf.Tensor], norms: tf.Tensor) -> tf.Tensor:
    """How many numbers of each are NaN or ±∞: none where all norms are finite."""
    return tf.cond(
        tf.reduce_all(tf.math.is_finite(norms)),
        lambda: tf.zeros(len(tensors), DOUBLE),
        lambda: tf.stack([_count(~tf.math.is_finite(one)) for one in tensors]),
    )


def _largest(tensors: list[tf.Tensor], norms: tf.Tensor) -> tf.Tensor:
    """The largest |·| of each; NaN where there is one, which TensorFlow's own maximum may pass over."""
    largest = tf.stack([tf.maximum(tf.reduce_max(one), -tf.reduce_min(one)) for one in tensors])
    known = tf.cast(largest, DOUBLE)
    return tf.where(tf.math.is_nan(norms), norms, known)


def _count(marked: tf.Tensor) -> tf.Tensor:
    kind = tf.float32 if marked.shape.num_elements() <= EXACT else DOUBLE
    return tf.cast(tf.reduce_sum(tf.cast(marked, kind)), DOUBLE)
