"""Losses and metrics."""

from torch import Tensor
from torch.nn import functional

from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, Loss, MeanSquaredError


def loss(spec: Loss, outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean loss over the batch, a scalar."""
    match spec:
        case MeanSquaredError():
            return functional.mse_loss(outputs, targets)
        case CrossEntropy():
            return functional.cross_entropy(outputs, targets)
        case BinaryCrossEntropy():
            return functional.binary_cross_entropy_with_logits(outputs, targets)


def metric(spec: Loss, outputs: Tensor, targets: Tensor) -> float:
    """Accuracy, or R² over all outputs."""
    match spec:
        case MeanSquaredError():
            residual = (targets - outputs).square().sum()
            return float(1 - residual / (targets - targets.mean(dim=0)).square().sum())
        case CrossEntropy():
            return float((outputs.argmax(dim=1) == targets).double().mean())
        case BinaryCrossEntropy():
            return float(((outputs > 0) == (targets > 0.5)).double().mean())
