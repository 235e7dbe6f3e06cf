"""Models rebuilt with something added or exchanged, and what of the old one goes by which name in the new one."""

from collections.abc import Callable

from harness.spec.activations import ACTIVATIONS
from harness.spec.architecture import Place, output_shape, parameter_shapes, places, sequence
from harness.spec.layers import BatchNorm, Conv2D, Dense, Layer, LayerNorm, Residual, Shape

Model = tuple[Layer, ...]


def exchanged(model: Model, other: Callable[[Layer], Layer]) -> Model:
    """Each layer exchanged for another, or itself, inside residuals too."""
    return tuple(
        Residual(exchanged(layer.layers, other)) if isinstance(layer, Residual) else other(layer) for layer in model
    )


def normalised(model: Model) -> Model:
    """A layer norm between each dense or convolutional layer and the activation right behind it (Ba et al. 2016)."""
    found: list[Layer] = []
    for layer in model:
        if isinstance(layer, ACTIVATIONS) and found and isinstance(found[-1], Dense | Conv2D):
            found.append(LayerNorm())
        found.append(Residual(normalised(layer.layers)) if isinstance(layer, Residual) else layer)
    return tuple(found)


def residual(model: Model, inputs: Shape) -> Model:
    """Each dense or convolutional layer that keeps the shape, with what stands up to its activation, wrapped.

    y = x + f(x), so that what comes back to x does so by f's slope and past it (He et al. 2016).
    """
    found: list[Layer] = []
    rest = list(sequence(model, inputs))
    while rest:
        block = _block(rest)
        found.append(Residual(tuple(place.layer for place in block)) if block else rest[0].layer)
        rest = rest[max(len(block), 1) :]
    return tuple(found)


def _block(rest: list[Place]) -> list[Place]:
    """What of the next layers to wrap: nothing, where the first does not keep the shape or no activation follows."""
    first = rest[0]
    if not isinstance(first.layer, Dense | Conv2D) or output_shape(first.layer, first.inputs) != first.inputs:
        return []
    count = 2 if any(isinstance(place.layer, BatchNorm | LayerNorm) for place in rest[1:2]) else 1
    active = any(isinstance(place.layer, ACTIVATIONS) for place in rest[count : count + 1])
    return rest[: count + 1] if active else []


def renamed(old: Model, new: Model, inputs: Shape) -> dict[str, str]:
    """Each parameter of the old model's layers by its name in the new one; without those that it no longer has."""
    layers = [_weighted(model, inputs) for model in (old, new)]
    names = dict(zip(*layers, strict=False))
    there = parameter_shapes(new, inputs)
    found = {}
    for name in parameter_shapes(old, inputs):
        layer, _, role = name.rpartition(".")
        if layer in names and f"{names[layer]}.{role}" in there:
            found[name] = f"{names[layer]}.{role}"
    return found


def _weighted(model: Model, inputs: Shape) -> list[str]:
    """The layers with parameters, in order, but normalisations and residuals."""
    having = {name.rpartition(".")[0] for name in parameter_shapes(model, inputs)}
    return [
        place.name
        for place in places(model, inputs)
        if place.name in having and not isinstance(place.layer, Residual | BatchNorm | LayerNorm)
    ]
