"""A problem made concrete: its data, its parameters' shapes, the start and the batch order that all backends share."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness.errors import InvalidInput
from harness.problems.data import Floats, Part, load
from harness.problems.initialise import start
from harness.spec.activations import ACTIVATIONS
from harness.spec.architecture import outputs, parameter_shapes, parameters, places, sequence
from harness.spec.cell import Budget
from harness.spec.layers import (
    GRU,
    LSTM,
    BatchNorm,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    Reshape,
    Shape,
    SimpleRNN,
)
from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, Loss
from harness.spec.problem import Beale, Network, NoisyQuadratic, Problem, Quadratic, RandomGradients, Rosenbrock

_ALONG_THE_LAST_AXIS = (Dense, Dropout, BatchNorm, LayerNorm, *ACTIVATIONS)

# Axes of randomness: changing one leaves the draws of the others alone.
INITIAL, ORDER = 1, 2


@dataclass(frozen=True)
class Task:
    """What a backend needs of a problem. The functions' constants are in ``constants``."""

    problem: Problem
    shapes: Mapping[str, Shape]  # parameter → canonical shape, in order
    parts: Mapping[str, Part]  # "training" always; "validation" and "test" for data
    constants: Mapping[str, Floats]

    @property
    def samples(self) -> int:
        """m, the number of training samples."""
        return len(self.parts["training"].x)

    @property
    def inputs(self) -> Shape:
        """The shape of one sample."""
        return self.parts["training"].x.shape[1:]

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters' names, in order."""
        return tuple(self.shapes)


def make(problem: Problem) -> Task:
    """Load the data and lay out the parameters of a problem."""
    match problem:
        case Network():
            return _network(problem)
        case Rosenbrock() | Beale():
            return Task(problem, {"x": (2,)}, {"training": _nothing()}, {})
        case Quadratic(dimension=n):
            return Task(problem, {"x": (n,)}, {"training": _nothing()}, {"matrix": _matrix(problem)})
        case NoisyQuadratic(dimension=n, samples=samples):
            h = 1 / np.arange(1, n + 1)
            noise = np.random.default_rng(0).standard_normal((samples, n)) / np.sqrt(h)
            part = Part(noise, np.zeros(samples))
            return Task(problem, {"x": (n,)}, {"training": part}, {"curvatures": h})
        case RandomGradients(scale=scale, samples=samples):
            shapes = _shapes(problem)
            numbers = sum(math.prod(shape) for shape in shapes.values())
            gradients = np.random.default_rng(0).standard_normal((samples, numbers)) * scale
            return Task(problem, shapes, {"training": Part(gradients, np.zeros(samples))}, {})


def _shapes(problem: RandomGradients) -> dict[str, Shape]:
    if problem.parameters is None:
        return {"weight": (6, 4), "bias": (5,)}
    each = problem.parameters // problem.tensors
    rows = next(rows for rows in range(math.isqrt(each), 0, -1) if each % rows == 0)
    return {f"weight{i}": (rows, each // rows) for i in range(problem.tensors)}


def initial(task: Task, seed: int) -> dict[str, Floats]:
    """The parameters at step 0, drawn in float64 from the seed, each tensor from its own stream."""
    problem = task.problem
    match problem:
        case Rosenbrock(start=point) | Beale(start=point):
            return {"x": np.array(point)}
        case Quadratic() | NoisyQuadratic():
            return {"x": np.ones(task.shapes["x"])}
        case Network(initialisation=initialisation, recurrent_initialisation=recurrent):
            return {
                name: start(
                    parameter,
                    recurrent if parameter.start == "recurrent" else initialisation,
                    np.random.default_rng([seed, INITIAL, position]),
                )
                for position, (name, parameter) in enumerate(parameters(problem.model, task.inputs).items())
            }
        case RandomGradients(scale=scale):
            return {
                name: scale * np.random.default_rng([seed, INITIAL, position]).standard_normal(shape)
                for position, (name, shape) in enumerate(task.shapes.items())
            }


def steps_per_epoch(samples: int, budget: Budget) -> int:
    """Full batches in one epoch."""
    return samples // batch_size(samples, budget)


def total_steps(samples: int, budget: Budget) -> int:
    """The number of updates that a budget pays for."""
    return budget.steps or (budget.epochs or 0) * steps_per_epoch(samples, budget)


def batch_size(samples: int, budget: Budget) -> int:
    """Samples a batch; refuses a batch larger than the training part."""
    batch = samples if budget.batch == "full" else budget.batch
    if batch > samples:
        raise InvalidInput(f"budget.batch = {batch}: the problem has only {samples} training samples")
    return batch


def order(samples: int, budget: Budget, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """Which training samples each step sees: shape (steps, batch), a new permutation each epoch."""
    batch, per_epoch, steps = (
        batch_size(samples, budget),
        steps_per_epoch(samples, budget),
        total_steps(samples, budget),
    )
    rng = np.random.default_rng([seed, ORDER])
    epochs = [
        rng.permutation(samples)[: per_epoch * batch].reshape(per_epoch, batch) for _ in range(-(-steps // per_epoch))
    ]
    return np.concatenate(epochs)[:steps].astype(np.int32)


def _network(problem: Network) -> Task:
    parts = load(problem.data)
    if "training" not in parts:
        raise InvalidInput(f"data {problem.data.name}: no training samples are left")
    inputs: Shape = parts["training"].x.shape[1:]
    shapes, made = parameter_shapes(problem.model, inputs), outputs(problem.model, inputs)
    if problem.data.is_file:
        parts = {name: Part(part.x, _as_the_loss_takes(problem.loss, part.y, made)) for name, part in parts.items()}
    _check_tokens(problem, np.concatenate([part.x for part in parts.values()]))
    _check_targets(problem, inputs, np.concatenate([part.y for part in parts.values()]))
    if isinstance(problem.loss, CrossEntropy) and problem.loss.targets == "one_hot":
        parts = {name: Part(part.x, _one_hot(part.y, made[-1])) for name, part in parts.items()}
    return Task(problem, shapes, parts, {})


def _as_the_loss_takes(loss: Loss, y: np.ndarray, made: Shape) -> np.ndarray:
    """A file's targets: whole numbers as labels where they fit, two classes as 0 and 1; others as they are."""
    if isinstance(loss, CrossEntropy) and y.dtype.kind == "f" and np.array_equal(y, np.round(y)):
        if y.shape[1:] == (1,) and len(made) == 1:
            return y[:, 0].astype(np.int64)
        if y.shape[1:] == made[:-1]:
            return y.astype(np.int64)
    if isinstance(loss, BinaryCrossEntropy) and y.ndim == 1:
        return y[:, None].astype(np.float64)
    return y


def _check_tokens(problem: Network, x: np.ndarray) -> None:
    """Embeddings look up inputs, so they come first, and every input is a row of them."""
    untouched = True
    for place in places(problem.model, x.shape[1:]):
        if isinstance(place.layer, Embedding):
            if not untouched:
                raise InvalidInput(f"{place} looks up the inputs: only flatten and reshape may stand before it")
            most = place.layer.vocabulary - 1
            if not (np.array_equal(x, np.round(x)) and x.min() >= 0 and x.max() <= most):
                raise InvalidInput(
                    f"{place} needs whole numbers from 0 to {most}; data {problem.data.name} with scaling "
                    f"{problem.data.scaling} goes from {x.min():g} to {x.max():g}"
                )
        untouched = untouched and isinstance(place.layer, Flatten | Reshape)


def _check_targets(problem: Network, inputs: Shape, targets: np.ndarray) -> None:
    made = outputs(problem.model, inputs)
    labels = np.issubdtype(targets.dtype, np.integer)
    loss = problem.loss
    if isinstance(loss, CrossEntropy) and (labels or loss.targets == "labels"):
        if not labels or made[:-1] != targets.shape[1:] or targets.min() < 0 or made[-1] <= targets.max():
            have = f"labels from {targets.min()} to {targets.max()}" if labels else "targets that are no labels"
            have += f" of shape {targets.shape[1:]}" if targets.ndim > 1 else ""
            raise InvalidInput(
                f"cross_entropy needs labels from 0 and an output for each; got {have}, outputs {made}"
                + _hint(problem, inputs, targets.shape[1:])
            )
    elif labels:
        raise InvalidInput(f"{loss.spelling()} needs numbers as targets; these are class labels: use cross_entropy")
    elif made != targets.shape[1:]:
        raise InvalidInput(
            f"{loss.spelling()} needs targets of the outputs' shape {made}; got {targets.shape[1:]}"
            + _hint(problem, inputs, targets.shape[1:-1])
        )
    elif isinstance(loss, CrossEntropy) and not (targets.min() >= 0 and np.allclose(targets.sum(axis=-1), 1)):
        raise InvalidInput("cross_entropy with one_hot targets needs distributions: numbers from 0 that sum to 1")
    elif isinstance(loss, BinaryCrossEntropy) and not np.isin(targets, (0.0, 1.0)).all():
        raise InvalidInput("binary_cross_entropy needs targets 0 or 1")


def _hint(problem: Network, inputs: Shape, wanted: Shape) -> str:
    """What to change where the outputs have more or fewer axes than the targets: ``wanted``, and one for each's own."""
    layers = list(sequence(problem.model, inputs))
    made = [*(place.inputs for place in layers[1:]), outputs(problem.model, inputs)]
    axes = len(made[-1]) - 1 - len(wanted)
    if axes > 0:
        kept = [p for p in layers if isinstance(p.layer, SimpleRNN | LSTM | GRU) and p.layer.sequences]
        cure = f", or sequences = false in {kept[-1]}" if kept else ""
        rest = list(itertools.takewhile(lambda place: isinstance(place.layer, _ALONG_THE_LAST_AXIS), reversed(layers)))
        dense = [place for place in rest if isinstance(place.layer, Dense)]
        where = f"before {dense[-1]}" if dense else f"behind {layers[-1]}"
        return f": is a flatten layer missing {where}{cure}?"
    if axes < 0:
        lost = [place for place, shape in zip(layers, made, strict=True) if len(shape) < len(place.inputs)]
        cure = " keep the places apart, as an embedding and recurrent layers with sequences = true do"
        if lost:
            recurrent = isinstance(lost[-1].layer, SimpleRNN | LSTM | GRU)
            cure = f" {lost[-1]} makes one of them" + (": give it sequences = true" if recurrent else "")
        return f": there is a target at each of the {' × '.join(map(str, wanted))} places, and{cure}"
    return ""


def _one_hot(y: np.ndarray, classes: int) -> np.ndarray:
    """Labels as distributions; distributions as they are."""
    return np.eye(classes)[y] if np.issubdtype(y.dtype, np.integer) else y


def _nothing() -> Part:
    """The training part of a function without data: one sample that is never looked at."""
    return Part(np.zeros((1, 1)), np.zeros(1))


def _matrix(problem: Quadratic) -> Floats:
    eigenvalues = np.geomspace(1, problem.condition, problem.dimension)
    if not problem.rotated:
        return np.diag(eigenvalues)
    q, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((problem.dimension, problem.dimension)))
    matrix = (q * eigenvalues) @ q.T
    return np.asarray((matrix + matrix.T) / 2)  # symmetric to the last bit, so that its gradient is Ax
