"""What torch's trainer does beyond the contract: layouts, rescaling, evaluation at the mean."""

import numpy as np
import pytest
import torch

from backends.reference import update as reference
from backends.torch import optimizers
from backends.torch.update import Update
from harness.spec.activations import Tanh
from harness.spec.cell import Budget, Cell
from harness.spec.layers import Dense
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import (
    LAMB,
    LBFGS,
    OPTIMIZERS,
    Adafactor,
    Adam,
    Momentum,
    Muon,
    RMSProp,
    Rprop,
    ScheduleFree,
)
from harness.spec.problem import DataSet, Network, Quadratic, RandomGradients
from harness.spec.recipe import Adaptive, Coupled, Decoupled, Recipe
from harness.spec.schedules import Constant, Cosine, Exponential, OneCycle, Plateau, WarmUp

NETWORK = Network(DataSet("iris"), (Dense(9), Tanh(), Dense(3)), CrossEntropy())
SHORT, LONG = Budget(steps=6, batch=16), Budget(steps=20, batch=1)

LAYOUTS = [
    Recipe(Muon()),
    Recipe(Muon(scale="rms", buffer="mean"), Adaptive(0.1)),
    Recipe(Momentum(0.1), Adaptive(0.01)),
    Recipe(Adafactor(), decay=Decoupled(0.1)),
    Recipe(Adafactor(eps1=0.0), Adaptive(0.01)),
    Recipe(LAMB(), decay=Decoupled(0.1)),
    Recipe(ScheduleFree(), decay=Decoupled(0.1, scaled_by="schedule")),
    Recipe(LBFGS(first="l2"), decay=Coupled(0.1)),
]


@pytest.mark.parametrize("recipe", LAYOUTS)
def test_formulas_hold_in_the_canonical_layout(run, recipe):
    """``nn.Linear`` keeps its weights the other way round."""
    mine = run(NETWORK, recipe, SHORT)
    assert mine.distance(run(NETWORK, recipe, SHORT, on="reference")) <= 1e-12


def test_lbfgs_goes_on_after_a_gradient_of_zero(make):
    """Where torch by its tolerances stays, it takes no pair."""
    recipe, gradients = Recipe(LBFGS()), np.array([[3.0, 4.0], [1.0, 2.0], [0.0, 0.0], [1e-9, 0.0], [0.5, 0.25]])
    cell = Cell(Quadratic(), recipe, SHORT, "torch")
    assert optimizers.origin(cell).how == "native"
    mine = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
    update, theirs = Update(cell, {"x": mine}, len(gradients)), {"x": np.zeros(2)}
    states = reference.initial(recipe, theirs)
    for t, g in enumerate(gradients, start=1):
        mine.grad = torch.tensor(g)
        update()
        theirs, states = reference.update(recipe, theirs, {"x": g}, states, 1.0, t)
        np.testing.assert_allclose(mine.detach(), theirs["x"], rtol=1e-12)


def rescaled(make, recipe, **words):
    """How far a run moves whose rate is cut after seven steps and again after fourteen, and where it ends."""
    # L-BFGS has no curvature to learn from gradients that know nothing of w.
    problem = Quadratic() if isinstance(recipe.optimizer, LBFGS) else RandomGradients()
    trainer, start, order = make(problem, recipe, LONG, **words)
    for rows, factor in zip(np.split(order, [7, 14]), (1.0, 0.5, 0.25), strict=True):
        trainer.rescale(factor)
        trainer.train(rows)
    return start, trainer.parameters()


RATES_INSIDE = [
    Recipe(Momentum(0.1, rate="inside")),
    Recipe(RMSProp(0.1, momentum=0.9, rate="inside", eps_placement="outside")),
    Recipe(Adam(0.1), decay=Decoupled(0.1)),
    Recipe(Adam(0.1), decay=Decoupled(0.1, scaled_by="schedule")),
    Recipe(Rprop(), schedule=Plateau()),
]
ZOO = [
    Recipe(kind(), schedule=schedule)
    for kind in OPTIMIZERS
    for schedule in (Constant(), Exponential(0.5, 7), Plateau())
]


@pytest.mark.parametrize("recipe", RATES_INSIDE + ZOO)
def test_rescale(make, recipe):
    (start, mine), (_, theirs) = rescaled(make, recipe), rescaled(make, recipe, on="reference")
    for name, w in theirs.items():
        assert np.abs(mine[name] - w).max() <= 1e-12 * np.abs(w - start[name]).max()


@pytest.mark.parametrize("schedule", [Constant(), Cosine(floor=0.1), WarmUp(4, 0.1, Cosine()), OneCycle()])
def test_rescale_beside_a_scheduler_of_torch(make, schedule):
    recipe = Recipe(Momentum(0.1), decay=Decoupled(0.1), schedule=schedule)
    (start, mine), (_, theirs) = (
        rescaled(make, recipe, implementation="shipped"),
        rescaled(make, recipe, on="reference"),
    )
    for name, w in theirs.items():
        assert np.abs(mine[name] - w).max() <= 1e-12 * np.abs(w - start[name]).max()


@pytest.mark.parametrize("implementation", ["exact", "shipped"])
def test_a_reset_forgets_the_scale(make, implementation):
    trainer, start, order = make(RandomGradients(), Recipe(Momentum(0.1)), LONG, implementation=implementation)
    trainer.train(order)
    expected = trainer.parameters()
    trainer.rescale(0.5)
    trainer.reset(start)
    trainer.train(order)
    assert all(np.array_equal(w, expected[name]) for name, w in trainer.parameters().items())


@pytest.mark.parametrize("implementation", ["exact", "shipped"])
def test_a_schedule_free_optimizer_is_evaluated_at_its_mean(make, implementation):
    recipe = Recipe(ScheduleFree(0.1))
    mine, _, order = make(NETWORK, recipe, SHORT, implementation=implementation)
    theirs, _, _ = make(NETWORK, recipe, SHORT, on="reference")
    for rows in (order[:0], order[:3], order[3:]):
        mine.train(rows)
        theirs.train(rows)
        before = mine.parameters()
        for part in ("training", "test"):
            assert mine.evaluate(part).loss == pytest.approx(theirs.evaluate(part).loss, rel=1e-12)
            assert mine.evaluate(part).metric == theirs.evaluate(part).metric
        assert all(np.array_equal(w, before[name]) for name, w in mine.parameters().items())
    at_w, _, _ = make(NETWORK, Recipe(Momentum()), SHORT)
    at_w.reset(mine.parameters())
    assert at_w.evaluate("training").loss != pytest.approx(mine.evaluate("training").loss, rel=1e-3)
