"""What is differentiated: the problem's mean loss, bound to the parameters and to buffers for one batch size."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from backends.numpy import functions, layers, losses
from backends.numpy.flat import Array, Flat
from backends.numpy.layers import Pair, Tape
from harness.problems.task import Task
from harness.spec.problem import Network


class Objective(NamedTuple):
    """The loss on the batch that lies in the buffers x and y, as tapes."""

    x: Array
    y: Array
    outputs: Array
    forward: Tape
    value: Callable[[], float]
    backward: Tape

    def loss(self) -> float:
        """The loss; an analytic function writes its gradient too."""
        for operation in self.forward:
            operation()
        return self.value()

    def differentiate(self) -> None:
        """After ``loss``, its gradient with respect to the parameters."""
        for operation in self.backward:
            operation()


def bind(task: Task, w: Flat, g: Flat, x: Array, y: Array) -> Objective:
    """The objective at the parameters w, with its gradient in g."""
    problem = task.problem
    if not isinstance(problem, Network):
        return Objective(x, y, x, [], functions.bind(problem, task, Pair(w.vector, g.vector), x), [])
    parameters = {name: Pair(w.views[name], g.views[name]) for name in w.views}
    network, outputs = layers.build(problem.model, Pair(x, np.empty_like(x)), parameters)
    loss = losses.bind(problem.loss, outputs, y)
    return Objective(x, y, outputs.value, network.forward + loss.forward, loss.value, loss.backward + network.backward)
