"""Batch and layer normalisation, and the running moments."""

import torch
from torch import Tensor, nn

from harness.backend import Origin
from harness.spec.layers import BatchNorm


class BatchMoments(nn.BatchNorm1d):
    """Batch norm over all axes but the last, whatever their number, each place a row.

    Two things torch's own does not: ``biased``, an average of that variance; and one row, of which an unbiased variance
    would be 0/0, and whose y is the shift to the last bit.
    """

    def __init__(self, layer: BatchNorm, features: int, biased: bool) -> None:
        super().__init__(features, eps=layer.eps, momentum=1 - layer.momentum)
        self.rate, self.biased = 1 - layer.momentum, biased

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        if self.training and (self.biased or rows.shape[0] == 1):
            return self._by_hand(rows).view(x.shape)
        y: Tensor = torch.batch_norm(
            rows,
            self.weight,
            self.bias,
            self.running_mean,
            self.running_var,
            self.training,
            self.rate,
            self.eps,
            torch.backends.cudnn.enabled,
        )
        return y.view(x.shape)

    def _by_hand(self, rows: Tensor) -> Tensor:
        """y = scale·(x − μ)/√(v + ε) + shift; r ← ρr + (1 − ρ)·new."""
        variance, mean = torch.var_mean(rows, dim=0, correction=0)
        with torch.no_grad():
            self.get_buffer("running_mean").lerp_(mean, self.rate)
            self.get_buffer("running_var").lerp_(variance, self.rate)
        return (rows - mean) * torch.rsqrt(variance + self.eps) * self.weight + self.bias


def origin(layer: BatchNorm, exact: bool) -> Origin:
    """Where a batch norm comes from."""
    if layer.running == "unbiased":
        return Origin("native", "torch.nn")
    difference = "torch.batch_norm averages the unbiased variance"
    if exact:
        return Origin("composed", "scale·(x − μ)/√(v + ε) + shift", difference)
    return Origin("native", "torch.nn", difference)


def forget(network: nn.Module) -> None:
    """Running moments back to mean 0 and variance 1."""
    for module in network.modules():
        if isinstance(module, BatchMoments):
            module.reset_running_stats()
