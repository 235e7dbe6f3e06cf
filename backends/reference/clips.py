"""Clips: g → g'."""

import numpy as np

from harness.backend import Floats, Parameters
from harness.spec.recipe import ByValue, Clip, GlobalNorm, NoClip, PerTensor


def clip(spec: Clip, gradients: Parameters) -> Parameters:
    """g' of every tensor."""
    match spec:
        case NoClip():
            return gradients
        case GlobalNorm(c=c):
            everything = norm(*gradients.values())
            return {name: scaled(g, everything, c) for name, g in gradients.items()}
        case PerTensor(c=c):
            return {name: scaled(g, norm(g), c) for name, g in gradients.items()}
        case ByValue(lowest=lowest, highest=highest):
            return {name: np.minimum(np.maximum(g, lowest), highest) for name, g in gradients.items()}


def norm(*tensors: Floats) -> float:
    """‖g‖ = √Σg² over all the tensors given."""
    return float(np.sqrt(sum(np.sum(g**2) for g in tensors)))


def scaled(g: Floats, norm: float, c: float) -> Floats:
    """g if ‖g‖ ≤ c, else (c/‖g‖)g."""
    return g if norm <= c else (c / norm) * g
