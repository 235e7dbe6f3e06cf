"""What is minimised, from the outputs ŷ of a network, or logits z, and the targets y.

``reduction`` mean divides by all terms, sum by none. Where a sample has several terms a third way goes under the name
sum: ``sum_of_means``, over samples, of each one's mean (Keras's).
"""

import math
from typing import Literal

from harness.spec.base import Piece, Positive
from harness.spec.layers import Shape

Reduction = Literal["mean", "sum", "sum_of_means"]


class MeanSquaredError(Piece, frozen=True, tag="mean_squared_error"):
    """(y − ŷ)², a term for each sample and output. Targets: floats of the outputs' shape. Metric: R².

    ``reduction`` mean is the mean of all terms, sum their sum, sum_of_means the sum over samples of each one's mean.
    """

    reduction: Reduction = "mean"


class MeanAbsoluteError(Piece, frozen=True, tag="mean_absolute_error"):
    """|y − ŷ|, of derivative 0 at 0, a term for each sample and output. Targets as above. Metric: R².

    ``reduction`` as of mean_squared_error.
    """

    reduction: Reduction = "mean"


class Huber(Piece, frozen=True, tag="huber"):
    """r²/2 of r = ŷ − y where |r| ≤ δ, else δ(|r| − δ/2), a term for each sample and output (Huber 1964).

    δ is the ``delta``. Targets and metric as above; ``reduction`` as of mean_squared_error.
    """

    delta: Positive = 1.0
    reduction: Reduction = "mean"


class CrossEntropy(Piece, frozen=True, tag="cross_entropy"):
    """−log softmax(z)[y] from logits z along the last axis, a term for each sample (and place). Metric: accuracy.

    ``targets`` labels: integers y. one_hot: −Σ p·log softmax(z) with a distribution p each; labels are made one-hot.
    ``reduction`` mean is the mean of all terms, sum their sum.
    """

    targets: Literal["labels", "one_hot"] = "labels"
    reduction: Literal["mean", "sum"] = "mean"


class BinaryCrossEntropy(Piece, frozen=True, tag="binary_cross_entropy"):
    """log(1 + eᶻ) − yz from logits z, a term for each sample and output. Targets: 0 or 1. Metric: accuracy.

    ``reduction`` as of mean_squared_error.
    """

    reduction: Reduction = "mean"


Loss = MeanSquaredError | MeanAbsoluteError | Huber | CrossEntropy | BinaryCrossEntropy
LOSSES: tuple[type[Loss], ...] = (MeanSquaredError, MeanAbsoluteError, Huber, CrossEntropy, BinaryCrossEntropy)
Regression = MeanSquaredError | MeanAbsoluteError | Huber


def times_mean(loss: Loss, outputs: Shape) -> int:
    """How many times the mean of all terms the loss is, for outputs of that shape, samples first."""
    match loss.reduction:
        case "mean":
            return 1
        case "sum_of_means":
            return outputs[0]
        case "sum":
            return math.prod(outputs[:-1] if isinstance(loss, CrossEntropy) else outputs)


# Figures of merit over a whole part of the data; higher is better.
METRICS = {
    "R²": "1 − Σ(y − ŷ)²/Σ(y − ȳ)², both sums over all samples and outputs, ȳ the mean of each output over them: "
    "1 at best, 0 of who always answers ȳ.",
    "accuracy": "The share of samples (and places) with argmax z = argmax y, y the label or its distribution and z the "
    "logits; of binary targets the share of samples and outputs with (z > 0) = (y > ½).",
}


def metric(loss: Loss) -> str:
    """The name of the figure of merit that goes with a loss (higher is better)."""
    return "R²" if isinstance(loss, Regression) else "accuracy"
