"""One fault in a healthy run: of known kind, layer and step, from drastic down to what costs hardly anything."""

from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from harness.findings.finding import Kind
from harness.problems import task as tasks
from harness.spec.activations import ACTIVATIONS, Relu, Sigmoid, Tanh
from harness.spec.architecture import Place, is_weight, places
from harness.spec.cell import Cell
from harness.spec.fault import Fault, Put, Rate, Scale, Shift, Tie
from harness.spec.initialisations import Orthogonal, SmallNormal, Zeros
from harness.spec.layers import BatchNorm, Conv2D, Dense, Dropout, Embedding, Layer, LayerNorm, Residual, SimpleRNN
from harness.spec.optimizers import SGD, Momentum
from harness.spec.problem import Network
from harness.spec.recipe import L1, L2, GlobalNorm
from suites.labelled.healthy import Draw, Healthy, log_uniform, one_of


class Label(NamedTuple):
    """What was planted."""

    kind: Kind
    layers: frozenset[str]  # any of which is right; {""} of the run as a whole
    step: int | None  # None where it comes by and by: over-fitting


class Planted(NamedTuple):
    """A run with a fault."""

    cell: Cell
    faults: tuple[Fault, ...]
    label: Label


class Hidden(NamedTuple):
    """A layer with weights before the last, and what stands behind it."""

    place: Place
    weights: tuple[str, ...]
    behind: Place | None  # its activation, or itself where that is inside

    @property
    def names(self) -> frozenset[str]:
        """Under which a fault of it may be reported."""
        return frozenset({self.place.name, self.behind.name if self.behind else self.place.name})


WHOLE = frozenset({""})


def plantable(run: Healthy) -> tuple[Kind, ...]:
    """The kinds that can be planted into a run."""
    kinds: list[Kind] = ["non_finite", "poor_initialisation", "step_too_large", "step_too_small", "frozen"]
    kinds += ["over_fitting", "penalty_dominates"]
    layers, recipe = hidden(run.cell), run.cell.recipe
    if isinstance(recipe.optimizer, SGD | Momentum):
        kinds.append("clip_always_binds")
    if any(not _normalised(run.cell, layer) for layer in layers):
        kinds += ["exploding", "vanishing"]
    if _bounded(layers):
        kinds.append("saturation")
    if _of_relu(layers):
        kinds.append("dead_units")
    if run.family in ("mlp", "cnn"):
        kinds.append("identical_units")
    return tuple(kinds)


def planted(rng: Draw, run: Healthy, kind: Kind) -> Planted:
    """The run with a fault of that kind, at its start or on the way."""
    cell, steps = run.cell, run.cell.budget.steps or 0
    late = int(rng.integers(steps // 3, steps * 5 // 6))
    layers = hidden(cell)
    free = _outside([layer for layer in layers if not _normalised(cell, layer)])
    problem = cell.problem
    assert isinstance(problem, Network)
    match kind:
        case "non_finite":
            name = str(one_of(rng, tuple(name for layer in layers for name in layer.weights)))
            fault = Put(late, name, "nan" if rng.random() < 0.5 else "inf", int(rng.integers(_numbers(cell, name))))
            return _in(cell, kind, _names_of(layers, name), late, fault)
        case "poor_initialisation":
            if rng.random() < 0.4 or not free:
                std = log_uniform(rng, 1e-5, 0.01) if rng.random() < 0.6 else log_uniform(rng, 0.5, 3.0)
                worse = replace(cell, problem=replace(problem, initialisation=SmallNormal(std)))
                return _in(worse, kind, WHOLE, 0)
            layer = _any(rng, free)
            factor = log_uniform(rng, 10, 1000) if rng.random() < 0.6 else log_uniform(rng, 1e-5, 0.05)
            return _in(cell, kind, layer.names, 0, Scale(0, _main(layer), factor))
        case "vanishing" | "exploding":
            return _of_signals(rng, run, kind, _any(rng, free), late)
        case "saturation":
            layer = _any(rng, _outside(_bounded(layers)))
            if rng.random() < 0.5 and not isinstance(layer.place.layer, SimpleRNN) and _bias(cell, layer):
                by = log_uniform(rng, 5, 60) * (1 if rng.random() < 0.5 else -1)
                return _in(cell, kind, layer.names, late, Shift(late, _bias(cell, layer), by))
            return _in(cell, kind, layer.names, late, Scale(late, _main(layer), log_uniform(rng, 10, 300)))
        case "dead_units":
            layer = _any(rng, _outside(_of_relu(layers)))
            at = 0 if rng.random() < 0.3 else late
            count = int(np.ceil(_units(layer) * rng.uniform(0.7, 1.0)))
            return _in(cell, kind, layer.names, at, Shift(at, _bias(cell, layer), -log_uniform(rng, 3, 50), count))
        case "identical_units":
            if rng.random() < 0.5 or not _stay_tied(cell, layers):
                return _in(replace(cell, problem=replace(problem, initialisation=Zeros())), kind, _all(layers), 0)
            return _tied(rng, cell, layers, late)
        case "step_too_large" | "step_too_small":
            factor = log_uniform(rng, 4, 300) if kind == "step_too_large" else log_uniform(rng, 1e-4, 0.2)
            if rng.random() < 0.5:
                return _in(cell, kind, WHOLE, late, Rate(late, factor))
            return _in(_faster(cell, factor), kind, WHOLE, 0)
        case "frozen":
            return _in(_faster(cell, log_uniform(rng, 1e-8, 1e-6)), kind, WHOLE, 0)
        case "clip_always_binds":
            return _in(_with(cell, clip=GlobalNorm(log_uniform(rng, 1e-3, 0.2))), kind, WHOLE, 0)
        case "penalty_dominates":
            penalty = L2(log_uniform(rng, 0.03, 1.0)) if rng.random() < 0.5 else L1(log_uniform(rng, 0.01, 0.5))
            return _in(_with(cell, penalty=penalty), kind, WHOLE, 0)
        case "over_fitting":
            most = int(rng.integers(24, 80))
            small = replace(problem, data=replace(problem.data, training=most))
            batch = cell.budget.batch if isinstance(cell.budget.batch, int) else 32
            budget = replace(cell.budget, batch=min(batch, most))
            return _in(replace(cell, problem=small, budget=budget), kind, WHOLE, None)
        case _:
            raise AssertionError(f"{kind} is not planted")


def hidden(cell: Cell) -> tuple[Hidden, ...]:
    """The layers with weights before the last one, but look-ups, and what is inside residuals too."""
    problem = cell.problem
    assert isinstance(problem, Network)
    task = tasks.make(problem)
    every = [place for place in places(problem.model, task.inputs)]
    found = []
    for i, place in enumerate(every):
        weights = tuple(n for n in task.parameters if n.rpartition(".")[0] == place.name and is_weight(n))
        if not weights or isinstance(place.layer, Residual | Embedding):
            continue
        behind = [one for one in every[i + 1 : i + 3] if not isinstance(one.layer, BatchNorm | LayerNorm)]
        active = behind[0] if behind and isinstance(behind[0].layer, ACTIVATIONS) else None
        if isinstance(place.layer, SimpleRNN):
            active = place
        found.append(Hidden(place, weights, active))
    return tuple(found[:-1])


def _of_signals(rng: Draw, run: Healthy, kind: Kind, layer: Hidden, late: int) -> Planted:
    """Vanishing or exploding: by activation or recurrent start for the whole run, or one layer's weights on the way."""
    cell, problem = run.cell, run.cell.problem
    assert isinstance(problem, Network)
    recurrent = [one for one in hidden(cell) if isinstance(one.place.layer, SimpleRNN)]
    if recurrent and rng.random() < 0.6:
        start = (
            SmallNormal(log_uniform(rng, 0.003, 0.1))
            if kind == "vanishing"
            else Orthogonal(float(rng.uniform(1.3, 2.5)))
        )
        return _in(replace(cell, problem=replace(problem, recurrent_initialisation=start)), kind, _all(recurrent), 0)
    normalised = any(isinstance(one, BatchNorm | LayerNorm) for one in problem.model)
    if (
        kind == "vanishing"
        and run.family in ("mlp", "cnn")
        and run.depth >= 4
        and not normalised
        and rng.random() < 0.5
    ):
        sigmoids = tuple(Sigmoid() if isinstance(one, ACTIVATIONS) else one for one in problem.model)
        if not any(isinstance(one, Residual) for one in sigmoids):
            return _in(replace(cell, problem=replace(problem, model=sigmoids)), kind, _all(hidden(cell), sigmoids), 0)
    factor = log_uniform(rng, 1e-4, 0.05) if kind == "vanishing" else log_uniform(rng, 6, 300)
    name = _main(layer)
    if kind == "exploding" and layer in _bounded((layer,)):
        return _in(cell, "saturation", layer.names, late, Scale(late, name, factor))
    return _in(cell, kind, layer.names, late, Scale(late, name, factor))


def _stay_tied(cell: Cell, layers: tuple[Hidden, ...]) -> bool:
    """Whether copies stay copies: momenta of their own, or masks, would tell them apart at the next step."""
    problem = cell.problem
    assert isinstance(problem, Network)
    masked = any(isinstance(layer, Dropout) for layer in problem.model)
    return len(layers) > 1 and isinstance(cell.recipe.optimizer, SGD) and not masked


def _outside(layers: list[Hidden]) -> list[Hidden]:
    """Those that are in no residual, where there are such: a branch that is lost costs little."""
    return [layer for layer in layers if "." not in layer.place.name] or layers


def _tied(rng: Draw, cell: Cell, layers: tuple[Hidden, ...], late: int) -> Planted:
    """All units of a dense layer made copies, and all that they feed."""
    pairs = [
        (one, other)
        for one, other in zip(layers, layers[1:], strict=False)
        if isinstance(one.place.layer, Dense | Conv2D) and type(one.place.layer) is type(other.place.layer)
    ]
    one, other = pairs[int(rng.integers(len(pairs)))] if pairs else (layers[-2], layers[-1])
    faults = [Tie(late, _main(one)), Tie(late, _main(other), along="inputs")]
    if bias := _bias(cell, one):
        faults.append(Tie(late, bias))
    return _in(cell, "identical_units", one.names, late, *faults)


def _in(cell: Cell, kind: Kind, layers: frozenset[str], step: int | None, *faults: Fault) -> Planted:
    return Planted(cell, faults, Label(kind, layers, step))


def _with(cell: Cell, **pieces: object) -> Cell:
    return replace(cell, recipe=replace(cell.recipe, **pieces))  # type: ignore[arg-type]


def _faster(cell: Cell, factor: float) -> Cell:
    optimizer = cell.recipe.optimizer
    return _with(cell, optimizer=replace(optimizer, lr=optimizer.lr * factor))


def _any(rng: Draw, layers: tuple[Hidden, ...] | list[Hidden]) -> Hidden:
    return layers[int(rng.integers(len(layers)))]


def _all(layers: tuple[Hidden, ...] | list[Hidden], model: tuple[Layer, ...] = ()) -> frozenset[str]:
    """All layers' names; of another ``model`` with as many layers, the activations' too."""
    names = frozenset[str]().union(*(layer.names for layer in layers))
    count = sum(isinstance(layer, Sigmoid) for layer in model)
    return names | {f"sigmoid{i + 1}" for i in range(count)}


def _names_of(layers: tuple[Hidden, ...], parameter: str) -> frozenset[str]:
    return next(layer.names for layer in layers if parameter in layer.weights) | {parameter}


def _main(layer: Hidden) -> str:
    return layer.weights[0]


def _bias(cell: Cell, layer: Hidden) -> str:
    name = f"{layer.place.name}.bias"
    return name if name in tasks.make(cell.problem).parameters else ""


def _numbers(cell: Cell, parameter: str) -> int:
    return int(np.prod(tasks.make(cell.problem).shapes[parameter]))


def _units(layer: Hidden) -> int:
    kind = layer.place.layer
    return kind.filters if isinstance(kind, Conv2D) else kind.units if isinstance(kind, Dense) else 1


def _normalised(cell: Cell, layer: Hidden) -> bool:
    """Whether a normalisation stands right behind it, so that the scale of its weights does not matter."""
    problem = cell.problem
    assert isinstance(problem, Network)
    every = list(places(problem.model, tasks.make(problem).inputs))
    at = next(i for i, place in enumerate(every) if place.name == layer.place.name)
    return at + 1 < len(every) and isinstance(every[at + 1].layer, BatchNorm | LayerNorm)


def _bounded(layers: tuple[Hidden, ...]) -> list[Hidden]:
    """Those before a tanh or sigmoid, and recurrent ones with a tanh inside."""
    return [
        layer
        for layer in layers
        if layer.behind
        and (
            isinstance(layer.behind.layer, Tanh | Sigmoid)
            or (isinstance(layer.behind.layer, SimpleRNN) and layer.behind.layer.activation == "tanh")
        )
    ]


def _of_relu(layers: tuple[Hidden, ...]) -> list[Hidden]:
    """Dense and convolutional layers with a bias before a ReLU, without a normalisation between."""
    return [
        layer
        for layer in layers
        if layer.behind
        and isinstance(layer.behind.layer, Relu)
        and isinstance(layer.place.layer, Dense | Conv2D)
        and layer.place.layer.bias
    ]
