"""Activations as ``torch.nn`` modules."""

import torch
from torch import Tensor, nn

from harness.backend import Origin
from harness.spec.activations import (
    Activation,
    Elu,
    Exponential,
    Gelu,
    LeakyRelu,
    Linear,
    Mish,
    Relu,
    Selu,
    Sigmoid,
    Softmax,
    Softplus,
    Swish,
    Tanh,
)

# Above it log(1 + eᶻ) is z to the last bit in both precisions, and eᶻ does not overflow yet.
LINEAR_ABOVE = 40.0


class Exp(nn.Module):
    """y = eᶻ."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.exp(z)


def origin(layer: Activation, exact: bool) -> Origin:
    """Where an activation comes from."""
    match layer:
        case Exponential():
            return Origin("native", "torch.exp")
        case Softplus() if not exact:
            return Origin("native", "torch.nn", "nn.Softplus is z above 20")
        case _:
            return Origin("native", "torch.nn")


def module(layer: Activation, exact: bool) -> nn.Module:
    """φ as a module."""
    match layer:
        case Linear():
            return nn.Identity()
        case Sigmoid():
            return nn.Sigmoid()
        case Tanh():
            return nn.Tanh()
        case Relu():
            return nn.ReLU()
        case LeakyRelu(slope=slope):
            return nn.LeakyReLU(slope)
        case Elu(alpha=alpha):
            return nn.ELU(alpha)
        case Selu():
            return nn.SELU()
        case Softplus():
            return nn.Softplus(threshold=LINEAR_ABOVE) if exact else nn.Softplus()
        case Swish():
            return nn.SiLU()
        case Mish():
            return nn.Mish()
        case Gelu(form="exact"):
            return nn.GELU()
        case Gelu():
            return nn.GELU(approximate="tanh")
        case Exponential():
            return Exp()
        case Softmax():
            return nn.Softmax(dim=-1)
