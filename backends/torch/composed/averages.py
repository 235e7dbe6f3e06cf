"""Moving averages of the gradient and of its square, and the root of the latter."""

from torch import Tensor

from backends.torch.composed.step import State
from harness.spec.optimizers import LAMB, Adam, RAdam


def moments(spec: Adam | RAdam | LAMB, g: Tensor, state: State) -> tuple[Tensor, Tensor]:
    """m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²."""
    return (
        state["m"].lerp_(g, 1 - spec.beta1),
        state["v"].mul_(spec.beta2).addcmul_(g, g, value=1 - spec.beta2),
    )


def root(h: Tensor, eps: float, placement: str) -> Tensor:
    """√(h + ε) with ε inside, √h + ε with ε outside."""
    return (h + eps).sqrt() if placement == "inside" else h.sqrt() + eps
