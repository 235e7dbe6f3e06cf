"""Losses from optax, and metrics."""

import jax.numpy as jnp
import optax
from jax import Array

from harness.backend import Origin
from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, Loss, MeanSquaredError


def origin(spec: Loss) -> Origin:
    """Where the loss comes from."""
    match spec:
        case MeanSquaredError():
            return Origin("native", "optax.squared_error")
        case CrossEntropy():
            return Origin("native", "optax.softmax_cross_entropy_with_integer_labels")
        case BinaryCrossEntropy():
            return Origin("native", "optax.sigmoid_binary_cross_entropy")


def loss(spec: Loss, outputs: Array, targets: Array) -> Array:
    """The mean loss over the batch, a scalar."""
    match spec:
        case MeanSquaredError():
            each = optax.squared_error(outputs, targets)
        case CrossEntropy():
            each = optax.softmax_cross_entropy_with_integer_labels(outputs, targets)
        case BinaryCrossEntropy():
            each = optax.sigmoid_binary_cross_entropy(outputs, targets)
    return jnp.mean(each)


def metric(spec: Loss, outputs: Array, targets: Array) -> tuple[Array, Array | int]:
    """Accuracy, or R² over all outputs, as (part, whole) for the host to divide in float64."""
    match spec:
        case MeanSquaredError():
            total = jnp.sum(jnp.square(targets - jnp.mean(targets, axis=0)))
            return total - jnp.sum(jnp.square(targets - outputs)), total
        case CrossEntropy():
            return jnp.sum(jnp.argmax(outputs, axis=1) == targets), len(targets)
        case BinaryCrossEntropy():
            return jnp.sum((outputs > 0) == (targets > 0.5)), targets.size
