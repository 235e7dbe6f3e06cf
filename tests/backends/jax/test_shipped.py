"""Same words: what optax ships computes the formula that the plan says it does."""

import pytest

from harness.spec.cell import Budget
from harness.spec.layers import Dense, LeakyRelu
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import SGD, AdaGrad, Adam, Momentum, RMSProp
from harness.spec.problem import DataSet, Network, RandomGradients
from harness.spec.recipe import Coupled, Decoupled, PerTensor, Recipe
from harness.spec.schedules import Cosine, Exponential, Step, WarmUp

BUDGET = Budget(steps=20, batch=1)
SINGLE = 1e-6  # optax's schedules are in float32

# The words, and the formula that optax computes for them.
FORMULAS = [
    (Momentum(0.1, rate="inside", nesterov=True), Momentum(0.1, nesterov=True)),
    (Momentum(0.1, dampening=0.5), Momentum(0.1)),
    (Momentum(0.1, dampening=0.9, first="damped", rate="inside"), Momentum(0.1, dampening=0.9, first="damped")),
    (AdaGrad(0.1, eps_placement="outside"), AdaGrad(0.1)),
    (RMSProp(0.1, centred=True, momentum=0.9), RMSProp(0.1, centred=True, momentum=0.9, rate="inside")),
    (Adam(0.1, eps_placement="hat"), Adam(0.1)),
    (Adam(0.1, amsgrad="raw", eps_placement="inside"), Adam(0.1, amsgrad="corrected", eps_placement="inside")),
]


@pytest.mark.parametrize(("words", "formula"), FORMULAS)
def test_optimizers(run, words, formula):
    problem, schedule = RandomGradients(scale=1e-4), Exponential(0.5, 7)
    shipped = run(problem, Recipe(words, schedule=schedule), BUDGET, implementation="shipped")
    assert shipped.distance(run(problem, Recipe(formula, schedule=schedule), BUDGET, on="reference")) <= SINGLE
    assert shipped.distance(run(problem, Recipe(words, schedule=schedule), BUDGET, on="reference")) > 100 * SINGLE


@pytest.mark.parametrize("schedule", [Step(5, 0.5), Cosine(floor=0.1), WarmUp(5, 0.1), WarmUp(4, 0.0, Cosine())])
def test_schedules(run, schedule):
    problem, recipe = RandomGradients(), Recipe(SGD(0.1), schedule=schedule)
    shipped = run(problem, recipe, BUDGET, implementation="shipped")
    assert shipped.distance(run(problem, recipe, BUDGET, on="reference")) <= SINGLE


# Among them optax.adamw, which brings its own decay.
DECAYS = [
    (Adam(0.01), Decoupled(0.1)),
    (Adam(0.01), Decoupled(0.1, scaled_by="schedule", on="all")),
    (Adam(0.01, amsgrad="corrected"), Decoupled(0.1, on=("bias",))),
    (Momentum(0.1), Coupled(0.1)),
]


@pytest.mark.parametrize(("optimizer", "decay"), DECAYS)
def test_decays_keep_their_order(run, optimizer, decay):
    problem, recipe = RandomGradients(), Recipe(optimizer, PerTensor(0.7), decay=decay, schedule=Step(5, 0.5))
    shipped = run(problem, recipe, BUDGET, implementation="shipped")
    assert shipped.distance(run(problem, recipe, BUDGET, on="reference")) <= SINGLE


def test_layers(run):
    problem = Network(DataSet("wine"), (Dense(8), LeakyRelu(0.1), Dense(3)), CrossEntropy())
    shipped = run(problem, Recipe(SGD(0.1)), BUDGET, implementation="shipped")
    assert shipped.distance(run(problem, Recipe(SGD(0.1)), BUDGET, on="reference")) <= 1e-12
