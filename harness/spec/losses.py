"""What is minimised, always the mean over the batch."""

from harness.spec.base import Piece


class MeanSquaredError(Piece, frozen=True, tag="mean_squared_error"):
    """mean over samples and outputs of (y − ŷ)². Targets: floats of the outputs' shape. Metric: R²."""


class CrossEntropy(Piece, frozen=True, tag="cross_entropy"):
    """mean of −log softmax(z)[y] from logits z. Targets: integer labels. Metric: accuracy."""


class BinaryCrossEntropy(Piece, frozen=True, tag="binary_cross_entropy"):
    """mean of log(1 + eᶻ) − yz from logits z of shape (n, 1). Targets: 0 or 1. Metric: accuracy."""


Loss = MeanSquaredError | CrossEntropy | BinaryCrossEntropy
LOSSES: tuple[type[Loss], ...] = (MeanSquaredError, CrossEntropy, BinaryCrossEntropy)


def metric(loss: Loss) -> str:
    """The name of the figure of merit that goes with a loss (higher is better)."""
    return "R²" if isinstance(loss, MeanSquaredError) else "accuracy"
