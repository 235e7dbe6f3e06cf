"""One phase of the training step by itself, for timing.

Whatever a phase computes is given back: of a traced function, an op that neither an output nor a variable depends on is
pruned. What a layer assigns (running moments, random seeds) it assigns here as it does in a step.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

import tensorflow as tf

from backends.tensorflow import modes
from backends.tensorflow.modes import Body
from backends.tensorflow.update import Update
from harness.backend import Phase


class Step(Protocol):
    """What a trainer lends."""

    penalty: Callable[[], tf.Tensor] | None
    update: Update

    @property
    def weights(self) -> list[tf.Variable]:
        """The parameters, in the order of their gradients."""
        ...

    def objective(self, indices: tf.Tensor, drawn: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, tf.Tensor]:
        """Loss and penalty on a batch, in training mode."""
        ...

    def differentiate(
        self, indices: tf.Tensor, drawn: tuple[tf.Tensor, ...]
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """Loss, penalty, and the gradient of their sum."""
        ...


class Phases:
    """The phases of one trainer's step, each traced once for each size of a batch."""

    def __init__(self, step: Step, mode: str) -> None:
        self.step, self.mode = step, mode
        self.functions: dict[Phase, Body] = {}

    def phase(self, name: Phase, *takes: tf.Tensor) -> Body:
        """The phase as a function of such tensors: indices and masks; nothing of ``penalty``; or gradients."""
        if name not in self.functions:
            self.functions[name] = modes.run(self._body(name), self.mode)
        return modes.concrete(self.functions[name], *(tf.TensorSpec(one.shape, one.dtype) for one in takes))

    def _body(self, name: Phase) -> Body:
        step = self.step
        match name:
            case "forward":
                return lambda indices, *drawn: sum(step.objective(indices, drawn))
            case "gradient":
                return lambda indices, *drawn: step.differentiate(indices, drawn)
            case "penalty":
                return lambda: _penalty(step.penalty, step.weights)
            case "clip":
                return lambda *gradients: step.update.clipped(list(gradients))
            case "update":
                return lambda *gradients: step.update.unclipped(list(gradients))
            case "step":
                raise ValueError("a whole step is train's")


def _penalty(penalty: Callable[[], tf.Tensor] | None, weights: Iterable[tf.Variable]) -> list[tf.Tensor]:
    """The penalty's value, and its gradients of those that it touches."""
    assert penalty is not None, "a job asks for the phases that its recipe has"
    with tf.GradientTape() as tape:
        value = penalty()
    return [value, *(g for g in tape.gradient(value, list(weights)) if g is not None)]
