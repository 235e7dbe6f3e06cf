"""Clips: g → g'."""

import numpy as np

from harness.backend import Floats, Parameters
from harness.spec.recipe import Adaptive, ByValue, Clip, GlobalNorm, NoClip, PerTensor


def clip(spec: Clip, gradients: Parameters, parameters: Parameters) -> Parameters:
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
        case Adaptive(c=c, eps=eps):
            return {name: adaptive(g, parameters[name], c, eps) for name, g in gradients.items()}


def norm(*tensors: Floats) -> float:
    """‖g‖ = √Σg² over all the tensors given."""
    return float(np.sqrt(sum(np.sum(g**2) for g in tensors)))


def scaled(g: Floats, norm: float, c: float) -> Floats:
    """g if ‖g‖ ≤ c, else (c/‖g‖)g."""
    return g if norm <= c else (c / norm) * g


def adaptive(g: Floats, w: Floats, c: float, eps: float) -> Floats:
    """Each unit's g if ‖g‖ ≤ c·max(‖w‖, ε), else scaled to that; a unit is a slice of the last axis, or a vector."""
    limit = c * np.maximum(unit_norms(w), eps)
    norms = unit_norms(g)
    return np.where(norms <= limit, g, g * limit / np.where(norms == 0, 1.0, norms))


def unit_norms(w: Floats) -> Floats:
    """‖w‖ over all axes but the last (outputs are last in the canonical layout); of a vector as a whole."""
    axes = tuple(range(max(w.ndim - 1, 1)))
    return np.asarray(np.sqrt(np.sum(w**2, axis=axes, keepdims=True)))
