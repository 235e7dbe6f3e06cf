"""One phase of the training step by itself, for timing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


def phase(step: Step, name: Phase) -> Callable[[Tensor], object]:
    """What is done for each row; "clip" and "update" work on the gradients that the parameters hold."""
    match name:
        case "forward":
            return step.objective
        case "gradient":
            return lambda row: _gradient(step, step.objective(row))
        case "penalty":
            penalty = step.penalty
            assert penalty is not None, "a job asks for the phases that its recipe has"
            return lambda row: _gradient(step, penalty())
        case "clip":
            clip = step.update.clip
            assert clip is not None, "a job asks for the phases that its recipe has"
            return lambda row: clip()
        case "update":
            return lambda row: step.update.apply()
        case "step":
            raise ValueError("a whole step is train's")


@contextmanager
def holding(weights: list[nn.Parameter], gradients: tuple[Tensor, ...]) -> Iterator[None]:
    """The parameters, for the while, with these gradients; training would add to what they are left with."""
    for w, g in zip(weights, gradients, strict=False):
        w.grad = g
    yield
    for w in weights:
        w.grad = None


def _gradient(step: Step, total: Tensor) -> None:
    torch.autograd.backward(total)
    for w in step.weights:
        w.grad = None
