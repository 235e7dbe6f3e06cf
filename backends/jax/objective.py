"""What is minimised, as functions of the parameters."""

from typing import Any

import jax
from jax import Array

from backends.jax import functions, layers, losses, penalties
from backends.jax.layers import Arrays, Pass
from backends.jax.normalisation import Moments
from harness.problems.task import Task
from harness.spec.cell import Cell
from harness.spec.problem import Network

# For what is called a few times in a run: compiled in a quarter of the time.
SOON: dict[str, str | bool] = {"xla_backend_optimization_level": "0", "xla_cpu_use_fusion_emitters": False}


Running = dict[str, Moments]  # every batch norm's, by the layer's name
Seen = tuple[dict[str, Array], Running]


class Objective:
    """Loss, penalty and metric of a problem as functions of the parameters; stateless, so that trainers share it."""

    def __init__(self, cell: Cell, task: Task) -> None:
        self.problem, self.constants, self.names = task.problem, task.constants, task.parameters
        self.exact = cell.implementation == "exact"
        self.penalty = penalties.penalty(cell.recipe.penalty, task.samples)
        options = SOON if self.exact else None
        self.gradient = jax.jit(self._gradient, compiler_options=options)
        self.curvature = jax.jit(self._curvature, compiler_options=options)
        self.evaluation = jax.jit(self._evaluation, compiler_options=options)

    def penalised(self, parameters: Arrays, x: Array, y: Array, at: Pass) -> tuple[Array, Seen]:
        """Loss + penalty; both apart, and the running moments after it."""
        outputs, running = self._outputs(parameters, x, at)
        loss = self._loss(outputs, y)
        if self.penalty is None:
            return loss, ({"loss": loss}, running)
        penalty = self.penalty(parameters)
        return loss + penalty, ({"loss": loss, "penalty": penalty}, running)

    def _outputs(self, parameters: Arrays, x: Array, at: Pass) -> tuple[Array, Running]:
        if isinstance(self.problem, Network):
            return layers.apply(self.problem.model, parameters, x, at)
        ordered = {name: parameters[name] for name in self.names}  # what went through jax.tree comes back sorted
        return functions.value(self.problem, ordered, x, self.constants), {}

    def _loss(self, outputs: Array, y: Array) -> Array:
        return losses.loss(self.problem.loss, outputs, y, self.exact) if isinstance(self.problem, Network) else outputs

    def _gradient(
        self, parameters: dict[str, Array], x: Array, y: Array, batch: Array, moving: tuple[Running, Any]
    ) -> dict[str, Array]:
        at = Pass(self.exact, True, *moving)
        gradient, _ = jax.grad(self.penalised, has_aux=True)(parameters, x[batch], y[batch], at)
        return dict(gradient)

    def _curvature(self, parameters: dict[str, Array], along: dict[str, Array], *given: Any) -> dict[str, Array]:
        """Hv: forward through the gradient."""
        product: dict[str, Array] = jax.jvp(lambda w: self._gradient(w, *given), (parameters,), (along,))[1]
        return product

    def _evaluation(self, parameters: Arrays, running: Running, x: Array, y: Array) -> tuple[Array, Any]:
        outputs, _ = self._outputs(parameters, x, Pass(self.exact, False, running))
        metric = losses.metric(self.problem.loss, outputs, y) if isinstance(self.problem, Network) else None
        return self._loss(outputs, y), metric


_OBJECTIVES: dict[object, Objective] = {}  # what is compiled for one recipe serves the next
_MOST = 8


def objective(cell: Cell, task: Task) -> Objective:
    """The problem's objective, compiled once for all recipes with the same penalty."""
    which = (cell.problem, cell.recipe.penalty, cell.implementation)
    if which not in _OBJECTIVES:
        if len(_OBJECTIVES) == _MOST:
            _OBJECTIVES.clear()
        _OBJECTIVES[which] = Objective(cell, task)
    return _OBJECTIVES[which]


def coming(key: Any) -> tuple[Any, Any]:
    """The key of the coming step, and what those after it are drawn from; None of None."""
    return (None, None) if key is None else tuple(jax.random.split(key))
