"""Clipping, in place on the gradients."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from harness.backend import Origin
from harness.spec.recipe import ByValue, Clip, GlobalNorm, NoClip, PerTensor

Clipper = Callable[[list[nn.Parameter]], object]


def origin(clip: Clip, exact: bool) -> Origin:
    """Where the clip comes from."""
    match clip:
        case NoClip():
            return Origin("native", "nothing")
        case GlobalNorm() if exact:
            return Origin("composed", "c/‖g‖", "torch.nn.utils.clip_grad_norm_ divides by ‖g‖ + 1e-6")
        case GlobalNorm():
            return Origin("native", "torch.nn.utils.clip_grad_norm_", "divides by ‖g‖ + 1e-6")
        case PerTensor():
            return Origin("composed", "c/‖g‖ per tensor", "torch clips by the global norm only")
        case ByValue(lowest=low, highest=high) if low == -high:
            return Origin("native", "torch.nn.utils.clip_grad_value_")
        case ByValue():
            return Origin("composed", "Tensor.clamp_", "clip_grad_value_ is symmetric")


def clipper(clip: Clip, exact: bool) -> Clipper | None:
    """A function that clips the gradients of some parameters in place, or None."""
    match clip:
        case NoClip():
            return None
        case GlobalNorm(c=c) if exact:
            return lambda parameters: _scale(_gradients(parameters), c)
        case GlobalNorm(c=c):
            return lambda parameters: nn.utils.clip_grad_norm_(parameters, c)
        case PerTensor(c=c):
            return lambda parameters: [_scale([g], c) for g in _gradients(parameters)]
        case ByValue(lowest=low, highest=high) if low == -high:
            return lambda parameters: nn.utils.clip_grad_value_(parameters, high)
        case ByValue(lowest=low, highest=high):
            return lambda parameters: [g.clamp_(low, high) for g in _gradients(parameters)]


def _gradients(parameters: list[nn.Parameter]) -> list[Tensor]:
    return [p.grad for p in parameters if p.grad is not None]


def _scale(gradients: list[Tensor], c: float) -> Tensor:
    """g ← g if ‖g‖ ≤ c else (c/‖g‖)g over all of ``gradients``, without waiting for the device; gives ‖g‖."""
    norm = nn.utils.get_total_norm(gradients)
    factor = torch.where(norm <= c, 1.0, c / norm)
    for gradient in gradients:
        gradient.mul_(factor)
    return norm
