"""Networks, forward and backward by the chain rule.

Forward a layer makes y = f(x; θ). Backward it is given δ = ∂L/∂y and makes ∂L/∂x and ∂L/∂θ. No backward here needs
more than the layer's own input x, so the inputs are all that a forward pass keeps.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from backends.reference import activations, attention, convolution, normalisation, recurrent
from backends.reference.normalisation import Moments
from harness.backend import Floats, Parameters
from harness.spec.architecture import names
from harness.spec.layers import (
    GRU,
    LSTM,
    Attention,
    AveragePool,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool,
    Layer,
    LayerNorm,
    MaxPool,
    Position,
    Reshape,
    Residual,
    SimpleRNN,
)

Own = Mapping[str, Floats]  # the parameters of one layer, by role: "weight", "bias"
Inputs = Mapping[str, Floats]  # by a layer's name


@dataclass(frozen=True)
class Pass:
    """What a pass through a network depends on beside parameters and inputs, by the layers' names."""

    training: bool = True
    masks: Mapping[str, Floats] = field(default_factory=dict)  # of dropout layers, m/(1 − p)
    running: Mapping[str, Moments] = field(default_factory=dict)  # of batch norms
    signals: dict[str, Floats] | None = None  # where the way back leaves δ = ∂L/∂y of every layer, if it is given


def propagate(
    model: tuple[Layer, ...], parameters: Parameters, x: Floats, at: Pass, within: str = ""
) -> tuple[Floats, Inputs]:
    """The outputs of the network, xₖ₊₁ = fₖ(xₖ; θₖ) from x₀ = x, and the input xₖ of every layer."""
    inputs: dict[str, Floats] = {}
    for name, layer in zip(names(model, within), model, strict=True):
        inputs[name] = x
        if isinstance(layer, Residual):
            y, of_inner = propagate(layer.layers, parameters, x, at, name)
            inputs |= of_inner
            x = x + y
        else:
            x = forward(layer, name, own(name, parameters), x, at)
    return x, inputs


def outputs(
    model: tuple[Layer, ...], parameters: Parameters, inputs: Inputs, at: Pass, within: str = ""
) -> dict[str, Floats]:
    """The outputs y of every layer, made once more from its inputs."""
    found: dict[str, Floats] = {}
    for name, layer in zip(names(model, within), model, strict=True):
        x = inputs[name]
        if isinstance(layer, Residual):
            found |= outputs(layer.layers, parameters, inputs, at, name)
            found[name] = x + propagate(layer.layers, parameters, x, at, name)[0]
        else:
            found[name] = forward(layer, name, own(name, parameters), x, at)
    return found


def backpropagate(
    model: tuple[Layer, ...], parameters: Parameters, inputs: Inputs, delta: Floats, at: Pass, within: str = ""
) -> tuple[Floats, dict[str, Floats]]:
    """∂L/∂x₀ and ∂L/∂θₖ of every layer from its input xₖ and δ = ∂L/∂outputs, from the last layer to the first."""
    gradients: dict[str, Floats] = {}
    for name, layer in reversed(list(zip(names(model, within), model, strict=True))):
        if at.signals is not None:
            at.signals[name] = delta
        if isinstance(layer, Residual):
            of_inner, of_parameters = backpropagate(layer.layers, parameters, inputs, delta, at, name)
            delta = delta + of_inner
        else:
            delta, of_own = backward(layer, name, own(name, parameters), inputs[name], delta, at)
            of_parameters = {f"{name}.{role}": g for role, g in of_own.items()}
        gradients |= of_parameters
    return delta, gradients


def averaged(model: tuple[Layer, ...], inputs: Inputs, at: Pass, within: str = "") -> dict[str, Moments]:
    """The running moments of every batch norm after a training step in which the layers saw these inputs."""
    found: dict[str, Moments] = {}
    for name, layer in zip(names(model, within), model, strict=True):
        if isinstance(layer, Residual):
            found |= averaged(layer.layers, inputs, at, name)
        elif isinstance(layer, BatchNorm):
            features = inputs[name].shape[-1]
            before = at.running.get(name, (np.zeros(features), np.ones(features)))
            found[name] = normalisation.averaged(layer, before, inputs[name])
    return found


def own(name: str, parameters: Parameters) -> Own:
    """The parameters of the layer of that name, by role."""
    prefix = f"{name}."
    return {parameter.removeprefix(prefix): w for parameter, w in parameters.items() if parameter.startswith(prefix)}


def forward(layer: Layer, name: str, theta: Own, x: Floats, at: Pass) -> Floats:
    """y of one layer."""
    match layer:
        case Dense():
            return dense(theta, x)
        case Conv2D():
            return convolution.convolve(layer, theta, x)
        case MaxPool() | AveragePool():
            return convolution.pool(layer, x)
        case GlobalAveragePool():
            return np.asanyarray(x.mean(axis=tuple(range(1, x.ndim - 1))))
        case Flatten():
            return x.reshape(len(x), -1)
        case Reshape(shape=shape):
            return x.reshape(len(x), *shape)
        case Embedding():
            return np.asanyarray(theta["weight"][x.astype(int)])
        case Position():
            return x + theta["weight"]
        case SimpleRNN() | LSTM() | GRU():
            return recurrent.forward(layer, theta, x)
        case Attention():
            return attention.attend(layer, theta, x)
        case Residual():
            raise TypeError("a residual is propagated through its layers")
        case Dropout():
            return x * at.masks[name] if at.training else x
        case BatchNorm() if not at.training:
            moments = at.running.get(name, (np.zeros(x.shape[-1]), np.ones(x.shape[-1])))
            return normalisation.normalise(layer, theta, x, moments)
        case BatchNorm() | LayerNorm():
            return normalisation.normalise(layer, theta, x, normalisation.moments(layer, x))
        case _:
            return activations.forward(layer, x)


def backward(
    layer: Layer, name: str, theta: Own, x: Floats, delta: Floats, at: Pass
) -> tuple[Floats, dict[str, Floats]]:
    """∂L/∂x, and ∂L/∂θ by role, of one layer in training."""
    match layer:
        case Dense():
            return dense_backward(theta, x, delta)
        case Conv2D():
            return convolution.convolve_backward(layer, theta, x, delta)
        case MaxPool() | AveragePool():
            return convolution.pool_backward(layer, x, delta), {}
        case GlobalAveragePool():
            places = x[0, ..., 0].size
            return np.broadcast_to(delta.reshape(len(x), *[1] * (x.ndim - 2), -1) / places, x.shape), {}
        case Flatten() | Reshape():
            return delta.reshape(x.shape), {}
        case Embedding():
            return np.zeros_like(x), {"weight": embedding_backward(theta, x, delta)}
        case Position():
            return delta, {"weight": delta.sum(axis=0)}
        case SimpleRNN() | LSTM() | GRU():
            return recurrent.backward(layer, theta, x, delta)
        case Attention():
            return attention.attend_backward(layer, theta, x, delta)
        case Residual():
            raise TypeError("a residual is backpropagated through its layers")
        case Dropout():
            return delta * at.masks[name], {}
        case BatchNorm() | LayerNorm():
            return normalisation.normalise_backward(layer, theta, x, delta)
        case _:
            return activations.backward(layer, x, delta), {}


def dense(theta: Own, x: Floats) -> Floats:
    """y = xW + b along the last axis."""
    z = x @ theta["weight"]
    return z + theta["bias"] if "bias" in theta else z


def dense_backward(theta: Own, x: Floats, delta: Floats) -> tuple[Floats, dict[str, Floats]]:
    """∂L/∂x = δWᵀ; ∂L/∂W = xᵀδ; ∂L/∂b = Σδ over the samples (and places)."""
    rows, deltas = x.reshape(-1, x.shape[-1]), delta.reshape(-1, delta.shape[-1])
    gradients = {"weight": rows.T @ deltas, "bias": deltas.sum(axis=0)}
    return delta @ theta["weight"].T, {role: gradients[role] for role in theta}


def embedding_backward(theta: Own, x: Floats, delta: Floats) -> Floats:
    """∂L/∂W: each row gets the δ of all the places where it was looked up."""
    of_weight = np.zeros_like(theta["weight"])
    np.add.at(of_weight, x.astype(int), delta)
    return of_weight
