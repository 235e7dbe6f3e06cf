"""Analytic functions as modules: parameters in, the mean value over the batch out."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from backends.torch import layers
from harness.problems.task import Task
from harness.spec.problem import Beale, Function, NoisyQuadratic, Quadratic, RandomGradients, Rosenbrock

CONSTANTS = {"beale": [1.5, 2.25, 2.625]}


class Value(nn.Module):
    """f(parameters; batch) of an analytic problem; the parameters start at zero and are loaded."""

    def __init__(self, function: Function, task: Task) -> None:
        super().__init__()
        self.function = function
        for name, c in {**task.constants, **CONSTANTS}.items():  # buffers, which go where the module goes
            values = torch.as_tensor(c, dtype=torch.get_default_dtype())
            self.register_buffer(name, values, persistent=False)
        for name, shape in task.shapes.items():
            self.register_parameter(name, nn.Parameter(layers.from_canonical(name, torch.zeros(shape)).contiguous()))

    def forward(self, batch: Tensor) -> Tensor:
        """The value, a scalar."""
        if isinstance(self.function, RandomGradients):
            flat = [layers.to_canonical(name, w).flatten() for name, w in self.named_parameters()]
            return (batch @ torch.cat(flat)).mean()
        return value(self.function, self.get_parameter("x"), batch, self.get_buffer)


def value(function: Function, x: Tensor, batch: Tensor, constant: Callable[[str], Tensor]) -> Tensor:
    """f(x; batch) of a function of one vector."""
    match function:
        case Rosenbrock(a=a, b=b):
            return (a - x[0]).square() + b * (x[1] - x[0].square()).square()
        case Beale():
            powers = torch.stack([x[1], x[1] ** 2, x[1] ** 3])
            return (constant("beale") - x[0] * (1 - powers)).square().sum()
        case Quadratic():
            return 0.5 * torch.dot(x, constant("matrix") @ x)
        case NoisyQuadratic():
            return 0.5 * (constant("curvatures") * (x - batch).square()).sum(dim=1).mean()
        case RandomGradients():
            raise TypeError("random_gradients has tensors of its own")
