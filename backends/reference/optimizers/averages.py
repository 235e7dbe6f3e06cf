"""Moving averages of the gradient and of its square, and the root of the latter."""

import numpy as np

from backends.reference.optimizers.step import State
from harness.backend import Floats
from harness.spec.optimizers import LAMB, Adam, NAdam, RAdam


def moments(spec: Adam | NAdam | RAdam | LAMB, g: Floats, state: State) -> tuple[Floats, Floats]:
    """m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²."""
    return (
        spec.beta1 * state["m"] + (1 - spec.beta1) * g,
        spec.beta2 * state["v"] + (1 - spec.beta2) * g**2,
    )


def root(h: Floats, eps: float, placement: str) -> Floats:
    """√(h + ε) with ε inside, √h + ε with ε outside."""
    return np.sqrt(h + eps) if placement == "inside" else np.sqrt(h) + eps
