"""Batch and layer normalisation, and the running moments."""

import torch
from torch import Tensor, nn

from harness.backend import Origin
from harness.spec.layers import BatchNorm


class BatchMoments(nn.BatchNorm1d):
    """Batch norm over all axes but the last, whatever their number, each place a row.

    The running variance may be ``biased``, as torch's is not; and a batch of one row has a variance, 0, which torch
    refuses.
    """

    def __init__(self, layer: BatchNorm, features: int, biased: bool) -> None:
        super().__init__(features, eps=layer.eps, momentum=1 - layer.momentum)
        self.rate, self.biased = 1 - layer.momentum, biased

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        by_hand = self.training and (self.biased or rows.shape[0] == 1)
        if by_hand:
            self._follow(rows)
        y: Tensor = torch.batch_norm(
            rows,
            self.weight,
            self.bias,
            None if by_hand else self.running_mean,
            None if by_hand else self.running_var,
            self.training,
            self.rate,
            self.eps,
            torch.backends.cudnn.enabled,
        )
        return y.view(x.shape)

    @torch.no_grad()
    def _follow(self, rows: Tensor) -> None:
        """r ← ρr + (1 − ρ)·new."""
        variance, mean = torch.var_mean(rows, dim=0, correction=0)
        self.get_buffer("running_mean").lerp_(mean, self.rate)
        self.get_buffer("running_var").lerp_(variance, self.rate)


def origin(layer: BatchNorm, exact: bool) -> Origin:
    """Where a batch norm comes from."""
    if layer.running == "unbiased":
        return Origin("native", "torch.nn")
    difference = "torch.batch_norm averages the unbiased variance"
    if exact:
        return Origin("composed", "torch.batch_norm, running moments beside it", difference)
    return Origin("native", "torch.nn", difference)


def forget(network: nn.Module) -> None:
    """Running moments back to mean 0 and variance 1."""
    for module in network.modules():
        if isinstance(module, BatchMoments):
            module.reset_running_stats()
