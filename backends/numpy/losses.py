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
        [partial(np.subtract, z, y, out=dz)],
        lambda: float(np.vdot(dz, dz)) / dz.size,
        [partial(np.multiply, dz, 2 / dz.size, out=dz)],
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
            partial(np.maximum.reduce, z, axis=1, keepdims=True, out=greatest),
            partial(np.subtract, z, greatest, out=s),
            partial(np.exp, s, out=dz),
            partial(np.dot, dz, np.ones(classes, z.dtype), out=total),
            partial(np.log, total, out=log),
            partial(np.add, rows, labels, out=places),
            partial(flat_s.take, places, 0, chosen, "clip"),
        ],
        lambda: float(np.add.reduce(log) - np.add.reduce(chosen)) / n,
        [
            partial(np.multiply, total, n, out=total),
            partial(np.divide, dz, total[:, None], out=dz),
            subtract_one_hot,
        ],
    )


def _binary_cross_entropy(z: Array, dz: Array, y: Array) -> Tapes:
    """mean of max(z, 0) − yz + log(1 + e^−|z|); dz = (σ(z) − y)/size."""
    line, log = np.empty((2, *z.shape), z.dtype)
    return Tapes(
        [
            partial(np.maximum, z, 0, out=line),
            partial(np.multiply, y, z, out=log),
            partial(np.subtract, line, log, out=line),
            partial(np.abs, z, out=log),
            partial(np.negative, log, out=log),
            partial(np.exp, log, out=log),
            partial(np.log1p, log, out=log),
            partial(np.add, log, line, out=log),
        ],
        lambda: float(np.mean(log)),
        [*logistic(z, dz), partial(np.subtract, dz, y, out=dz), partial(np.divide, dz, dz.size, out=dz)],
    )
