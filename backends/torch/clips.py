"""Clipping, in place on the gradients."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from backends.torch import layers
from harness.backend import Origin
from harness.spec.recipe import Adaptive, ByValue, Clip, GlobalNorm, NoClip, PerTensor


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
        case Adaptive():
            return Origin("composed", "c·max(‖w‖, ε)/‖g‖ per unit", "torch clips by the global norm only")


def clipper(clip: Clip, exact: bool, named: dict[str, nn.Parameter]) -> Callable[[], object] | None:
    """A function that clips the gradients of the parameters in place, or None."""
    parameters = list(named.values())
    match clip:
        case NoClip():
            return None
        case GlobalNorm(c=c) if exact:
            return lambda: _scale(_gradients(parameters), c)
        case GlobalNorm(c=c):
            return lambda: nn.utils.clip_grad_norm_(parameters, c)
        case PerTensor(c=c):
            return lambda: [_scale([g], c) for g in _gradients(parameters)]
        case ByValue(lowest=low, highest=high) if low == -high:
            return lambda: nn.utils.clip_grad_value_(parameters, high)
        case ByValue(lowest=low, highest=high):
            return lambda: [g.clamp_(low, high) for g in _gradients(parameters)]
        case Adaptive():
            return lambda: _adapt(clip, named)


def _gradients(parameters: list[nn.Parameter]) -> list[Tensor]:
    return [p.grad for p in parameters if p.grad is not None]


def _scale(gradients: list[Tensor], c: float) -> Tensor:
    """g ← g if ‖g‖ ≤ c else (c/‖g‖)g over all of ``gradients``, without waiting for the device; gives ‖g‖."""
    norm = nn.utils.get_total_norm(gradients)
    factor = torch.where(norm <= c, 1.0, c / norm)
    for gradient in gradients:
        gradient.mul_(factor)
    return norm


@torch.no_grad()
def _adapt(clip: Adaptive, named: dict[str, nn.Parameter]) -> None:
    """Each unit's g ← g if ‖g‖ ≤ c·max(‖w‖, ε) else scaled to that."""
    for name, w in named.items():
        if w.grad is not None:
            g, norm = layers.to_canonical(name, w.grad), _unit_norms(layers.to_canonical(name, w.grad))
            limit = clip.c * _unit_norms(layers.to_canonical(name, w)).clamp(min=clip.eps)
            g.mul_(torch.where(norm <= limit, 1.0, limit / norm))


def _unit_norms(w: Tensor) -> Tensor:
    """‖w‖ over all axes but the last of the canonical layout; of a vector as a whole."""
    norms: Tensor = torch.linalg.vector_norm(w, dim=tuple(range(max(w.dim() - 1, 1))), keepdim=True)
    return norms
