"""One struct a layer kind, and the parameters that each has.

Shapes leave out the batch axis. A layer's parameters are named ``dense1.weight``, ``dense1.bias``:
the kind, its running number among layers of that kind (from 1), the role.
"""

import math

from harness.errors import InvalidInput
from harness.spec.base import Count, NonNegative, Piece, Positive

Shape = tuple[int, ...]


class Dense(Piece, frozen=True, tag="dense"):
    """z = xW + b, with W of shape (inputs, units) and b of shape (units,)."""

    units: Count
    bias: bool = True


class Flatten(Piece, frozen=True, tag="flatten"):
    """All axes but the batch joined into one, in C order."""


class Linear(Piece, frozen=True, tag="linear"):
    """φ(z) = z."""


class Sigmoid(Piece, frozen=True, tag="sigmoid"):
    """φ(z) = 1/(1 + e⁻ᶻ)."""


class Tanh(Piece, frozen=True, tag="tanh"):
    """φ(z) = tanh z."""


class Relu(Piece, frozen=True, tag="relu"):
    """φ(z) = max(z, 0), with φ'(0) = 0."""


class LeakyRelu(Piece, frozen=True, tag="leaky_relu"):
    """φ(z) = z for z > 0, else slope·z, with φ'(0) = slope (Maas, Hannun & Ng 2013)."""

    slope: NonNegative = 0.01


class Elu(Piece, frozen=True, tag="elu"):
    """φ(z) = z for z > 0, else α(eᶻ − 1) (Clevert, Unterthiner & Hochreiter 2016)."""

    alpha: Positive = 1.0


Activation = Linear | Sigmoid | Tanh | Relu | LeakyRelu | Elu
Layer = Dense | Flatten | Linear | Sigmoid | Tanh | Relu | LeakyRelu | Elu
LAYERS: tuple[type[Layer], ...] = (Dense, Flatten, Linear, Sigmoid, Tanh, Relu, LeakyRelu, Elu)


def names(model: tuple[Layer, ...]) -> tuple[str, ...]:
    """A name for each layer: its kind and its running number among that kind, from 1."""
    seen: dict[str, int] = {}
    out = []
    for layer in model:
        kind = layer.spelling()
        seen[kind] = seen.get(kind, 0) + 1
        out.append(f"{kind}{seen[kind]}")
    return tuple(out)


def output_shape(layer: Layer, inputs: Shape) -> Shape:
    """The shape that a layer makes of ``inputs``; ``InvalidInput`` if it cannot take them."""
    match layer:
        case Dense(units=units):
            if len(inputs) != 1:
                raise InvalidInput(f"dense needs flat inputs, got shape {inputs}: put a flatten layer before it")
            return (units,)
        case Flatten():
            return (math.prod(inputs),)
        case _:
            return inputs


def parameter_shapes(model: tuple[Layer, ...], inputs: Shape) -> dict[str, Shape]:
    """Every parameter's name and canonical shape, in the order of the layers."""
    shapes: dict[str, Shape] = {}
    for name, layer in zip(names(model), model, strict=True):
        outputs = output_shape(layer, inputs)
        if isinstance(layer, Dense):
            shapes[f"{name}.weight"] = (inputs[0], layer.units)
            if layer.bias:
                shapes[f"{name}.bias"] = (layer.units,)
        inputs = outputs
    return shapes
