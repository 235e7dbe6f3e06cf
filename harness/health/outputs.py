"""What comes back from the loss at the start: Gₐᵦ = E[∂L/∂zₐ·∂L/∂zᵦ] of one output, averaged over random outputs z."""

from typing import NamedTuple

import numpy as np
from scipy.special import expit, softmax

from harness.health.field import Field
from harness.problems.data import Floats, Targets
from harness.spec.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
)


class Back(NamedTuple):
    """At the outputs of a network."""

    gradient: Floats  # G, of the mean loss of the batch
    variance: float  # relative, of Σ KₐᵦGₐᵦ from draw to draw of all outputs


def from_loss(loss: Loss, outputs: Field, targets: Targets) -> Back | None:
    """Of the loss with reduction mean, over draws of the outputs at the start; None where they cannot be drawn."""
    if outputs.draw is None or not np.isfinite(drawn := outputs.draw()).all():
        return None
    units = outputs.features
    draws = max(len(drawn) // units, 1)
    z = np.resize(drawn, (draws, units, drawn.shape[1])).swapaxes(1, 2)  # (draws, samples × places, units)
    terms = z[0].size // (units if isinstance(loss, CrossEntropy) else 1)
    delta = slopes(loss, z, _distribution(targets, units)) / terms
    each = np.sum(delta * (outputs.kernel @ delta), axis=(1, 2))
    variance = float(np.var(each) / np.mean(each) ** 2) if np.any(each) else 0.0
    flat = delta.swapaxes(0, 1).reshape(z.shape[1], -1)
    return Back(flat @ flat.T / flat.shape[1], variance)


def slopes(loss: Loss, z: Floats, y: Floats) -> Floats:
    """∂term/∂z of each term of the loss."""
    match loss:
        case MeanSquaredError():
            return 2 * (z - y)
        case MeanAbsoluteError():
            return np.asarray(np.sign(z - y))
        case Huber(delta=delta):
            return np.asarray(np.clip(z - y, -delta, delta))
        case CrossEntropy():
            return np.asarray(softmax(z, axis=-1) * y.sum(axis=-1, keepdims=True) - y)
        case BinaryCrossEntropy():
            return np.asarray(expit(z) - y)


def _distribution(targets: Targets, units: int) -> Floats:
    """(samples × places, units): labels as 1 at the label, else 0."""
    if np.issubdtype(targets.dtype, np.integer):
        return np.asarray(np.eye(units)[targets.ravel()])
    return targets.reshape(-1, units)
