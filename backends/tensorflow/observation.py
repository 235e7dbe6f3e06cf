"""What is seen of a step, as part of a traced step of its own: a row, and the gradient that the next is held against.

Everything is reduced in float64, in which the square of a small float32 is not 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import tensorflow as tf

from backends.tensorflow import modes
from harness.observation import BINS, EDGES, Layout, Watched
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
        found = [_norms(g), _norms(clipped)]
        trainer.update.unclipped(clipped)
        if self.whole:
            after = [tf.convert_to_tensor(w) for w in trainer.weights]
            found += _moved(g, before, after, last)
        if self.watched:
            found += self._looked(outputs, dict(zip(signalled, signals, strict=True)))
        head = [tf.cast(one, DOUBLE) for one in (loss, penalty)]
        return tf.concat([tf.stack(head), *found], 0), g if self.whole else []

    def _looked(self, outputs: dict[str, tf.Tensor], signals: dict[str, tf.Tensor]) -> list[tf.Tensor]:
        """What was seen of the layers, in the row's order."""
        doubles = {name: tf.cast(outputs[name], DOUBLE) for name in self.watched}
        table = tf.stack([_of_output(layer, doubles[name]) for name, layer in self.watched.items()], axis=1)
        zero = tf.zeros((), DOUBLE)
        back = [_norm(signals[name]) if name in signals else zero for name in self.watched]
        active = [
            tf.reduce_sum(tf.cast(tf.reshape(doubles[name], [-1, layer.units]) != 0, DOUBLE), 0)
            for name, layer in self.watched.items()
            if layer.units
        ]
        counted = [_histogram(y) for y in doubles.values()] if self.layout.bins else []
        return [tf.reshape(table, [-1]), tf.stack(back), *active, *counted]


def _moved(
    g: list[tf.Tensor], before: list[tf.Tensor], after: list[tf.Tensor], last: tuple[tf.Tensor, ...]
) -> list[tf.Tensor]:
    """What a standard row says more of the tensors."""
    delta = [new - old for new, old in zip(after, before, strict=True)]
    stands = [(d == 0) & (one != 0) for d, one in zip(delta, g, strict=True)]
    products = [
        tf.reduce_sum(tf.cast(a, DOUBLE) * tf.cast(b, DOUBLE)) / _norm(a) / _norm(b)
        for a, b in zip(g, last, strict=True)
    ]
    return [
        _norms(delta),
        _norms(before),
        *(tf.stack([_largest(one) for one in each]) for each in (g, delta, before)),
        tf.stack([_count(one == 0) for one in g]),
        tf.stack([_count(one) for one in stands]),
        tf.stack([_count(~tf.math.is_finite(one)) for one in g]),
        tf.stack(products),
    ]


def _of_output(layer: Watched, y: tf.Tensor) -> tf.Tensor:
    low, high = layer.bounds or (-math.inf, math.inf)
    return tf.stack(
        [
            tf.reduce_mean(y),
            _norm(y),
            _count(y == 0),
            _count((y < low) | (y > high)),
            _count(~tf.math.is_finite(y)),
        ]
    )


def _histogram(y: tf.Tensor) -> tf.Tensor:
    flat = tf.reshape(tf.where(tf.math.is_finite(y), y, tf.zeros_like(y)), [-1])
    bins = tf.searchsorted(tf.constant(EDGES, DOUBLE), flat, side="right")
    return tf.math.unsorted_segment_sum(tf.ones_like(flat), bins, BINS)  # which XLA compiles too


def _norm(v: tf.Tensor) -> tf.Tensor:
    return tf.norm(tf.cast(v, DOUBLE))


def _norms(tensors: list[tf.Tensor]) -> tf.Tensor:
    return tf.stack([_norm(one) for one in tensors])


def _largest(v: tf.Tensor) -> tf.Tensor:
    """The largest |v|; NaN where there is one, which TensorFlow's own maximum may pass over."""
    largest = tf.cast(tf.reduce_max(tf.abs(v)), DOUBLE)
    return tf.where(tf.reduce_any(tf.math.is_nan(v)), tf.constant(math.nan, DOUBLE), largest)


def _count(marked: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(marked, DOUBLE))
