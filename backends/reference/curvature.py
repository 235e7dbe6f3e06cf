"""The Hessian times a vector: the formulas of the gradient, on dual numbers."""

from backends.reference import functions, layers, losses, penalties
from backends.reference.dual import Dual, tangent_of
from backends.reference.layers import Pass
from harness.backend import Floats, Parameters
from harness.problems.data import Part
from harness.problems.task import Task
from harness.spec.problem import Network
from harness.spec.recipe import Penalty


def product(penalty: Penalty, task: Task, w: Parameters, vector: Parameters, batch: Part, at: Pass) -> Parameters:
    """Hv at w of loss + penalty on a batch: the tangent of ∇(loss + penalty) at w + εv."""
    dual: dict[str, Floats] = {name: Dual(values, vector[name]) for name, values in w.items()}
    gradients = _of_loss(task, dual, batch, at)
    of_penalty = penalties.gradient(penalty, dual, task.samples)
    return {name: tangent_of(gradients[name]) + tangent_of(of_penalty.get(name, 0.0)) for name in w}


def _of_loss(task: Task, w: Parameters, batch: Part, at: Pass) -> Parameters:
    problem = task.problem
    if not isinstance(problem, Network):
        return functions.split(functions.gradient(problem, task, functions.joined(w), batch.x), w)
    constant = Dual(batch.x, tangent_of(batch.x))
    outputs, inputs = layers.propagate(problem.model, w, constant, at)
    delta = losses.gradient(problem.loss, outputs, batch.y)
    return layers.backpropagate(problem.model, w, inputs, delta, at)[1]
