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
    """Forward, then ``value`` gives the loss, then backward writes the gradient of the parameters."""

    x: Array
    y: Array
    outputs: Array
    forward: Tape
    value: Callable[[], float]
    backward: Tape


def bind(task: Task, w: Flat, g: Flat, x: Array, y: Array) -> Objective:
    """The objective on the batch that lies in the buffers x and y."""
    problem = task.problem
    if not isinstance(problem, Network):
        return Objective(x, y, x, [], functions.bind(problem, task, Pair(w.vector, g.vector), x), [])
    parameters = {name: Pair(w.views[name], g.views[name]) for name in w.views}
    network, outputs = layers.build(problem.model, Pair(x, np.empty_like(x)), parameters)
    loss = losses.bind(problem.loss, outputs, y)
    return Objective(
        x, y, outputs.value, network.forward + loss.forward, loss.value, loss.backward + network.backward
    )
