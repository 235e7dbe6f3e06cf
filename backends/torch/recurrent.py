"""Simple RNN, LSTM and GRU: torch's own, whose gates stand in the spec's order, and the GRU that torch has not."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.backend import Origin
from harness.spec.layers import GRU, LSTM, Recurrent, SimpleRNN


class Running(nn.Module):
    """A recurrent layer of torch's that gives the last h, or all of them."""

    def __init__(self, own: nn.RNNBase, sequences: bool, second_bias: bool) -> None:
        super().__init__()
        self.own, self.sequences = own, sequences
        if not second_bias:  # torch adds two biases everywhere: one of them stays 0
            second = own.get_parameter("bias_hh_l0")
            nn.init.zeros_(second.requires_grad_(False))

    def forward(self, x: Tensor) -> Tensor:
        all_of_them: Tensor = self.own(x)[0]
        return all_of_them if self.sequences else all_of_them[:, -1]


class ResetBefore(nn.Module):
    """r, z = σ(xW + hU + b); n = tanh(xW + (rh)U + b); h ← (1 − z)n + zh; weights transposed, as torch has them."""

    def __init__(self, features: int, units: int, sequences: bool) -> None:
        super().__init__()
        self.sequences = sequences
        self.weight = nn.Parameter(torch.empty(3 * units, features))
        self.recurrent = nn.Parameter(torch.empty(3 * units, units))
        self.bias = nn.Parameter(torch.empty(3 * units))

    def forward(self, x: Tensor) -> Tensor:
        units = self.recurrent.shape[1]
        of_gates, of_candidate = self.recurrent.tensor_split([2 * units])
        h, seen = x.new_zeros(x.shape[0], units), []
        for gates, candidate in zip(*(part.unbind(1) for part in self._from_inputs(x)), strict=True):
            r, z = torch.sigmoid(torch.addmm(gates, h, of_gates.T)).chunk(2, dim=1)
            n = torch.tanh(torch.addmm(candidate, r * h, of_candidate.T))
            h = torch.lerp(n, h, z)
            seen.append(h)
        return torch.stack(seen, dim=1) if self.sequences else h

    def _from_inputs(self, x: Tensor) -> tuple[Tensor, ...]:
        """xW + b of all times at once: that of r and z, and that of n."""
        return functional.linear(x, self.weight, self.bias).tensor_split([2 * self.recurrent.shape[1]], dim=2)


def origin(layer: Recurrent, exact: bool) -> Origin:
    """Where a recurrent layer comes from."""
    if isinstance(layer, GRU) and layer.reset == "before":
        difference = "nn.GRU resets after the product hU"
        if exact:
            return Origin("composed", "gru, step by step", difference)
        return Origin("native", "torch.nn", difference)
    return Origin("native", "torch.nn")


def module(layer: Recurrent, features: int, exact: bool) -> nn.Module:
    """A layer that makes (samples, units), or (samples, time, units), of (samples, time, features)."""
    match layer:
        case SimpleRNN(units=units, activation=phi):
            own: nn.RNNBase = nn.RNN(features, units, nonlinearity=phi, batch_first=True)
        case LSTM(units=units):
            own = nn.LSTM(features, units, batch_first=True)
        case GRU(units=units, reset="before") if exact:
            return ResetBefore(features, units, layer.sequences)
        case GRU(units=units):
            own = nn.GRU(features, units, batch_first=True)
    return Running(own, layer.sequences, second_bias=isinstance(layer, GRU) and layer.reset == "after")
