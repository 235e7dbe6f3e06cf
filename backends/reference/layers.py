"""Layers, forward and backward by the chain rule.

Forward a layer makes y = f(x; θ). Backward it is given δ = ∂L/∂y and makes ∂L/∂x and ∂L/∂θ. No backward here needs
more than the layer's own input x, so the inputs are all that a forward pass keeps.
"""

from collections.abc import Mapping

import numpy as np

from harness.backend import Floats, Parameters
from harness.spec.layers import Activation, Dense, Elu, Flatten, Layer, LeakyRelu, Linear, Relu, Sigmoid, Tanh, names

Own = Mapping[str, Floats]  # the parameters of one layer, by role: "weight", "bias"


def propagate(model: tuple[Layer, ...], parameters: Parameters, x: Floats) -> list[Floats]:
    """x₀ = x, xₖ₊₁ = fₖ(xₖ; θₖ): the input of every layer, and last the outputs of the network."""
    xs = [x]
    for name, layer in zip(names(model), model, strict=True):
        xs.append(forward(layer, own(name, parameters), xs[-1]))
    return xs


def backpropagate(
    model: tuple[Layer, ...], parameters: Parameters, xs: list[Floats], delta: Floats
) -> dict[str, Floats]:
    """∂L/∂θₖ of every layer from its input xₖ and δ = ∂L/∂outputs, from the last layer to the first."""
    gradients: dict[str, Floats] = {}
    for name, layer, x in reversed(list(zip(names(model), model, xs, strict=True))):
        delta, of_parameters = backward(layer, own(name, parameters), x, delta)
        gradients |= {f"{name}.{role}": g for role, g in of_parameters.items()}
    return gradients


def own(name: str, parameters: Parameters) -> Own:
    """The parameters of the layer of that name, by role."""
    prefix = f"{name}."
    return {parameter.removeprefix(prefix): w for parameter, w in parameters.items() if parameter.startswith(prefix)}


def forward(layer: Layer, theta: Own, x: Floats) -> Floats:
    """y of one layer."""
    match layer:
        case Dense():
            return dense(theta, x)
        case Flatten():
            return x.reshape(len(x), -1)
        case _:
            return activation(layer, x)


def backward(layer: Layer, theta: Own, x: Floats, delta: Floats) -> tuple[Floats, dict[str, Floats]]:
    """∂L/∂x, and ∂L/∂θ by role, of one layer."""
    match layer:
        case Dense():
            return dense_backward(theta, x, delta)
        case Flatten():
            return delta.reshape(x.shape), {}
        case _:
            return delta * derivative(layer, x), {}


def dense(theta: Own, x: Floats) -> Floats:
    """y = xW + b, a row of x for each sample."""
    z = x @ theta["weight"]
    return z + theta["bias"] if "bias" in theta else z


def dense_backward(theta: Own, x: Floats, delta: Floats) -> tuple[Floats, dict[str, Floats]]:
    """∂L/∂x = δWᵀ; ∂L/∂W = xᵀδ; ∂L/∂b = Σδ over the samples."""
    gradients = {"weight": x.T @ delta, "bias": delta.sum(axis=0)}
    return delta @ theta["weight"].T, {role: gradients[role] for role in theta}


def activation(layer: Activation, z: Floats) -> Floats:
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


def derivative(layer: Activation, z: Floats) -> Floats:
    """φ'(z). At the kink z = 0 it is the derivative from the left: 0 for ReLU, the slope, α.

    σ' = σ(z)σ(−z); tanh' = 1 − tanh²z; ELU' = 1 for z > 0, else αeᶻ.
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


def sigmoid(z: Floats) -> Floats:
    """σ(z) = 1/(1 + e⁻ᶻ); where e⁻ᶻ overflows it is 0, as it should be."""
    return 1 / (1 + np.exp(-z))
