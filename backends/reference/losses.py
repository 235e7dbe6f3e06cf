"""Losses L, the mean over the batch; their gradients with respect to the outputs; and metrics."""

import numpy as np

from backends.reference.layers import sigmoid
from harness.problems.data import Floats, Targets
from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, Loss, MeanSquaredError


def value(spec: Loss, z: Floats, y: Targets) -> float:
    """L of the outputs z for the targets y.

    Mean squared error: mean of (z − y)². Cross-entropy: mean over samples of −log softmax(z)[y].
    Binary: log(1 + eᶻ) − yz = (1 − y)·softplus(z) + y·softplus(−z), which cancels nothing.
    """
    match spec:
        case MeanSquaredError():
            return float(np.mean((z - y) ** 2))
        case CrossEntropy():
            return float(-np.mean(np.sum(one_hot(y, z) * log_softmax(z), axis=1)))
        case BinaryCrossEntropy():
            return float(np.mean((1 - y) * softplus(z) + y * softplus(-z)))


def gradient(spec: Loss, z: Floats, y: Targets) -> Floats:
    """∂L/∂z.

    Mean squared error: 2(z − y)/size. Cross-entropy: (softmax(z) − one-hot(y))/n, whose rows sum to 0.
    Binary: (σ(z) − y)/size = ((1 − y)σ(z) − yσ(−z))/size.
    """
    match spec:
        case MeanSquaredError():
            return np.asarray(2 * (z - y) / z.size)
        case CrossEntropy():
            return (np.exp(log_softmax(z)) - one_hot(y, z)) / len(z)
        case BinaryCrossEntropy():
            return np.asarray(((1 - y) * sigmoid(z) - y * sigmoid(-z)) / z.size)


def metric(spec: Loss, z: Floats, y: Targets) -> float:
    """R² = 1 − Σ(y − z)²/Σ(y − ȳ)² over all outputs, ȳ the mean of each; or the share of right answers."""
    match spec:
        case MeanSquaredError():
            return float(1 - np.sum((y - z) ** 2) / np.sum((y - y.mean(axis=0)) ** 2))
        case CrossEntropy():
            return float(np.mean(z.argmax(axis=1) == y))
        case BinaryCrossEntropy():
            return float(np.mean((z > 0) == (y > 0.5)))


def log_softmax(z: Floats) -> Floats:
    """z − log Σeᶻ for each row, shifted by its maximum so that no exponential overflows."""
    shifted: Floats = z - np.max(z, axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True)))


def softplus(z: Floats) -> Floats:
    """log(1 + eᶻ) = max(z, 0) + log(1 + e^−|z|)."""
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def one_hot(labels: Targets, like: Floats) -> Floats:
    """1 at each row's label, else 0, in the shape of ``like``."""
    return np.asarray(np.eye(like.shape[1])[labels])
