"""Losses and metrics."""

from torch import Tensor
from torch.nn import functional

from harness.backend import Origin
from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, Huber, Loss, MeanAbsoluteError, MeanSquaredError


def origin(spec: Loss) -> Origin:
    """Where the loss comes from."""
    if spec.reduction == "sum_of_means":
        return Origin("composed", "the mean times the samples", "torch reduces by mean or by sum over all terms")
    return Origin("native", "torch.nn.functional")


def loss(spec: Loss, outputs: Tensor, targets: Tensor) -> Tensor:
    """The loss over the batch, a scalar."""
    if spec.reduction == "sum_of_means":
        return _reduced(spec, outputs, targets, "mean") * outputs.shape[0]
    return _reduced(spec, outputs, targets, spec.reduction)


def _reduced(spec: Loss, outputs: Tensor, targets: Tensor, reduction: str) -> Tensor:
    match spec:
        case MeanSquaredError():
            return functional.mse_loss(outputs, targets, reduction=reduction)
        case MeanAbsoluteError():
            return functional.l1_loss(outputs, targets, reduction=reduction)
        case Huber(delta=delta):
            return functional.huber_loss(outputs, targets, reduction=reduction, delta=delta)
        case CrossEntropy(targets=kind):
            if outputs.dim() > 2:  # torch would have the classes on the second axis
                outputs, targets = outputs.flatten(0, -2), targets.flatten(0, -1 if kind == "labels" else -2)
            return functional.cross_entropy(outputs, targets, reduction=reduction)
        case BinaryCrossEntropy():
            return functional.binary_cross_entropy_with_logits(outputs, targets, reduction=reduction)


def metric(spec: Loss, outputs: Tensor, targets: Tensor) -> float:
    """Accuracy, or R² over all outputs."""
    match spec:
        case MeanSquaredError() | MeanAbsoluteError() | Huber():
            residual = (targets - outputs).square().sum()
            return float(1 - residual / (targets - targets.mean(dim=0)).square().sum())
        case CrossEntropy(targets=kind):
            labels = targets if kind == "labels" else targets.argmax(dim=-1)
            return float((outputs.argmax(dim=-1) == labels).double().mean())
        case BinaryCrossEntropy():
            return float(((outputs > 0) == (targets > 0.5)).double().mean())
