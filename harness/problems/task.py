"""A problem made concrete: its data, its parameters' shapes, the start and the batch order that all backends share."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness.errors import InvalidInput
from harness.problems.data import Floats, Part, load
from harness.problems.initialise import draw
from harness.spec.cell import Budget
from harness.spec.layers import Shape, output_shape, parameter_shapes
from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, Loss
from harness.spec.problem import Beale, Network, NoisyQuadratic, Problem, Quadratic, RandomGradients, Rosenbrock

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
            gradients = np.random.default_rng(0).standard_normal((samples, 29)) * scale
            shapes: dict[str, Shape] = {"weight": (6, 4), "bias": (5,)}
            return Task(problem, shapes, {"training": Part(gradients, np.zeros(samples))}, {})


def initial(task: Task, seed: int) -> dict[str, Floats]:
    """The parameters at step 0, drawn in float64 from the seed, each tensor from its own stream."""
    problem = task.problem
    match problem:
        case Rosenbrock(start=start) | Beale(start=start):
            return {"x": np.array(start)}
        case Quadratic() | NoisyQuadratic():
            return {"x": np.ones(task.shapes["x"])}
        case Network(initialisation=initialisation):
            return {
                name: np.zeros(shape)
                if name.endswith(".bias")
                else draw(initialisation, shape, np.random.default_rng([seed, INITIAL, position]))
                for position, (name, shape) in enumerate(task.shapes.items())
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
    if problem.data.is_file:
        parts = {name: Part(part.x, _as_the_loss_takes(problem.loss, part.y)) for name, part in parts.items()}
    if "training" not in parts:
        raise InvalidInput(f"data {problem.data.name}: no training samples are left")
    inputs: Shape = parts["training"].x.shape[1:]
    shapes = parameter_shapes(problem.model, inputs)
    for layer in problem.model:
        inputs = output_shape(layer, inputs)
    _check_outputs(problem, inputs, np.concatenate([part.y for part in parts.values()]))
    return Task(problem, shapes, parts, {})


def _as_the_loss_takes(loss: Loss, y: np.ndarray) -> np.ndarray:
    """A file's targets: one column of whole numbers as labels, two classes as 0 and 1; others as they are."""
    if isinstance(loss, CrossEntropy) and y.ndim == 2 and y.shape[1] == 1 and np.array_equal(y, np.round(y)):
        return y[:, 0].astype(np.int64)
    if isinstance(loss, BinaryCrossEntropy) and y.ndim == 1:
        return y[:, None].astype(np.float64)
    return y


def _check_outputs(problem: Network, outputs: Shape, targets: np.ndarray) -> None:
    labels = np.issubdtype(targets.dtype, np.integer)
    if isinstance(problem.loss, CrossEntropy):
        if not labels or len(outputs) != 1 or targets.min() < 0 or outputs[0] <= targets.max():
            have = f"labels from {targets.min()} to {targets.max()}" if labels else "targets that are no labels"
            raise InvalidInput(
                f"cross_entropy needs labels from 0 and an output for each; got {have}, outputs {outputs}"
            )
    elif labels or outputs != targets.shape[1:]:
        raise InvalidInput(f"{problem.loss.spelling()} needs targets of the outputs' shape {outputs}")
    elif isinstance(problem.loss, BinaryCrossEntropy) and not np.isin(targets, (0.0, 1.0)).all():
        raise InvalidInput("binary_cross_entropy needs targets 0 or 1")


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
