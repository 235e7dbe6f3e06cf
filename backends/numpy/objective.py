"""What is differentiated: the problem's mean loss, bound to the parameters and to buffers for one batch size."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from backends.numpy import functions, layers, losses
from backends.numpy.flat import Array, Flat
from backends.numpy.layers import Setting
from backends.numpy.normalisation import Moments
from backends.numpy.tape import Mark, Pair, Tape, Tapes
from harness.problems.task import Task
from harness.spec.problem import Network


class Objective(NamedTuple):
    """The loss on the batch that lies in the buffers x and y, as tapes; in training, with the masks in ``masks``.

    ``marked`` are the same two with the layers' marks in them.
    """

    x: Array
    y: Array
    outputs: Array
    forward: Tape
    value: Callable[[], float]
    backward: Tape
    masks: Mapping[str, Array]
    average: Tape
    marked: Tapes

    def loss(self) -> float:
        """The loss, on a GPU an array without axes; an analytic function writes its gradient too."""
        for operation in self.forward:
            operation()
        return self.value()

    def differentiate(self) -> None:
        """After ``loss``, its gradient with respect to the parameters."""
        for operation in self.backward:
            operation()

    def remember(self) -> None:
        """After ``loss``, have the running moments follow the batch's."""
        for operation in self.average:
            operation()


class Binder(NamedTuple):
    """What every objective of a run is bound to: the parameters w, their gradient g, the batch norms' moments."""

    task: Task
    w: Flat
    g: Flat
    running: Mapping[str, Moments]

    def bind(self, x: Array, y: Array, training: bool) -> Objective:
        """The objective on those buffers; not in training dropouts pass on and batch norms take the running moments."""
        problem, w, g = self.task.problem, self.w, self.g
        if not isinstance(problem, Network):
            value = functions.bind(problem, self.task, Pair(w.vector, g.vector), x)
            return Objective(x, y, x, [], value, [], {}, [], Tapes([], []))
        parameters = {name: Pair(w.views[name], g.views[name]) for name in w.views}
        at = Setting(parameters, self.running, training, {}, [])
        network, outputs = layers.build(problem.model, Pair(x, np.empty_like(x)), at)
        loss = losses.bind(problem.loss, outputs, y)
        marked = Tapes(network.forward + loss.forward, loss.backward + network.backward)
        forward, backward = ([one for one in tape if not isinstance(one, Mark)] for tape in marked)
        return Objective(x, y, outputs.value, forward, loss.value, backward, at.masks, at.average, marked)
