"""Losses from optax, and metrics."""

import jax.numpy as jnp
import optax
from jax import Array

from harness.backend import Origin
from harness.spec.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    times_mean,
)


def origin(spec: Loss, exact: bool) -> Origin:
    """Where the loss comes from."""
    match spec:
        case MeanSquaredError():
            return Origin("native", "optax.squared_error")
        case MeanAbsoluteError():
            by = "Σ r·sign r" if exact else "jnp.abs"
            return Origin("composed", by, "optax has no absolute error; the derivative of jnp.abs at 0 is 1")
        case Huber():
            return Origin("native", "optax.huber_loss")
        case CrossEntropy(targets="labels"):
            return Origin("native", "optax.softmax_cross_entropy_with_integer_labels")
        case CrossEntropy():
            return Origin("native", "optax.softmax_cross_entropy")
        case BinaryCrossEntropy():
            return Origin("native", "optax.sigmoid_binary_cross_entropy")


def loss(spec: Loss, outputs: Array, targets: Array, exact: bool) -> Array:
    """The mean of all terms, or as many times that as the reduction says: a scalar."""
    return times_mean(spec, outputs.shape) * jnp.mean(terms(spec, outputs, targets, exact))


def terms(spec: Loss, outputs: Array, targets: Array, exact: bool) -> Array:
    """Each term."""
    each: Array
    match spec:
        case MeanSquaredError():
            each = optax.squared_error(outputs, targets)
        case MeanAbsoluteError() if exact:
            r = outputs - targets
            each = r * jnp.sign(r)  # |r|; as jnp.sign is flat, its derivative at 0 is 0
        case MeanAbsoluteError():
            each = jnp.abs(outputs - targets)
        case Huber(delta=delta):
            each = optax.huber_loss(outputs, targets, delta=delta)
        case CrossEntropy(targets="labels"):
            each = optax.softmax_cross_entropy_with_integer_labels(outputs, targets)
        case CrossEntropy():
            each = optax.softmax_cross_entropy(outputs, targets)
        case BinaryCrossEntropy():
            each = optax.sigmoid_binary_cross_entropy(outputs, targets)
    return each


def metric(spec: Loss, outputs: Array, targets: Array) -> tuple[Array, Array | int]:
    """Accuracy, or R² over all outputs, as (part, whole) for the host to divide in float64."""
    match spec:
        case MeanSquaredError() | MeanAbsoluteError() | Huber():
            total = jnp.sum(jnp.square(targets - jnp.mean(targets, axis=0)))
            return total - jnp.sum(jnp.square(targets - outputs)), total
        case CrossEntropy(targets=kind):
            labels = targets if kind == "labels" else jnp.argmax(targets, axis=-1)
            return jnp.sum(jnp.argmax(outputs, axis=-1) == labels), labels.size
        case BinaryCrossEntropy():
            return jnp.sum((outputs > 0) == (targets > 0.5)), targets.size
