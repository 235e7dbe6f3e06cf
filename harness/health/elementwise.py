"""φ and φ' of the elementwise activations, for expectations over Gaussian inputs.

φ'(0) at a kink does not matter here: it is one point of a density.
"""

import math

import numpy as np
from scipy.special import expit, ndtr

from harness.problems.data import Floats
from harness.spec.activations import (
    SELU,
    Elementwise,
    Elu,
    Exponential,
    Gelu,
    LeakyRelu,
    Linear,
    Mish,
    Relu,
    Selu,
    Sigmoid,
    Softplus,
    Swish,
    Tanh,
)


def both(layer: Elementwise, z: Floats) -> tuple[Floats, Floats]:
    """(φ(z), φ'(z))."""
    match layer:
        case Linear():
            return z, np.ones_like(z)
        case Relu():
            return np.maximum(z, 0), np.where(z > 0, 1.0, 0.0)
        case LeakyRelu(slope=slope):
            return np.where(z > 0, z, slope * z), np.where(z > 0, 1.0, slope)
        case Elu(alpha=alpha):
            return _elu(z, alpha)
        case Selu():
            scale, alpha = SELU
            value, steepness = _elu(z, alpha)
            return scale * value, scale * steepness
        case Sigmoid():
            return expit(z), expit(z) * expit(-z)
        case Tanh():
            return np.tanh(z), 1 / np.cosh(np.clip(z, -350, 350)) ** 2
        case Softplus():
            return np.logaddexp(0, z), expit(z)
        case Swish():
            return z * expit(z), expit(z) * (1 + z * expit(-z))
        case Mish():
            t: Floats = np.tanh(np.logaddexp(0, z))
            return z * t, t + z * (1 - t**2) * expit(z)
        case Gelu(form="exact"):
            return z * ndtr(z), ndtr(z) + z * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
        case Gelu():
            stretch, cubic = math.sqrt(2 / math.pi), 0.044715
            t = np.tanh(stretch * (z + cubic * z**3))
            return z / 2 * (1 + t), np.asarray((1 + t) / 2 + z / 2 * (1 - t**2) * stretch * (1 + 3 * cubic * z**2))
        case Exponential():
            return np.exp(z), np.exp(z)


def _elu(z: Floats, alpha: float) -> tuple[Floats, Floats]:
    below = np.minimum(z, 0)
    return np.where(z > 0, z, alpha * np.expm1(below)), np.where(z > 0, 1.0, alpha * np.exp(below))
