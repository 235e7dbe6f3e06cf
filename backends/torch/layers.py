"""Layers and activations as ``torch.nn`` modules, and their parameters in the canonical layout."""

from collections import OrderedDict

from torch import Tensor, nn

from harness.spec import layers as spec
from harness.spec.layers import Layer, Shape


def build(model: tuple[Layer, ...], inputs: Shape) -> nn.Sequential:
    """The network as a Sequential whose modules have the spec's layer names."""
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for name, layer in zip(spec.names(model), model, strict=True):
        modules[name] = _module(layer, inputs)
        inputs = spec.output_shape(layer, inputs)
    return nn.Sequential(modules)


def _module(layer: Layer, inputs: Shape) -> nn.Module:
    match layer:
        case spec.Dense(units=units, bias=bias):
            return nn.Linear(inputs[0], units, bias=bias)
        case spec.Flatten():
            return nn.Flatten()
        case spec.Linear():
            return nn.Identity()
        case spec.Sigmoid():
            return nn.Sigmoid()
        case spec.Tanh():
            return nn.Tanh()
        case spec.Relu():
            return nn.ReLU()
        case spec.LeakyRelu(slope=slope):
            return nn.LeakyReLU(slope)
        case spec.Elu(alpha=alpha):
            return nn.ELU(alpha)


def to_canonical(name: str, values: Tensor) -> Tensor:
    """A linear map's weight is (out, in) in torch, (in, out) in the canonical layout: one transposition, both ways."""
    return values.T if name.rpartition(".")[2] == "weight" else values


from_canonical = to_canonical
