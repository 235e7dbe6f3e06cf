"""The training loop, as a textbook writes it."""

from collections.abc import Callable

import numpy as np

from backends.reference import functions, layers, losses, penalties, schedules
from backends.reference.clips import norm
from backends.reference.layers import Pass
from backends.reference.normalisation import Moments
from backends.reference.update import States, evaluated_at, initial, update
from harness.backend import Evaluation, Floats, Integers, Parameters, Phase, Steps
from harness.errors import Unsupported
from harness.problems.data import Part
from harness.problems.masks import masks
from harness.problems.task import Task
from harness.spec.cell import Cell
from harness.spec.problem import Network


class ReferenceTrainer:
    """One training run. Overflow is let through, to show as ∞ or NaN in what the run returns."""

    def __init__(self, cell: Cell, task: Task, start: Parameters, steps: int, observe: bool) -> None:
        self.recipe, self.task, self.observe = cell.recipe, task, observe
        self.factor = schedules.factor(cell.recipe.schedule, steps)
        self.reset(start)

    def reset(self, start: Parameters) -> None:
        self.w = {name: np.array(start[name], dtype=np.float64) for name in self.task.parameters}
        self.states: States = initial(self.recipe, self.w)
        self.running: dict[str, Moments] = {}
        self.t, self.scale = 0, 1.0

    def rescale(self, factor: float) -> None:
        self.scale = factor

    @np.errstate(all="ignore")
    def train(self, order: Integers) -> Steps:
        seen, penalised, norms = np.empty(len(order)), np.empty(len(order)), np.empty((len(order), len(self.w)))
        for i, row in enumerate(order):
            seen[i], g, running = self._loss_and_gradient(row)
            penalised[i] = penalties.value(self.recipe.penalty, self.w, self.task.samples)
            norms[i] = [norm(g[name]) for name in self.w]
            self.t += 1
            factor = self.scale * self.factor(self.t - 1)
            self.w, self.states = update(self.recipe, self.w, g, self.states, factor, self.t)
            self.running = running
        return Steps(seen, penalised, norms if self.observe else None)

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
        return self._loss_and_gradient(indices)[1]

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

    def _loss_and_gradient(self, row: Integers) -> tuple[float, dict[str, Floats], dict[str, Moments]]:
        """The loss on one batch, ∇(loss + penalty), and what the batch norms' running moments become."""
        x, y = self.task.parts["training"]
        loss, g, running = self._of_loss(Part(x[row], y[row]))
        of_penalty = penalties.gradient(self.recipe.penalty, self.w, self.task.samples)
        return loss, {name: g[name] + of_penalty.get(name, 0.0) for name in self.w}, running

    def _of_loss(self, batch: Part) -> tuple[float, dict[str, Floats], dict[str, Moments]]:
        problem, (x, y) = self.task.problem, batch
        if not isinstance(problem, Network):
            w = functions.joined(self.w)
            gradient = functions.gradient(problem, self.task, w, x)
            return functions.value(problem, self.task, w, x), functions.split(gradient, self.w), {}
        at = Pass(masks=masks(problem.model, self.task.inputs, self.t, len(x)), running=self.running)
        outputs, inputs = layers.propagate(problem.model, self.w, x, at)
        delta = losses.gradient(problem.loss, outputs, y)
        _, gradients = layers.backpropagate(problem.model, self.w, inputs, delta, at)
        running = layers.averaged(problem.model, inputs, at)
        return losses.value(problem.loss, outputs, y), gradients, running
