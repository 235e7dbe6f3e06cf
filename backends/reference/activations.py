"""Activations φ(z) and the gradient that they pass back."""

import math

import numpy as np
from scipy.special import erfc

from harness.backend import Floats
from harness.spec.activations import (
    SELU,
    Activation,
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
    Softmax,
    Softplus,
    Swish,
    Tanh,
)

CUBIC, STRETCH = 0.044715, math.sqrt(2 / math.pi)  # of the tanh form of GELU


def forward(layer: Activation, z: Floats) -> Floats:
    """φ(z)."""
    return softmax(z) if isinstance(layer, Softmax) else activation(layer, z)


def backward(layer: Activation, z: Floats, delta: Floats) -> Floats:
    """∂L/∂z = δφ'(z); of softmax, where ∂sᵢ/∂zⱼ = sᵢ([i = j] − sⱼ): s(δ − Σδs)."""
    if not isinstance(layer, Softmax):
        return delta * derivative(layer, z)
    s = softmax(z)
    return np.asanyarray(s * (delta - np.sum(delta * s, axis=-1, keepdims=True)))


def activation(layer: Elementwise, z: Floats) -> Floats:
    """φ(z), element by element."""
    match layer:
        case Linear():
            return z
        case Sigmoid():
            return sigmoid(z)
        case Tanh():
            return np.tanh(z)
        case Relu():
            return np.maximum(z, 0)
        case LeakyRelu(slope=slope):
            return np.where(z > 0, z, slope * z)
        case Elu(alpha=alpha):
            return np.where(z > 0, z, alpha * np.expm1(z))
        case Selu():
            scale, alpha = SELU
            return scale * np.where(z > 0, z, alpha * np.expm1(z))
        case Softplus():
            return softplus(z)
        case Swish():
            return z * sigmoid(z)
        case Mish():
            return z * np.tanh(softplus(z))
        case Gelu(form="exact"):
            return z * normal_distribution(z)
        case Gelu():
            return np.asanyarray(z / 2 * (1 + np.tanh(STRETCH * (z + CUBIC * z**3))))
        case Exponential():
            return np.exp(z)


def derivative(layer: Elementwise, z: Floats) -> Floats:
    """φ'(z). At the kink z = 0 it is the derivative from the left: 0 for ReLU, the slope, α, λα.

    σ' = σ(z)σ(−z); tanh' = 1 − tanh²z; ELU' = 1 for z > 0, else αeᶻ; softplus' = σ; (zσ)' = σ + zσσ(−z);
    Mish with T = tanh(softplus z): T + z(1 − T²)σ; GELU: Φ + z·e^(−z²/2)/√(2π), or with T = tanh(u):
    (1 + T)/2 + z/2·(1 − T²)u', u' = √(2/π)(1 + 3·0.044715z²).
    """
    match layer:
        case Linear():
            return np.ones_like(z)
        case Sigmoid():
            return sigmoid(z) * sigmoid(-z)
        case Tanh():
            return 1 - np.tanh(z) ** 2
        case Relu():
            return np.where(z > 0, 1.0, 0.0)
        case LeakyRelu(slope=slope):
            return np.where(z > 0, 1.0, slope)
        case Elu(alpha=alpha):
            return np.where(z > 0, 1.0, alpha * np.exp(z))
        case Selu():
            scale, alpha = SELU
            return scale * np.where(z > 0, 1.0, alpha * np.exp(z))
        case Softplus():
            return sigmoid(z)
        case Swish():
            return sigmoid(z) + z * sigmoid(z) * sigmoid(-z)
        case Mish():
            t = np.tanh(softplus(z))
            return np.asanyarray(t + z * (1 - t**2) * sigmoid(z))
        case Gelu(form="exact"):
            return normal_distribution(z) + z * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
        case Gelu():
            t = np.tanh(STRETCH * (z + CUBIC * z**3))
            return np.asanyarray((1 + t) / 2 + z / 2 * (1 - t**2) * STRETCH * (1 + 3 * CUBIC * z**2))
        case Exponential():
            return np.exp(z)


def sigmoid(z: Floats) -> Floats:
    """σ(z) = 1/(1 + e⁻ᶻ); where e⁻ᶻ overflows it is 0, as it should be."""
    return 1 / (1 + np.exp(-z))


def softplus(z: Floats) -> Floats:
    """log(1 + eᶻ)."""
    return np.logaddexp(z, 0)


def softmax(z: Floats) -> Floats:
    """eᶻ/Σeᶻ along the last axis, shifted by the maximum so that no exponential overflows."""
    e = np.exp(z - np.max(z, axis=-1, keepdims=True))
    return np.asanyarray(e / np.sum(e, axis=-1, keepdims=True))


def normal_distribution(z: Floats) -> Floats:
    """Φ(z) = erfc(−z/√2)/2."""
    return np.asanyarray(erfc(-z / math.sqrt(2)) / 2)
