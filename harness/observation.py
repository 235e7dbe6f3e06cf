"""What is seen of a training step: its quantities, the row of numbers in which a backend gives them, how it is read.

A backend reduces on its device and gives one row a step, in the order of ``Layout``: loss and penalty; each quantity of
the tensors, for each parameter; each of the outputs, for each layer; the signals; how often each unit was not zero; at
level full each layer's histogram. Numbers of elements are counted there, and become shares here, where a count is
exact.
"""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from harness.problems.task import Task
from harness.spec.activations import SELU, Elu, LeakyRelu, Relu, Selu, Sigmoid, Softplus, Tanh
from harness.spec.architecture import output_shape, parameter_shapes, places
from harness.spec.job import Level
from harness.spec.layers import Layer, Residual, Shape, SimpleRNN
from harness.spec.problem import Network

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Marks = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

# Of each parameter tensor: g = ∇(loss + penalty) before the clip, w before the update, Δw = w after − w before, which
# is what the optimizer, its rate and the decays made of g, as it was rounded into w.
MINIMAL = (
    "gradient_norm",  # ‖g‖
    "clipped_norm",  # ‖g'‖ after the clip
)
STANDARD = (
    *MINIMAL,
    "update_norm",  # ‖Δw‖
    "weight_norm",  # ‖w‖
    "gradient_max",  # largest |g|
    "update_max",
    "weight_max",
    "gradient_zeros",  # share of g that is exactly 0
    # Share of weights that stay as they are though their g is not 0. A weight without a gradient (of a dead unit, of a
    # row of an embedding that no sample looks up) was not asked to move: that it stands says nothing of the precision.
    "frozen",
    "gradient_nonfinite",  # how many of g are NaN or ±∞
    "cosine",  # ⟨g, g of the step observed before⟩ over their norms: NaN at the first, and where one of them is 0
)
TENSORS: Mapping[Level, tuple[str, ...]] = {"minimal": MINIMAL, "standard": STANDARD, "full": STANDARD}
SHARES = ("gradient_zeros", "frozen")

# Of each layer's outputs y, over the batch.
OUTPUTS = (
    "mean",
    "norm",  # ‖y‖
    "zeros",  # share that is exactly 0
    "saturated",  # share where |φ'| is below a hundredth of its largest; NaN of layers of which y does not tell it
    "nonfinite",  # how many are NaN or ±∞
)
SIGNAL = "signal_norm"  # ‖∂loss/∂y‖; NaN of layers before the first with parameters, which no step goes back to

# Edges of the bins in which a layer's outputs are counted at level full: the same for all layers, runs and backends, so
# that histograms can be added and laid side by side, and of any scale. Powers of two are exact in every precision. Bin
# i has EDGES[i − 1] ≤ y < EDGES[i], the first all below −2¹⁶, the last all from 2¹⁶ on; what is exactly 0, and what is
# not finite, are bins of their own behind them.
_POWERS = tuple(2.0**power for power in range(-24, 17))
EDGES = (*(-power for power in reversed(_POWERS)), 0.0, *_POWERS)
BINS = len(EDGES) + 1  # as a backend counts them: with 0, and what is not finite put as 0, in that from 0 on
FROM_ZERO = EDGES.index(0.0) + 1

# The bits of a number (IEEE 754), read as a whole one b, tell its bin without a search. With s = −1 if it is negative,
# else 0, m = (b without its sign) + s, and k = (m >> shift) − offset, cut to 0 … LAST, the bin is FROM_ZERO + (k ^ s):
# k counts powers of two up from 2⁻²⁵, all below being one; a negative number that is a power itself goes with what is
# nearer to 0, hence the + s; and k ^ −1 = −1 − k turns the order round. 0 must be +0.
LAST = len(_POWERS)


class Bits(NamedTuple):
    """How numbers of one kind are read so."""

    whole: str
    size: int
    shift: int  # bits of the mantissa
    offset: int  # the exponent's bias, less 25


BITS = {"float32": Bits("int32", 32, 23, 127 - 25), "float64": Bits("int64", 64, 52, 1023 - 25)}

# What float32 may be trusted with, where it is quicker than float64: counts up to 2²⁴, norms between which its squares
# neither vanish (of 1e8 numbers) nor overflow.
EXACT = 2**24
LEAST, MOST = 1e-12, 1e18

FLAT = 0.01  # share of the largest |φ'| below which an activation counts as saturated


class Observed(NamedTuple):
    """What was seen of some steps, each before its update; first axis: the steps.

    From a trainer that made others between them, loss and penalty are of all (``among``).
    """

    loss: Floats  # (steps,) without the penalty
    penalty: Floats  # (steps,) zeros where the recipe has none
    tensors: Mapping[str, Floats]  # quantity → (steps, parameters)
    layers: Mapping[str, Floats]  # quantity of an output → (steps, layers); empty at level minimal
    active: Mapping[str, Floats]  # layer whose units can die → (steps, units): share of samples (and places) with y ≠ 0
    histograms: Mapping[str, Floats]  # at level full: layer → (steps, BINS + 2), share of its outputs in each bin


def among(seen: Observed, which: Marks, loss: Floats, penalty: Floats) -> Observed:
    """The same with the losses and penalties of all steps, those of the others given, in their order."""
    losses, penalties = np.empty(len(which)), np.empty(len(which))
    losses[which], losses[~which] = seen.loss, loss
    penalties[which], penalties[~which] = seen.penalty, penalty
    return seen._replace(loss=losses, penalty=penalties)


class Watched(NamedTuple):
    """A layer whose outputs are looked at."""

    name: str
    size: int  # numbers in the outputs for one sample
    units: int  # of the last axis, where a unit can die; else 0
    bounds: tuple[float, float] | None  # outputs below the first or above the second are saturated
    signal: bool  # whether a training step comes back to its outputs


class Layout:
    """The row of one step."""

    def __init__(self, task: Task, level: Level) -> None:
        problem = task.problem
        self.parameters = task.parameters
        self.sizes = np.array([math.prod(shape) for shape in task.shapes.values()], dtype=np.float64)
        self.tensors = TENSORS[level]
        looks = level != "minimal" and isinstance(problem, Network)
        self.layers = tuple(watched(problem.model, task.inputs)) if looks and isinstance(problem, Network) else ()
        self.bins = BINS if level == "full" else 0
        self.width = (
            2
            + len(self.tensors) * len(self.parameters)
            + (len(OUTPUTS) + 1 + self.bins) * len(self.layers)
            + sum(layer.units for layer in self.layers)
        )

    def read(self, rows: Floats, batch: int) -> Observed:
        """What rows of so many samples each say; shape (steps, width)."""
        steps, parameters, layers = len(rows), len(self.parameters), len(self.layers)
        units = [layer.units for layer in self.layers]
        counts = [1, 1, len(self.tensors) * parameters, len(OUTPUTS) * layers, layers, *units, self.bins * layers]
        loss, penalty, tensors, outputs, signals, *active, counted = np.split(
            np.asarray(rows, np.float64).reshape(steps, self.width), np.cumsum(counts)[:-1], axis=1
        )
        of_tensors = dict(zip(self.tensors, _planes(tensors, len(self.tensors), parameters), strict=True))
        for name in SHARES:
            if name in of_tensors:
                of_tensors[name] = of_tensors[name] / self.sizes
        return Observed(
            loss[:, 0],
            penalty[:, 0],
            of_tensors,
            self._of_layers(outputs, signals, batch) if layers else {},
            {
                layer.name: counted / (batch * layer.size / layer.units)
                for layer, counted in zip(self.layers, active, strict=True)
                if layer.units
            },
            self._histograms(counted.reshape(steps, layers, self.bins), outputs, batch) if self.bins else {},
        )

    def _histograms(self, counted: Floats, outputs: Floats, batch: int) -> dict[str, Floats]:
        """Shares, with 0 and what is not finite apart."""
        of_outputs = dict(zip(OUTPUTS, _planes(outputs, len(OUTPUTS), len(self.layers)), strict=True))
        apart = np.stack([of_outputs["zeros"], of_outputs["nonfinite"]], axis=2)
        every = np.concatenate([counted, apart], axis=2)
        every[:, :, FROM_ZERO] -= apart.sum(axis=2)
        return {layer.name: every[:, i] / (batch * layer.size) for i, layer in enumerate(self.layers)}

    def _of_layers(self, outputs: Floats, signals: Floats, batch: int) -> dict[str, Floats]:
        found = dict(zip(OUTPUTS, _planes(outputs, len(OUTPUTS), len(self.layers)), strict=True))
        numbers = batch * np.array([layer.size for layer in self.layers], dtype=np.float64)
        found["zeros"] = found["zeros"] / numbers
        told = np.array([layer.bounds is not None for layer in self.layers])
        found["saturated"] = np.where(told, found["saturated"] / numbers, np.nan)
        found[SIGNAL] = np.where([layer.signal for layer in self.layers], signals, np.nan)
        return found


def _planes(flat: Floats, quantities: int, things: int) -> list[Floats]:
    """(steps, quantities · things) as an array (steps, things) for each quantity."""
    return list(np.moveaxis(flat.reshape(len(flat), quantities, things), 1, 0))


def watched(model: tuple[Layer, ...], inputs: Shape) -> Iterator[Watched]:
    """Every layer's outputs, in the order of ``architecture.places``: of recurrent ones the h that they give."""
    named = tuple(parameter_shapes(model, inputs))
    below = False  # whether a layer so far has parameters
    for place in places(model, inputs):
        own = any(name.startswith(f"{place.name}.") for name in named)
        shape = output_shape(place.layer, place.inputs)
        units = shape[-1] if _can_die(place.layer) else 0
        yield Watched(place.name, math.prod(shape), units, saturation(place.layer), below or own)
        below = below or (own and not isinstance(place.layer, Residual))  # those inside come next, in their order


def _can_die(layer: Layer) -> bool:
    """Whether a unit whose y is 0 passes no gradient back."""
    match layer:
        case Relu() | SimpleRNN(activation="relu"):
            return True
        case LeakyRelu(slope=slope):
            return slope == 0
        case _:
            return False


def saturation(layer: Layer) -> tuple[float, float] | None:
    """The outputs between which an activation is not saturated: |φ'| is at least ``FLAT`` times its largest.

    By y, which every backend has: tanh' = 1 − y²; 4σ' = 1 − (2y − 1)²; ELU' = y + α below 0; softplus' = 1 − e⁻ʸ. None
    where it has no such bounds: ReLU's flat side is its zeros, and Swish, GELU and Mish give the same y twice.
    """
    edge = math.sqrt(1 - FLAT)
    match layer:
        case Tanh() | SimpleRNN(activation="tanh"):
            return -edge, edge
        case Sigmoid():
            return (1 - edge) / 2, (1 + edge) / 2
        case Elu(alpha=alpha):
            return min(FLAT * max(1.0, alpha) - alpha, 0.0), math.inf
        case Selu():
            scale, alpha = SELU
            return (FLAT - 1) * scale * alpha, math.inf
        case Softplus():
            return -math.log1p(-FLAT), math.inf
        case _:
            return None
