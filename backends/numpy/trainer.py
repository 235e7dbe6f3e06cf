"""The training loop, in place on buffers allocated once."""

from collections.abc import Callable

import numpy as np

from backends.numpy import penalties, phases
from backends.numpy.dropout import Drawn, Masks, Shared
from backends.numpy.flat import Array, Flat
from backends.numpy.normalisation import Moments
from backends.numpy.objective import Binder, Objective
from backends.numpy.update import Update
from backends.reference.losses import metric
from harness.backend import Evaluation, Floats, Integers, Parameters, Phase, Steps
from harness.problems.data import Part
from harness.problems.task import Task
from harness.spec.architecture import places
from harness.spec.cell import Cell
from harness.spec.layers import BatchNorm, Dropout
from harness.spec.problem import Network

AT_ONCE = 1024  # samples that a network is evaluated on


class NumpyTrainer:
    """One training run. Overflow is let through, to show as ∞ or NaN in what the run returns."""

    def __init__(self, cell: Cell, task: Task, start: Parameters, steps: int, observe: bool) -> None:
        self.recipe, self.task, self.steps, self.observe = cell.recipe, task, steps, observe
        self.dtype = np.dtype(cell.precision)
        self.w, self.g = Flat(task.shapes, self.dtype), Flat(task.shapes, self.dtype)
        self.parts = {name: self._part(part) for name, part in task.parts.items()}
        self.objectives: dict[tuple[int, bool], Objective] = {}
        self.masks: Masks | None = None
        self.running: dict[str, Moments] = {}
        if isinstance(task.problem, Network):
            self._find_layers_with_state(task.problem, cell.implementation)
        self.binder = Binder(task, self.w, self.g, self.running)
        self.penalty = penalties.penalty(cell.recipe.penalty, self.w, self.g, task.samples)
        self.reset(start)

    def _part(self, part: Part) -> Part:
        labels = np.issubdtype(part.y.dtype, np.integer)
        return Part(part.x.astype(self.dtype), part.y.astype(np.intp if labels else self.dtype))

    def _find_layers_with_state(self, network: Network, implementation: str) -> None:
        found = list(places(network.model, self.task.inputs))
        if any(isinstance(place.layer, Dropout) for place in found):
            kind = Shared if implementation == "exact" else Drawn
            self.masks = kind(network.model, self.task.inputs)
        for place in found:
            if isinstance(place.layer, BatchNorm):
                self.running[place.name] = Moments(*np.empty((2, place.inputs[-1]), self.dtype))

    def reset(self, start: Parameters) -> None:
        for name, view in self.w.views.items():
            view[...] = start[name]
        for mean, variance in self.running.values():
            mean.fill(0)
            variance.fill(1)
        if self.masks is not None:
            self.masks.reset()
        self.update = Update(self.recipe, self.w, self.g, self.steps)

    def rescale(self, factor: float) -> None:
        self.update.scale = factor

    @np.errstate(all="ignore")
    def train(self, order: Integers) -> Steps:
        steps, batch = order.shape
        seen, penalised, norms = np.zeros(steps), np.zeros(steps), np.zeros((steps, len(self.w.views)))
        on, penalty, update = self.objective(batch), self.penalty, self.update
        for i, row in enumerate(order.astype(np.intp)):
            self.load(on, row)
            seen[i] = on.loss()
            on.differentiate()
            if penalty is not None:
                penalised[i] = penalty()
            if self.observe:
                norms[i] = self._norms()
            update()
            if on.average:
                on.remember()
        return Steps(seen, penalised, norms if self.observe else None)

    def phase(self, name: Phase, order: Integers) -> Callable[[], None]:
        if name == "step":
            return lambda: _nothing(self.train(order))
        rows = order.astype(np.intp)
        with np.errstate(all="ignore"):
            each = phases.phase(self, name, rows[0])

        @np.errstate(all="ignore")
        def go() -> None:
            for row in rows:
                each(row)

        return go

    def state_bytes(self) -> int:
        return self.update.state_bytes()

    @np.errstate(all="ignore")
    def gradients(self, indices: Integers) -> Parameters:
        on = self.objective(len(indices))
        self._take(on, indices.astype(np.intp))
        if self.masks is not None:
            self.masks.peek(on.masks, self.update.t)
        on.loss()
        on.differentiate()
        if self.penalty is not None:
            self.penalty()
        return _copied(self.g)

    @np.errstate(all="ignore")
    def evaluate(self, part: str) -> Evaluation:
        w = self.w.vector.copy()
        self.w.vector[...] = self.update.evaluated_at()
        evaluation = self._evaluate(self.parts[part])
        self.w.vector[...] = w
        return evaluation

    def _evaluate(self, part: Part) -> Evaluation:
        """At the present w. Networks some samples at a time, so that buffers stay small."""
        (x, y), problem = part, self.task.problem
        if not isinstance(problem, Network):
            return Evaluation(self._inferred(x, y).loss(), None)
        loss, outputs = 0.0, []
        for first in range(0, len(x), AT_ONCE):
            on = self._inferred(x[first : first + AT_ONCE], y[first : first + AT_ONCE])
            loss += on.loss() * (len(on.x) / len(x) if problem.loss.reduction == "mean" else 1)
            outputs.append(on.outputs.copy())
        return Evaluation(loss, metric(problem.loss, np.concatenate(outputs), y))

    def _inferred(self, x: Array, y: Array) -> Objective:
        """The objective in inference, with these samples in its buffers."""
        on = self.objective(len(x), training=False)
        on.x[...], on.y[...] = x, y
        return on

    def parameters(self) -> Parameters:
        return _copied(self.w)

    def objective(self, batch: int, training: bool = True) -> Objective:
        """The problem bound to buffers for that many samples, made once; apart for inference where that differs."""
        training = training or not (self.masks or self.running)
        if (batch, training) not in self.objectives:
            x, y = (np.empty((batch, *a.shape[1:]), a.dtype) for a in self.parts["training"])
            self.objectives[batch, training] = self.binder.bind(x, y, training)
        return self.objectives[batch, training]

    def load(self, on: Objective, row: Array) -> None:
        """The coming step's samples and masks into the buffers."""
        self._take(on, row)
        if self.masks is not None:
            self.masks.write(on.masks, self.update.t)

    def _take(self, on: Objective, row: Array) -> None:
        x, y = self.parts["training"]
        x.take(row, 0, on.x, "clip")  # with "raise", take goes through a copy
        y.take(row, 0, on.y, "clip")

    def _norms(self) -> Floats:
        """‖g‖ of each tensor, summed in float64, in which the square of a small float32 is not 0."""
        square = self.g.vector.astype(np.float64)
        np.multiply(square, square, out=square)
        return np.sqrt(np.add.reduceat(square, self.g.starts))


def _nothing(_: object) -> None:
    """What a phase gives: its work is its result."""


def _copied(tensors: Flat) -> Parameters:
    return {name: view.astype(np.float64) for name, view in tensors.views.items()}
