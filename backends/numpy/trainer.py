"""The training loop, in place on buffers allocated once."""

from collections.abc import Callable

import numpy as np

from backends.numpy import device as devices
from backends.numpy import penalties, phases
from backends.numpy.dropout import Drawn, Masks, Shared
from backends.numpy.flat import Array, Flat
from backends.numpy.normalisation import Moments
from backends.numpy.objective import Binder, Objective
from backends.numpy.observation import Observer
from backends.numpy.observation import norms as measured
from backends.numpy.tape import unchecked
from backends.numpy.update import Update
from backends.reference import curvature
from backends.reference.layers import Pass
from backends.reference.losses import metric
from harness.backend import Evaluation, Integers, Parameters, Phase, Steps
from harness.observation import Marks, Observed, among
from harness.problems.data import Part
from harness.problems.task import Task
from harness.spec.architecture import places
from harness.spec.cell import Cell
from harness.spec.job import Level
from harness.spec.layers import BatchNorm, Dropout
from harness.spec.problem import Network

AT_ONCE = 1024  # samples that a network is evaluated on


class NumpyTrainer:
    """One training run. Overflow is let through, to show as ∞ or NaN in what the run returns."""

    def __init__(self, cell: Cell, task: Task, start: Parameters, steps: int, observe: bool) -> None:
        self.recipe, self.task, self.steps, self.observing = cell.recipe, task, steps, observe
        self.device = devices.find(cell.device)
        self.dtype, like = np.dtype(cell.precision), self.device.like
        self.w, self.g = Flat(task.shapes, self.dtype, like), Flat(task.shapes, self.dtype, like)
        self.parts = {name: self._part(part) for name, part in task.parts.items()}
        self.objectives: dict[tuple[int, bool], Objective] = {}
        self.observers: dict[tuple[int, Level], Observer] = {}
        self.masks: Masks | None = None
        self.running: dict[str, Moments] = {}
        if isinstance(task.problem, Network):
            self._find_layers_with_state(task.problem, cell.implementation)
        self.binder = Binder(task, self.w, self.g, self.running)
        self.unchecked = unchecked(self.w.vector)
        self.penalty = penalties.penalty(cell.recipe.penalty, self.w, self.g, task.samples)
        self.reset(start)

    def _part(self, part: Part) -> Part:
        labels = np.issubdtype(part.y.dtype, np.integer)
        return Part(
            self._there(part.x.astype(self.dtype)), self._there(part.y.astype(np.intp if labels else self.dtype))
        )

    def _there(self, array: Array) -> Array:
        """An array of the host's where this run's arrays are."""
        return np.asarray(array, like=self.device.like)

    def _find_layers_with_state(self, network: Network, implementation: str) -> None:
        found = list(places(network.model, self.task.inputs))
        if any(isinstance(place.layer, Dropout) for place in found):
            kind = Shared if implementation == "exact" else Drawn
            self.masks = kind(network.model, self.task.inputs, self.device)
        for place in found:
            if isinstance(place.layer, BatchNorm):
                self.running[place.name] = Moments(*np.empty((2, place.inputs[-1]), self.dtype, like=self.device.like))

    def place(self, parameters: Parameters) -> None:
        for name, view in self.w.views.items():
            self.device.write(view, parameters[name])

    def reset(self, start: Parameters) -> None:
        self.place(start)
        for mean, variance in self.running.values():
            mean.fill(0)
            variance.fill(1)
        if self.masks is not None:
            self.masks.reset()
        self.update = Update(self.recipe, self.w, self.g, self.steps)
        self.last: tuple[Flat, Array] | None = None  # the gradient of the step observed last, and its tensors' norms
        self.device.fence()

    def rescale(self, factor: float) -> None:
        self.update.scale = factor

    @np.errstate(all="ignore")
    def train(self, order: Integers) -> Steps:
        steps, batch = order.shape
        shapes = ((steps,), (steps,), (steps, len(self.w.views)))
        seen, penalised, norms = (np.zeros(shape, like=self.device.like) for shape in shapes)
        on, penalty, update = self.objective(batch), self.penalty, self.update
        for i, row in enumerate(self._there(order.astype(np.intp))):
            self.load(on, row)
            seen[i] = on.loss()
            on.differentiate()
            if penalty is not None:
                penalised[i] = penalty()
            if self.observing:
                measured(self.g.pieces, norms[i])
            update()
            if on.average:
                on.remember()
        fetch = self.device.fetch  # also the fence
        return Steps(fetch(seen), fetch(penalised), fetch(norms) if self.observing else None)

    @np.errstate(all="ignore")
    def observe(self, order: Integers, level: Level, which: Marks | None = None) -> Observed:
        batch, which = order.shape[1], np.ones(len(order), dtype=bool) if which is None else which
        if (batch, level) not in self.observers:
            self.observers[batch, level] = Observer(self, batch, level)
        observer = self.observers[batch, level]
        rows = np.zeros((int(which.sum()), observer.layout.width), like=self.device.like)
        others, begin = [self.train(order[:0])], 0
        for i, at in enumerate(np.flatnonzero(which).tolist()):
            others.append(self.train(order[begin:at]))
            rows[i] = observer.step(self._there(order[at].astype(np.intp)))
            begin = at + 1
        others.append(self.train(order[begin:]))
        losses, penalised = (np.concatenate([steps[i] for steps in others]) for i in (0, 1))
        return among(observer.layout.read(self.device.fetch(rows), batch), which, losses, penalised)

    def phase(self, name: Phase, order: Integers) -> Callable[[], None]:
        if name == "step":
            return lambda: _nothing(self.train(order))
        rows = self._there(order.astype(np.intp))
        with np.errstate(all="ignore"):
            each = phases.phase(self, name, rows[0])

        @np.errstate(all="ignore")
        def go() -> None:
            for row in rows:
                each(row)
            self.device.fence()

        self.device.fence()  # what is held is not the phase's
        return go

    def state_bytes(self) -> int:
        return self.update.state_bytes()

    @np.errstate(all="ignore")
    def gradients(self, indices: Integers) -> Parameters:
        on = self.objective(len(indices))
        self._take(on, self._there(indices.astype(np.intp)))
        if self.masks is not None:
            self.masks.peek(on.masks, self.update.t)
        on.loss()
        on.differentiate()
        if self.penalty is not None:
            self.penalty()
        return self._copied(self.g)

    @np.errstate(all="ignore")
    def curvature(self, indices: Integers, vector: Parameters) -> Parameters:
        """Hv on the host, by the reference's formulas: nothing here is ever differentiated twice."""
        drawn = {}
        if self.masks is not None:
            on = self.objective(len(indices))
            self.masks.peek(on.masks, self.update.t)
            drawn = {name: self.device.fetch(mask).astype(np.float64) for name, mask in on.masks.items()}
        x, y = self.task.parts["training"]
        batch = Part(self._as_here(x[indices]), self._as_here(y[indices]))
        at, along = (
            {name: self._as_here(values) for name, values in each.items()} for each in (self.parameters(), vector)
        )
        return curvature.product(self.recipe.penalty, self.task, at, along, batch, Pass(masks=drawn))

    def _as_here(self, values: Array) -> Array:
        """In the precision of this run, if they have one."""
        return values.astype(self.dtype) if np.issubdtype(values.dtype, np.floating) else values

    @np.errstate(all="ignore")
    def evaluate(self, part: str) -> Evaluation:
        w = self.w.vector.copy()
        self.w.vector[...] = self.update.evaluated_at()
        evaluation = self._evaluate(self.parts[part])
        self.w.vector[...] = w
        self.device.fence()
        return evaluation

    def _evaluate(self, part: Part) -> Evaluation:
        """At the present w. Networks some samples at a time, so that buffers stay small."""
        (x, y), problem = part, self.task.problem
        if not isinstance(problem, Network):
            return Evaluation(float(self._inferred(x, y).loss()), None)
        loss, outputs = 0.0, []
        for first in range(0, len(x), AT_ONCE):
            on = self._inferred(x[first : first + AT_ONCE], y[first : first + AT_ONCE])
            loss += on.loss() * (len(on.x) / len(x) if problem.loss.reduction == "mean" else 1)
            outputs.append(on.outputs.copy())
        fetch = self.device.fetch
        return Evaluation(float(loss), metric(problem.loss, fetch(np.concatenate(outputs)), fetch(y)))

    def _inferred(self, x: Array, y: Array) -> Objective:
        """The objective in inference, with these samples in its buffers."""
        on = self.objective(len(x), training=False)
        on.x[...], on.y[...] = x, y
        return on

    def parameters(self) -> Parameters:
        return self._copied(self.w)

    def _copied(self, tensors: Flat) -> Parameters:
        return {name: self.device.fetch(view).astype(np.float64) for name, view in tensors.views.items()}

    def objective(self, batch: int, training: bool = True) -> Objective:
        """The problem bound to buffers for that many samples, made once; apart for inference where that differs."""
        training = training or not (self.masks or self.running)
        if (batch, training) not in self.objectives:
            x, y = (np.empty((batch, *a.shape[1:]), a.dtype, like=a) for a in self.parts["training"])
            self.objectives[batch, training] = self.binder.bind(x, y, training)
        return self.objectives[batch, training]

    def load(self, on: Objective, row: Array) -> None:
        """The coming step's samples and masks into the buffers."""
        self._take(on, row)
        if self.masks is not None:
            self.masks.write(on.masks, self.update.t)

    def _take(self, on: Objective, row: Array) -> None:
        x, y = self.parts["training"]
        x.take(row, 0, on.x, *self.unchecked)
        y.take(row, 0, on.y, *self.unchecked)


def _nothing(_: object) -> None:
    """What a phase gives: its work is its result."""
