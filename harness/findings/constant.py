"""What the best constant answer would lose: a network that loses as much has learned nothing of its inputs."""

import math

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import entr

from harness.problems.data import Floats, Targets
from harness.spec.layers import Shape
from harness.spec.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    times_mean,
)


def constant_loss(loss: Loss, targets: Targets, outputs: Shape, batch: int) -> float:
    """The least loss of an answer that does not depend on the input, the same at each place, of a batch of that size.

    Entropy of the classes; mean variance of the targets; mean distance from their median; Huber's by its minimum.
    ``targets`` are those of all samples, ``outputs`` the shape of one sample's.
    """
    return times_mean(loss, (batch, *outputs)) * _mean(loss, targets, outputs)


def _mean(loss: Loss, y: Targets, outputs: Shape) -> float:
    match loss:
        case CrossEntropy():
            classes = outputs[-1]
            each = np.eye(classes)[y] if np.issubdtype(y.dtype, np.integer) else y
            return float(entr(each.reshape(-1, classes).mean(axis=0)).sum())
        case BinaryCrossEntropy():
            share = y.reshape(len(y), -1).mean(axis=0)
            return float(np.mean(entr(share) + entr(1 - share)))
        case MeanSquaredError():
            return float(np.mean(np.var(y, axis=0)))
        case MeanAbsoluteError():
            return float(np.mean(np.abs(y - np.median(y, axis=0))))
        case Huber(delta=delta):
            columns = y.reshape(len(y), -1).T
            return float(np.mean([_least_huber(column, delta) for column in columns]))


def _least_huber(y: Floats, delta: float) -> float:
    def value(at: float) -> float:
        r = np.abs(y - at)
        return float(np.mean(np.where(r <= delta, r * r / 2, delta * (r - delta / 2))))

    low, high = float(y.min()), float(y.max())
    if math.isclose(low, high):
        return value(low)
    return float(minimize_scalar(value, bounds=(low, high), method="bounded").fun)
