"""Losses as tapes on the outputs z and targets y, and their gradient dz.

Each is the mean of its terms, or as many ``times`` that as the reduction says.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from backends.numpy.activations import logistic
from backends.numpy.flat import Array, reader
from backends.numpy.memory import number
from backends.numpy.tape import Pair, Tape, maxima, take
from harness.spec.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    times_mean,
)


class Tapes(NamedTuple):
    """Forward, then ``value`` gives the loss, then backward writes dz."""

    forward: Tape
    value: Callable[[], float]
    backward: Tape


def bind(loss: Loss, outputs: Pair, targets: Array) -> Tapes:
    """The loss on these buffers; targets are floats of the outputs' shape, or labels as ``intp``."""
    z, dz = outputs
    times = times_mean(loss, z.shape)
    match loss:
        case MeanSquaredError():
            return _mean_squared_error(z, dz, targets, times)
        case MeanAbsoluteError():
            return _mean_absolute_error(z, dz, targets, times)
        case Huber(delta=delta):
            return _huber(z, dz, targets, delta, times)
        case CrossEntropy(targets="labels"):
            return _cross_entropy(*outputs.rows(), targets.reshape(-1), times)
        case CrossEntropy():
            return _of_distributions(*outputs.rows(), targets.reshape(-1, targets.shape[-1]), times)
        case BinaryCrossEntropy():
            return _binary_cross_entropy(z, dz, targets, times)


def _mean_squared_error(z: Array, dz: Array, y: Array, times: int) -> Tapes:
    """mean (z − y)²."""
    share, read = times / dz.size, reader(z)
    return Tapes(
        [partial(np.subtract, z, y, dz)],
        lambda: read(np.vdot(dz, dz)) * share,
        [partial(np.multiply, dz, 2 * share, dz)],
    )


def _mean_absolute_error(z: Array, dz: Array, y: Array, times: int) -> Tapes:
    """mean |z − y|; dz = sign(z − y), 0 at 0."""
    r, share, read = np.empty_like(z), times / z.size, reader(z)
    return Tapes(
        [partial(np.subtract, z, y, r), partial(np.sign, r, dz)],
        lambda: read(np.vdot(r, dz)) * share,
        [partial(np.multiply, dz, share, dz)],
    )


def _huber(z: Array, dz: Array, y: Array, delta: float, times: int) -> Tapes:
    """mean of c(r − c/2), c being r = z − y held between ±δ: r²/2, or δ(|r| − δ/2); dz = c."""
    r, share, read = np.empty_like(z), times / z.size, reader(z)
    highest, lowest = number(delta, z), number(-delta, z)
    return Tapes(
        [
            partial(np.subtract, z, y, r),
            partial(np.maximum, r, lowest, out=dz),
            partial(np.minimum, dz, highest, out=dz),
        ],
        lambda: read(np.vdot(dz, r) - np.vdot(dz, dz) / 2) * share,
        [partial(np.multiply, dz, share, dz)],
    )


def _cross_entropy(z: Array, dz: Array, labels: Array, times: int) -> Tapes:
    """mean of log Σeˢ − s[label], with s = z − max z; dz = (eˢ/Σeˢ − one-hot)/n."""
    n, classes = z.shape
    s, total, log, forward = _log_sum(z, dz)
    chosen, share, read = np.empty_like(log), times / n, reader(z)
    rows = np.arange(n, like=z) * classes  # where rows begin, and where labels are, in flat arrays
    places = np.empty(n, np.intp, like=z)
    flat_s, flat_dz = s.reshape(-1), dz.reshape(-1)

    def subtract_one_hot() -> None:
        flat_dz[places] -= share

    return Tapes(
        [*forward, partial(np.add, rows, labels, places), take(flat_s, places, 0, chosen)],
        lambda: read(np.add.reduce(log) - np.add.reduce(chosen)) * share,
        [
            partial(np.multiply, total, n / times, total),
            partial(np.divide, dz, total[:, None], dz),
            subtract_one_hot,
        ],
    )


def _of_distributions(z: Array, dz: Array, p: Array, times: int) -> Tapes:
    """mean of (Σp)·log Σeˢ − Σps, with s = z − max z; dz = ((Σp)eˢ/Σeˢ − p)/n."""
    n, classes = z.shape
    s, total, log, forward = _log_sum(z, dz)
    mass, share, read = np.empty_like(log), times / n, reader(z)
    return Tapes(
        [*forward, partial(np.dot, p, np.ones_like(z, shape=classes), mass)],
        lambda: read(np.dot(mass, log) - np.vdot(p, s)) * share,
        [
            partial(np.divide, mass, total, total),
            partial(np.multiply, dz, total[:, None], dz),
            partial(np.subtract, dz, p, dz),
            partial(np.multiply, dz, share, dz),
        ],
    )


def _log_sum(z: Array, e: Array) -> tuple[Array, Array, Array, Tape]:
    """s = z − max z, Σeˢ and its logarithm of each row, and the tape that makes them, with eˢ in ``e``."""
    s, greatest = np.empty_like(z), np.empty((len(z), 1), z.dtype, like=z)
    total, log = np.empty((2, len(z)), z.dtype, like=z)
    return (
        s,
        total,
        log,
        [
            *maxima(z, greatest),
            partial(np.subtract, z, greatest, s),
            partial(np.exp, s, e),
            partial(np.dot, e, np.ones_like(z, shape=z.shape[1]), total),
            partial(np.log, total, log),
        ],
    )


def _binary_cross_entropy(z: Array, dz: Array, y: Array, times: int) -> Tapes:
    """mean of max(z, 0) − yz + log(1 + e^−|z|); dz = (σ(z) − y)/size."""
    line, log = np.empty((2, *z.shape), z.dtype, like=z)
    read = reader(z)
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
        lambda: read(np.mean(log)) * times,
        [*logistic(z, dz), partial(np.subtract, dz, y, dz), partial(np.multiply, dz, times / dz.size, dz)],
    )
