"""Losses L of the outputs z for the targets y; their gradients with respect to the outputs; and metrics."""

import numpy as np

from backends.reference.activations import sigmoid, softmax, softplus
from harness.problems.data import Floats, Targets
from harness.spec.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    times_mean,
)


def value(spec: Loss, z: Floats, y: Targets) -> float:
    """L: the mean of all terms, or as many times that as the reduction says."""
    return float(np.mean(terms(spec, z, y))) * times_mean(spec, z.shape)


def gradient(spec: Loss, z: Floats, y: Targets) -> Floats:
    """∂L/∂z, from that of each term over the number of terms."""
    number = z.size // z.shape[-1] if isinstance(spec, CrossEntropy) else z.size
    return slopes(spec, z, y) * times_mean(spec, z.shape) / number


def terms(spec: Loss, z: Floats, y: Targets) -> Floats:
    """Each term. Cross-entropy: −Σp·log softmax z. Binary: log(1 + eᶻ) − yz, written so that it cancels nothing."""
    match spec:
        case MeanSquaredError():
            return np.asanyarray((z - y) ** 2)
        case MeanAbsoluteError():
            return np.asanyarray(np.abs(z - y))
        case Huber(delta=delta):
            r = np.abs(z - y)
            return np.asanyarray(np.where(r <= delta, r**2 / 2, delta * (r - delta / 2)))
        case CrossEntropy():
            return np.asanyarray(-np.sum(distribution(y, z) * log_softmax(z), axis=-1))
        case BinaryCrossEntropy():
            return (1 - y) * softplus(z) + y * softplus(-z)


def slopes(spec: Loss, z: Floats, y: Targets) -> Floats:
    """∂term/∂z: 2(z − y); sign(z − y), 0 at 0; z − y held between ±δ; Σp·softmax z − p; (1 − y)σ(z) − yσ(−z)."""
    match spec:
        case MeanSquaredError():
            return np.asanyarray(2 * (z - y))
        case MeanAbsoluteError():
            return np.asanyarray(np.sign(z - y))
        case Huber(delta=delta):
            return np.asanyarray(np.minimum(np.maximum(z - y, -delta), delta))
        case CrossEntropy():
            p = distribution(y, z)
            return np.asanyarray(p.sum(axis=-1, keepdims=True) * softmax(z) - p)
        case BinaryCrossEntropy():
            return np.asanyarray((1 - y) * sigmoid(z) - y * sigmoid(-z))


def metric(spec: Loss, z: Floats, y: Targets) -> float:
    """R² = 1 − Σ(y − z)²/Σ(y − ȳ)² over all outputs, ȳ the mean of each; or the share of right answers."""
    match spec:
        case MeanSquaredError() | MeanAbsoluteError() | Huber():
            return float(1 - np.sum((y - z) ** 2) / np.sum((y - y.mean(axis=0)) ** 2))
        case CrossEntropy():
            return float(np.mean(z.argmax(axis=-1) == distribution(y, z).argmax(axis=-1)))
        case BinaryCrossEntropy():
            return float(np.mean((z > 0) == (y > 0.5)))


def log_softmax(z: Floats) -> Floats:
    """z − log Σeᶻ along the last axis, shifted by the maximum so that no exponential overflows."""
    shifted: Floats = z - np.max(z, axis=-1, keepdims=True)
    return np.asanyarray(shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True)))


def distribution(y: Targets, like: Floats) -> Floats:
    """Labels as 1 at the label, else 0; distributions as they are."""
    return np.asanyarray(np.eye(like.shape[-1])[y] if np.issubdtype(y.dtype, np.integer) else y)
