"""The state that a floor is counted from is what PyTorch really keeps (its own; composed ones may keep more)."""

import pytest

from backends.torch.backend import TorchBackend
from harness.problems import task as tasks
from harness.spec.cell import Budget, Cell
from harness.spec.optimizers import SGD, AdaBelief, AdaGrad, Adam, Adan, Momentum, NAdam, RMSProp, Rprop
from harness.spec.problem import RandomGradients
from harness.spec.recipe import Recipe
from harness.spec.traffic import traffic

PARAMETERS = 10_000
SCALARS = 100  # bytes: counts of steps and products of rates
OPTIMIZERS = [
    *(SGD(), Momentum(), AdaGrad(), RMSProp(eps_placement="outside"), Adam(), Adam(amsgrad="raw")),
    *(NAdam(), AdaBelief(), Adan(), Rprop()),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_the_working_set_is_w_and_g_and_what_is_kept(optimizer):
    problem = RandomGradients(parameters=PARAMETERS, samples=1)
    task = tasks.make(problem)
    cell = Cell(problem, Recipe(optimizer), Budget(steps=2, batch=1), "torch")
    trainer = TorchBackend(1).trainer(cell, task, tasks.initial(task, 0), 2, False)
    trainer.train(tasks.order(task.samples, cell.budget, 0))
    least = traffic(optimizer)
    assert least is not None
    kept = (least.held - 2) * 4 * PARAMETERS
    assert kept <= trainer.state_bytes() <= kept + SCALARS
