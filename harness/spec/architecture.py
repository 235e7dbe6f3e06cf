"""What follows from a model: its layers' names, their shapes, their parameters.

A layer's name is its kind and its running number among that kind, from 1; inside a residual, after the residual's own:
``dense1``, ``residual1.dense1``. A parameter's name is its layer's and its role: ``lstm1.recurrent``.
"""

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

from harness.errors import InvalidInput
from harness.spec.activations import Linear
from harness.spec.layers import (
    GRU,
    LSTM,
    Attention,
    AveragePool,
    BatchNorm,
    Conv2D,
    Dense,
    Embedding,
    Flatten,
    GlobalAveragePool,
    Layer,
    LayerNorm,
    MaxPool,
    Padding,
    Pair,
    Pool,
    Position,
    Recurrent,
    Reshape,
    Residual,
    Shape,
    SimpleRNN,
)

NOT_WEIGHTS = ("bias", "scale", "shift")  # how the roles end that penalties and decays leave alone
GATES = {SimpleRNN: 1, LSTM: 4, GRU: 3}


class Place(NamedTuple):
    """A layer, its name, the shape of its inputs and where a problem's file gives it."""

    name: str
    layer: Layer
    inputs: Shape
    path: str  # as errors of files do: problem.model[2].layers[0], from 0

    def __str__(self) -> str:
        return f"{self.name} ({self.path})"


class Parameter(NamedTuple):
    """A parameter's canonical shape, and how it starts.

    A weight is drawn with these fans, one of several equal ``blocks`` along the last axis (a gate) at a time. A filled
    one starts at ``fill`` in each block.
    """

    shape: Shape
    start: Literal["weight", "recurrent", "filled"]
    fans: tuple[int, int] = (1, 1)
    blocks: int = 1
    fill: tuple[float, ...] = (0.0,)


def names(model: tuple[Layer, ...], within: str = "") -> tuple[str, ...]:
    """A name for each layer of a sequence; ``within`` is the residual's that holds it."""
    seen: dict[str, int] = {}
    out = []
    for layer in model:
        kind = layer.spelling()
        seen[kind] = seen.get(kind, 0) + 1
        out.append(f"{within}.{kind}{seen[kind]}".removeprefix("."))
    return tuple(out)


def places(model: tuple[Layer, ...], inputs: Shape) -> Iterator[Place]:
    """Every layer in order, a residual before those inside it; ``InvalidInput`` where one cannot take its inputs."""
    for place in _sequence(model, inputs, "", "problem.model"):
        yield from _nested(place)


def sequence(model: tuple[Layer, ...], inputs: Shape) -> Iterator[Place]:
    """Every layer in order, none of those inside a residual; ``InvalidInput`` where one cannot take its inputs."""
    return _sequence(model, inputs, "", "problem.model")


def outputs(model: tuple[Layer, ...], inputs: Shape) -> Shape:
    """The shape that a model makes of ``inputs``; ``InvalidInput`` if a layer cannot take what it is given."""
    return _outputs(model, inputs, "", "problem.model")


def output_shape(layer: Layer, inputs: Shape) -> Shape:
    """The shape that one layer makes of ``inputs``."""
    return outputs((layer,), inputs)


def parameters(model: tuple[Layer, ...], inputs: Shape) -> dict[str, Parameter]:
    """Every parameter by its name, in the order of the layers."""
    return {
        f"{place.name}.{role}": parameter
        for place in places(model, inputs)
        for role, parameter in _parameters(place.layer, place.inputs).items()
    }


def parameter_shapes(model: tuple[Layer, ...], inputs: Shape) -> dict[str, Shape]:
    """Every parameter's name and canonical shape, in the order of the layers."""
    return {name: parameter.shape for name, parameter in parameters(model, inputs).items()}


def is_weight(parameter: str) -> bool:
    """Whether penalties and decays touch this parameter if nothing else is said: not biases, nor scales and shifts."""
    return not parameter.endswith(NOT_WEIGHTS)


def strides(pool: Pool) -> Pair:
    """A pool's strides: its window's size if left out."""
    return pool.strides or pool.window


def padding(how: Padding, size: int, window: int, stride: int) -> tuple[int, int]:
    """Zeros before and after an axis of that size."""
    if how == "valid":
        return 0, 0
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    return total // 2, total - total // 2


def head_size(layer: Attention, features: int) -> int:
    """k, the size of a head."""
    return layer.size or features // layer.heads


def without_gradient(model: tuple[Layer, ...], inputs: Shape) -> frozenset[str]:
    """The parameters whose exact gradient is zero whatever the data, so that what moves them is rounding.

    A shift of a feature that reaches a batch norm by layers that only pass on or mix shifts, for its mean takes the
    shift away; and attention's key bias, which adds the same to all scores of a row.
    """
    return frozenset(_without_gradient(model, inputs))


def _without_gradient(
    model: tuple[Layer, ...], inputs: Shape, within: str = "", after: tuple[Layer, ...] = ()
) -> Iterator[str]:
    for position, (name, layer) in enumerate(zip(names(model, within), model, strict=True)):
        rest = (*model[position + 1 :], *after)
        if isinstance(layer, Residual):
            yield from _without_gradient(layer.layers, inputs, name, rest)
        roles = _parameters(layer, inputs)
        if "key_bias" in roles:
            yield f"{name}.key_bias"
        made = output_shape(layer, inputs)
        if isinstance(layer, Dense | Conv2D | Attention | BatchNorm | LayerNorm) and _taken_away(rest, made):
            yield from (f"{name}.{role}" for role in roles if role in ("bias", "value_bias", "output_bias", "shift"))
        inputs = made


def _taken_away(rest: tuple[Layer, ...], inputs: Shape) -> bool:
    """Whether a constant added to each feature is subtracted again before it matters."""
    for layer in rest:
        if isinstance(layer, BatchNorm):
            return True
        if not _passes_shifts(layer, inputs):
            return False
        inputs = output_shape(layer, inputs)
    return False


def _passes_shifts(layer: Layer, inputs: Shape) -> bool:
    """Whether a constant added to each feature of the inputs is a constant added to each feature of the outputs."""
    match layer:
        case Linear() | Dense() | Flatten() | MaxPool() | GlobalAveragePool() | Position():
            return True
        case Conv2D(padding=how):
            return how == "valid"
        case AveragePool(padding=how, counts_padding=counts):
            return how == "valid" or not counts
        case Reshape(shape=shape):
            return shape[-1] == inputs[-1]
        case Residual(layers=inner):
            return all(_passes_shifts(place.layer, place.inputs) for place in places(inner, inputs))
        case _:
            return False


def _sequence(model: tuple[Layer, ...], inputs: Shape, within: str, path: str) -> Iterator[Place]:
    for position, (name, layer) in enumerate(zip(names(model, within), model, strict=True)):
        place = Place(name, layer, inputs, f"{path}[{position}]")
        yield place
        inputs = _made(place)


def _nested(place: Place) -> Iterator[Place]:
    """A layer and, of a residual, all inside it."""
    yield place
    if isinstance(place.layer, Residual):
        for inner in _sequence(place.layer.layers, place.inputs, place.name, f"{place.path}.layers"):
            yield from _nested(inner)


def _outputs(model: tuple[Layer, ...], inputs: Shape, within: str, path: str) -> Shape:
    for place in _sequence(model, inputs, within, path):
        inputs = _made(place)
    return inputs


def _made(place: Place) -> Shape:
    """The shape that a layer makes of its inputs."""
    inputs = place.inputs
    match place.layer:
        case Dense(units=units):
            return (*inputs[:-1], units)
        case Conv2D(filters=filters, kernel=kernel, strides=steps, padding=how):
            return (*_slid(place, kernel, steps, how), filters)
        case MaxPool(window=window, padding=how) | AveragePool(window=window, padding=how) as pool:
            return (*_slid(place, window, strides(pool), how), inputs[-1])
        case GlobalAveragePool():
            _refuse_unless(len(inputs) > 1, place, "(…, features) of two axes or more")
            return inputs[-1:]
        case Flatten():
            return (math.prod(inputs),)
        case Reshape(shape=shape):
            _refuse_unless(math.prod(shape) == math.prod(inputs), place, f"{math.prod(shape)} numbers")
            return shape
        case Embedding(units=units):
            return (*inputs, units)
        case SimpleRNN(units=units) | LSTM(units=units) | GRU(units=units) as layer:
            _refuse_unless(len(inputs) == 2, place, "(time, features)")
            return (inputs[0], units) if layer.sequences else (units,)
        case Attention(heads=heads, size=size):
            _refuse_unless(len(inputs) == 2, place, "(time, features)")
            whole = size is not None or inputs[1] % heads == 0
            _refuse_unless(whole, place, f"features that {heads} heads can share, or a size")
            return inputs
        case Residual(layers=inner):
            inside = _outputs(inner, inputs, place.name, f"{place.path}.layers")
            _refuse_unless(inside == inputs, place, f"layers that keep the shape; these make {inside}")
            return inputs
        case _:
            return inputs


def _slid(place: Place, window: Pair, steps: Pair, how: Padding) -> Shape:
    """Height and width of what a sliding window makes of an image."""
    _refuse_unless(len(place.inputs) == 3, place, "(height, width, channels)")
    sizes = zip(place.inputs, window, steps, strict=False)
    found = tuple(-(-n // s) if how == "same" else (n - k) // s + 1 for n, k, s in sizes)
    _refuse_unless(min(found) > 0, place, f"an image not smaller than its window {window}")
    return found


def _refuse_unless(fine: bool, place: Place, needs: str) -> None:
    if not fine:
        raise InvalidInput(f"{place} needs {needs}; its inputs have the shape {place.inputs}")


def _parameters(layer: Layer, inputs: Shape) -> dict[str, Parameter]:
    """The parameters of one layer by role, in their order."""
    features = inputs[-1]
    match layer:
        case Dense(units=units, bias=bias):
            return _linear(features, units) if bias else {"weight": _linear(features, units)["weight"]}
        case Conv2D(filters=filters, kernel=kernel, bias=bias):
            size = math.prod(kernel)
            weight = Parameter((*kernel, features, filters), "weight", (size * features, size * filters))
            return {"weight": weight} | ({"bias": _filled(filters)} if bias else {})
        case Embedding(vocabulary=vocabulary, units=units):
            return {"weight": Parameter((vocabulary, units), "weight", (1, units))}
        case Position():
            return {"weight": Parameter(inputs, "weight", (1, features))}
        case SimpleRNN() | LSTM() | GRU():
            return _recurrent(layer, features)
        case Attention(heads=heads):
            inner = heads * head_size(layer, features)
            found: dict[str, Parameter] = {}
            for role in ("query", "key", "value"):
                found[role], found[f"{role}_bias"] = _linear(features, inner).values()
            found["output"], found["output_bias"] = _linear(inner, features).values()
            return found
        case BatchNorm() | LayerNorm():
            return {"scale": _filled(features, 1.0), "shift": _filled(features)}
        case _:
            return {}


def _recurrent(layer: Recurrent, features: int) -> dict[str, Parameter]:
    units, gates = layer.units, GATES[type(layer)]
    width = gates * units
    fill = (0.0, layer.forget_bias, 0.0, 0.0) if isinstance(layer, LSTM) else (0.0,)
    found = {
        "weight": Parameter((features, width), "weight", (features, units), gates),
        "recurrent": Parameter((units, width), "recurrent", (units, units), gates),
        "bias": Parameter((width,), "filled", fill=fill),
    }
    if isinstance(layer, GRU) and layer.reset == "after":
        found["recurrent_bias"] = _filled(width)
    return found


def _linear(inputs: int, units: int) -> dict[str, Parameter]:
    return {"weight": Parameter((inputs, units), "weight", (inputs, units)), "bias": _filled(units)}


def _filled(size: int, value: float = 0.0) -> Parameter:
    return Parameter((size,), "filled", fill=(value,))
