"""The training loop, as a textbook writes it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from backends.reference import clips, curvature, functions, layers, losses, observation, penalties, schedules
from backends.reference.clips import norm
from backends.reference.layers import Inputs, Pass
from backends.reference.normalisation import Moments
from backends.reference.update import States, evaluated_at, initial, update
from harness.backend import Evaluation, Floats, Integers, Parameters, Phase, Steps
from harness.errors import Unsupported
from harness.observation import Layout, Marks, Observed, among
from harness.problems.data import Part
from harness.problems.masks import masks
from harness.problems.task import Task
from harness.spec.cell import Cell
from harness.spec.job import Level
from harness.spec.problem import Network


class Step(NamedTuple):
    """What one batch makes of the present parameters."""

    loss: float
    gradients: dict[str, Floats]
    running: dict[str, Moments]  # what the batch norms' running moments become
    inputs: Inputs  # of every layer
    at: Pass  # how the batch went through them


class ReferenceTrainer:
    """One training run. Overflow is let through, to show as ∞ or NaN in what the run returns."""

    def __init__(self, cell: Cell, task: Task, start: Parameters, steps: int, observe: bool) -> None:
        self.recipe, self.task, self.observing = cell.recipe, task, observe
        self.factor = schedules.factor(cell.recipe.schedule, steps)
        self.reset(start)

    def place(self, parameters: Parameters) -> None:
        self.w = {name: np.array(parameters[name], dtype=np.float64) for name in self.task.parameters}

    def reset(self, start: Parameters) -> None:
        self.place(start)
        self.states: States = initial(self.recipe, self.w)
        self.running: dict[str, Moments] = {}
        self.last: Parameters = {}  # the gradient of the step observed last
        self.t, self.scale = 0, 1.0

    def rescale(self, factor: float) -> None:
        self.scale = factor

    @np.errstate(all="ignore")
    def train(self, order: Integers) -> Steps:
        seen, penalised, norms = np.empty(len(order)), np.empty(len(order)), np.empty((len(order), len(self.w)))
        for i, row in enumerate(order):
            step = self._loss_and_gradient(row)
            seen[i], penalised[i] = step.loss, penalties.value(self.recipe.penalty, self.w, self.task.samples)
            norms[i] = [norm(g) for g in step.gradients.values()]
            self._update(step)
        return Steps(seen, penalised, norms if self.observing else None)

    @np.errstate(all="ignore")
    def observe(self, order: Integers, level: Level, which: Marks | None = None) -> Observed:
        layout, which = Layout(self.task, level), np.ones(len(order), dtype=bool) if which is None else which
        rows, others = [], [self.train(order[:0])]
        for row, marked in zip(order, which, strict=True):
            if marked:
                rows.append(self._observed(row, layout, level))
            else:
                others.append(self.train(row[None]))
        losses, penalised = (np.concatenate([steps[i] for steps in others]) for i in (0, 1))
        seen = layout.read(np.reshape(rows, (len(rows), layout.width)), order.shape[1])
        return among(seen, which, losses, penalised)

    def _observed(self, row: Integers, layout: Layout, level: Level) -> Floats:
        """Make one step; the row of what was seen."""
        step, before = self._loss_and_gradient(row), self.w
        penalised = penalties.value(self.recipe.penalty, before, self.task.samples)
        g, clipped = step.gradients, clips.clip(self.recipe.clip, step.gradients, before)
        self._update(step)
        each = [observation.of_tensor(g[n], clipped[n], before[n], self.w[n], self.last.get(n)) for n in before]
        if level != "minimal":
            self.last = g
        tensors = np.transpose(each)[: len(layout.tensors)].ravel()
        return np.concatenate([[step.loss, penalised], tensors, self._looked(layout, step, before)])

    def _looked(self, layout: Layout, step: Step, w: Parameters) -> Floats:
        """The part of a row that is about layers."""
        problem = self.task.problem
        if not layout.layers or not isinstance(problem, Network):
            return np.zeros(0)
        outputs, signals = layers.outputs(problem.model, w, step.inputs, step.at), step.at.signals or {}
        looked = [observation.of_output(watched, outputs[watched.name]) for watched in layout.layers]
        active = [observation.active(watched, outputs[watched.name]) for watched in layout.layers]
        back = [norm(signals[watched.name]) for watched in layout.layers]
        counted = [observation.histogram(outputs[watched.name]) for watched in layout.layers if layout.bins]
        return np.concatenate([np.transpose(looked).ravel(), back, *active, *counted])

    def _update(self, step: Step) -> None:
        self.t += 1
        factor = self.scale * self.factor(self.t - 1)
        self.w, self.states = update(self.recipe, self.w, step.gradients, self.states, factor, self.t)
        self.running = step.running

    def phase(self, name: Phase, order: Integers) -> Callable[[], None]:
        if name != "step":
            raise Unsupported("the reference is read, not timed: its steps are not taken apart")

        def go() -> None:
            self.train(order)

        return go

    def state_bytes(self) -> int:
        raise Unsupported("the reference is read, not measured")

    @np.errstate(all="ignore")
    def gradients(self, indices: Integers) -> Parameters:
        return self._loss_and_gradient(indices).gradients

    @np.errstate(all="ignore")
    def curvature(self, indices: Integers, vector: Parameters) -> Parameters:
        x, y = self.task.parts["training"]
        batch = Part(x[indices], y[indices])
        return curvature.product(self.recipe.penalty, self.task, self.w, vector, batch, self._pass(len(indices)))

    @np.errstate(all="ignore")
    def evaluate(self, part: str) -> Evaluation:
        x, y = self.task.parts[part]
        problem, w = self.task.problem, evaluated_at(self.recipe, self.w, self.states)
        if not isinstance(problem, Network):
            return Evaluation(functions.value(problem, self.task, functions.joined(w), x), None)
        outputs, _ = layers.propagate(problem.model, w, x, Pass(training=False, running=self.running))
        return Evaluation(losses.value(problem.loss, outputs, y), losses.metric(problem.loss, outputs, y))

    def parameters(self) -> Parameters:
        return {name: w.copy() for name, w in self.w.items()}

    def _loss_and_gradient(self, row: Integers) -> Step:
        """The step on one batch, its gradient that of loss + penalty."""
        x, y = self.task.parts["training"]
        step = self._of_loss(Part(x[row], y[row]))
        of_penalty = penalties.gradient(self.recipe.penalty, self.w, self.task.samples)
        return step._replace(gradients={name: step.gradients[name] + of_penalty.get(name, 0.0) for name in self.w})

    def _of_loss(self, batch: Part) -> Step:
        problem, (x, y) = self.task.problem, batch
        if not isinstance(problem, Network):
            w = functions.joined(self.w)
            gradient = functions.gradient(problem, self.task, w, x)
            return Step(functions.value(problem, self.task, w, x), functions.split(gradient, self.w), {}, {}, Pass())
        model, at = problem.model, self._pass(len(x))
        outputs, inputs = layers.propagate(model, self.w, x, at)
        delta = losses.gradient(problem.loss, outputs, y)
        _, gradients = layers.backpropagate(model, self.w, inputs, delta, at)
        running = layers.averaged(model, inputs, at)
        return Step(losses.value(problem.loss, outputs, y), gradients, running, inputs, at)

    def _pass(self, samples: int) -> Pass:
        """How the coming step's batch goes through a network."""
        problem = self.task.problem
        model = problem.model if isinstance(problem, Network) else ()
        return Pass(masks=masks(model, self.task.inputs, self.t, samples), running=self.running, signals={})
