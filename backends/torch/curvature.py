"""The Hessian times a vector, by going back through the way back (Pearlmutter 1994)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel


def product(loss: Tensor, weights: Sequence[Tensor], along: Sequence[Tensor]) -> Sequence[Tensor]:
    """∇⟨∇loss, v⟩ for each weight; 0 for those that no gradient depends on."""
    gradients = torch.autograd.grad(loss, weights, create_graph=True)
    moving = [(g, v) for g, v in zip(gradients, along, strict=True) if g.requires_grad]
    if not moving:
        return [torch.zeros_like(w) for w in weights]
    outputs, directions = zip(*moving, strict=True)
    return torch.autograd.grad(outputs, weights, directions, allow_unused=True, materialize_grads=True)


@contextmanager
def differentiable(module: nn.Module) -> Iterator[None]:
    """Within it, only kernels whose backward has one: not cuDNN's recurrent layers, oneDNN's, or fused attention."""
    recurrent = any(isinstance(one, nn.RNNBase) for one in module.modules())
    flags: Any = torch.backends.mkldnn
    onednn, flags.enabled = flags.enabled, flags.enabled and not recurrent
    try:
        with torch.backends.cudnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        flags.enabled = onednn
