"""Losses as tapes on the outputs z and targets y: the mean over the batch, and its gradient dz."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from backends.numpy.flat import Array
from backends.numpy.layers import Pair, Tape, logistic
from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, Loss, MeanSquaredError


class Tapes(NamedTuple):
    """Forward, then ``value`` gives the loss, then backward writes dz."""

    forward: Tape
    value: Callable[[], float]
    backward: Tape


def bind(loss: Loss, outputs: Pair, targets: Array) -> Tapes:
    """The loss on these buffers; targets are floats of the outputs' shape, or labels as ``intp``."""
    z, dz = outputs
    match loss:
        case MeanSquaredError():
            return _mean_squared_error(z, dz, targets)
        case CrossEntropy():
            return _cross_entropy(z, dz, targets)
        case BinaryCrossEntropy():
            return _binary_cross_entropy(z, dz, targets)


def _mean_squared_error(z: Array, dz: Array, y: Array) -> Tapes:
    """mean (z − y)²."""
    return Tapes(
        [partial(np.subtract, z, y, dz)],
        lambda: float(np.vdot(dz, dz)) / dz.size,
        [partial(np.multiply, dz, 2 / dz.size, dz)],
    )


def _cross_entropy(z: Array, dz: Array, labels: Array) -> Tapes:
    """mean of log Σeˢ − s[label], with s = z − max z; dz = (eˢ/Σeˢ − one-hot)/n."""
    n, classes = z.shape
    s, greatest = np.empty_like(z), np.empty((n, 1), z.dtype)
    total, log, chosen = np.empty((3, n), z.dtype)
    rows, places = np.arange(n) * classes, np.empty(n, np.intp)  # where rows begin and labels are, in flat arrays
    flat_s, flat_dz = s.reshape(-1), dz.reshape(-1)

    def subtract_one_hot() -> None:
        flat_dz[places] -= 1 / n

    return Tapes(
        [
            partial(np.maximum.reduce, z, 1, None, greatest, True),
            partial(np.subtract, z, greatest, s),
            partial(np.exp, s, dz),
            partial(np.dot, dz, np.ones(classes, z.dtype), total),
            partial(np.log, total, log),
            partial(np.add, rows, labels, places),
            partial(flat_s.take, places, 0, chosen, "clip"),
        ],
        lambda: float(np.add.reduce(log) - np.add.reduce(chosen)) / n,
        [
            partial(np.multiply, total, n, total),
            partial(np.divide, dz, total[:, None], dz),
            subtract_one_hot,
        ],
    )


def _binary_cross_entropy(z: Array, dz: Array, y: Array) -> Tapes:
    """mean of max(z, 0) − yz + log(1 + e^−|z|); dz = (σ(z) − y)/size."""
    line, log = np.empty((2, *z.shape), z.dtype)
    return Tapes(
        [
            partial(np.maximum, z, 0, out=line),
            partial(np.multiply, y, z, log),
            partial(np.subtract, line, log, line),
            partial(np.abs, z, log),
            partial(np.negative, log, log),
            partial(np.exp, log, log),
            partial(np.log1p, log, log),
            partial(np.add, log, line, log),
        ],
        lambda: float(np.mean(log)),
        [*logistic(z, dz), partial(np.subtract, dz, y, dz), partial(np.divide, dz, dz.size, dz)],
    )
