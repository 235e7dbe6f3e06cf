"""Layers as ``torch.nn`` modules, and their parameters in the canonical layout."""

from collections import OrderedDict
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from backends.torch import activations, attention, convolution, dropout, normalisation, recurrent
from harness.backend import Origin
from harness.spec.architecture import names, output_shape, places
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
    Shape,
    SimpleRNN,
)

RECURRENT = {
    "weight_ih_l0": "weight",
    "weight_hh_l0": "recurrent",
    "bias_ih_l0": "bias",
    "bias_hh_l0": "recurrent_bias",
}
NORM = {"weight": "scale", "bias": "shift"}


class Sum(nn.Sequential):
    """y = x + f(x), f the modules inside."""

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for module in self:
            y = module(y)
        return x + y


class Shift(nn.Module):
    """y = x + W, W of the shape of one sample."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight


class Mean(nn.Module):
    """The mean over all axes but the first and the last."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=tuple(range(1, x.dim() - 1)))


class Shaped(nn.Module):
    """The same numbers in another shape."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], *self.shape)


def build(model: tuple[Layer, ...], inputs: Shape, exact: bool) -> nn.Sequential:
    """The network as a Sequential whose modules have the spec's layer names."""
    return nn.Sequential(_modules(model, inputs, exact))


def _modules(model: tuple[Layer, ...], inputs: Shape, exact: bool) -> OrderedDict[str, nn.Module]:
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for name, layer in zip(names(model), model, strict=True):
        modules[name] = _module(layer, inputs, exact)
        inputs = output_shape(layer, inputs)
    return modules


def _module(layer: Layer, inputs: Shape, exact: bool) -> nn.Module:
    features = inputs[-1]
    match layer:
        case Dense(units=units, bias=bias):
            return nn.Linear(features, units, bias=bias)
        case Conv2D():
            return convolution.convolution(layer, inputs)
        case MaxPool() | AveragePool():
            return convolution.pool(layer, inputs)
        case GlobalAveragePool():
            return Mean()
        case Flatten():
            return nn.Flatten()
        case Reshape(shape=shape):
            return Shaped(shape)
        case Embedding(vocabulary=vocabulary, units=units):
            return nn.Embedding(vocabulary, units)
        case Position():
            return Shift(inputs)
        case SimpleRNN() | LSTM() | GRU():
            return recurrent.module(layer, features, exact)
        case Attention():
            return attention.SelfAttention(layer, features)
        case Residual(layers=inner):
            return Sum(_modules(inner, inputs, exact))
        case Dropout():
            return dropout.module(layer, exact)
        case BatchNorm(running=running):
            return normalisation.BatchMoments(layer, features, biased=exact and running == "biased")
        case LayerNorm(eps=eps):
            return nn.LayerNorm(features, eps=eps)
        case _:
            return activations.module(layer, exact)


def origin(model: tuple[Layer, ...], inputs: Shape, exact: bool) -> Origin:
    """Where the model comes from: composed if any of its layers is, and what each of them is told of."""
    found = [_origin(place.layer, place.inputs, exact) for place in places(model, inputs)]
    composed = [of for of in found if of.how == "composed"]
    by = ", ".join(dict.fromkeys(of.by for of in composed or found))
    why = "; ".join(dict.fromkeys(of.why for of in found if of.why))
    return Origin("composed" if composed else "native", by, why)


def _origin(layer: Layer, inputs: Shape, exact: bool) -> Origin:
    match layer:
        case Conv2D() | MaxPool() | AveragePool():
            return convolution.origin(layer, inputs)
        case GlobalAveragePool():
            return Origin("native", "torch.mean")
        case Position():
            return Origin("native", "torch.add")
        case SimpleRNN() | LSTM() | GRU():
            return recurrent.origin(layer, exact)
        case Attention():
            return attention.ORIGIN
        case Residual():
            return Origin("native", "torch.add")
        case Dropout():
            return dropout.origin(exact)
        case BatchNorm():
            return normalisation.origin(layer, exact)
        case Dense() | Flatten() | Reshape() | Embedding() | LayerNorm():
            return Origin("native", "torch.nn")
        case _:
            return activations.origin(layer, exact)


def nested(model: tuple[Layer, ...]) -> Iterator[Layer]:
    """Every layer, those inside residuals too."""
    for layer in model:
        yield layer
        if isinstance(layer, Residual):
            yield from nested(layer.layers)


def trained(network: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are trained, in order, by the spec's names."""
    return {_canonical_name(name): w for name, w in network.named_parameters() if w.requires_grad}


def _canonical_name(name: str) -> str:
    """``lstm1.own.weight_ih_l0`` is ``lstm1.weight``, ``attention1.key.bias`` is ``attention1.key_bias``."""
    *path, role = name.split(".")
    path = [part for part in path if part != "own"]
    if path and path[-1] in ("query", "key", "value", "output"):
        role = path.pop() + ("_bias" if role == "bias" else "")
    elif path and path[-1].startswith(("batch_norm", "layer_norm")):
        role = NORM[role]
    return ".".join([*path, RECURRENT.get(role, role)])


def to_canonical(name: str, values: Tensor) -> Tensor:
    """A view of a parameter, or of what has its shape, in the canonical layout.

    Linear maps are (out, in) in torch, (in, out) in the canonical layout; of a convolution, (out, in, height, width)
    and (height, width, in, out). Embeddings and positions are as they are.
    """
    if _stays(name):
        return values
    return values.permute(2, 3, 1, 0) if values.dim() == 4 else values.T if values.dim() == 2 else values


def from_canonical(name: str, values: Tensor) -> Tensor:
    """The way back."""
    if _stays(name):
        return values
    return values.permute(3, 2, 0, 1) if values.dim() == 4 else values.T if values.dim() == 2 else values


def _stays(name: str) -> bool:
    return name.rpartition(".")[0].rpartition(".")[2].startswith(("embedding", "position"))
