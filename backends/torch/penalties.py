"""λ₁Σ|w| + λ₂Σw², added to the loss and differentiated by autograd."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from harness.spec.recipe import NoPenalty, Penalty, coefficients, touched


def penalty(spec: Penalty, parameters: dict[str, nn.Parameter], samples: int) -> Callable[[], Tensor] | None:
    """A function that gives the penalty at the present parameters, or None where there is none."""
    if isinstance(spec, NoPenalty):
        return None
    l1, l2 = coefficients(spec, samples)
    on = [parameters[name] for name in touched(spec.on, parameters)]

    def value() -> Tensor:
        total = torch.zeros(())
        for w in on:
            if l1:
                total = total + l1 * w.abs().sum()
            if l2:
                total = total + l2 * w.square().sum()
        return total

    return value
