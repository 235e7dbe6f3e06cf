"""One phase of the training step by itself, for timing."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from backends.torch.update import Update
from harness.backend import Phase


class Step(Protocol):
    """What a trainer lends."""

    weights: list[nn.Parameter]
    penalty: Callable[[], Tensor] | None
    update: Update

    def objective(self, row: Tensor) -> Tensor:
        """Loss + penalty on a batch."""
        ...


def phase(step: Step, name: Phase, first: Tensor) -> Callable[[Tensor], object]:
    """What is done for each row; ``first`` is the batch whose gradients are held where gradients are needed."""
    match name:
        case "forward":
            return step.objective
        case "gradient":
            return lambda row: _gradient(step, step.objective(row))
        case "penalty":
            penalty = step.penalty
            assert penalty is not None, "measure.speed asks for the phases that a recipe has"
            return lambda row: _gradient(step, penalty())
        case "clip":
            _hold(step, first)
            clip = step.update.clip
            assert clip is not None, "measure.speed asks for the phases that a recipe has"
            return lambda row: clip()
        case "update":
            _hold(step, first)
            return lambda row: step.update.apply()
        case "step":
            raise ValueError("a whole step is train's")


def _gradient(step: Step, total: Tensor) -> None:
    torch.autograd.backward(total)
    for w in step.weights:
        w.grad = None


def _hold(step: Step, row: Tensor) -> None:
    for w in step.weights:
        w.grad = None
    torch.autograd.backward(step.objective(row))
