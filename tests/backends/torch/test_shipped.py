"""Same words: what torch ships computes the formula that the plan says it does."""

import numpy as np
import pytest

from harness.spec.cell import Budget
from harness.spec.optimizers import SGD, AdaGrad, Adam, Momentum, RMSProp
from harness.spec.problem import RandomGradients
from harness.spec.recipe import ByValue, Coupled, Decoupled, GlobalNorm, PerTensor, Recipe
from harness.spec.schedules import Constant, Cosine, Exponential, Step, WarmUp

BUDGET = Budget(steps=20, batch=1)

# The words, and the formula that torch computes for them.
FORMULAS = [
    (Momentum(0.1, rate="inside", nesterov=True), Momentum(0.1, nesterov=True)),
    (Momentum(0.1, dampening=0.5, rate="inside"), Momentum(0.1, dampening=0.5)),
    (AdaGrad(0.1), AdaGrad(0.1, eps_placement="outside")),
    (RMSProp(0.1, momentum=0.9, rate="inside"), RMSProp(0.1, momentum=0.9, eps_placement="outside")),
    (Adam(0.1, eps_placement="hat"), Adam(0.1)),
    (Adam(0.1, amsgrad="corrected", eps_placement="inside"), Adam(0.1, amsgrad="raw")),
]


@pytest.mark.parametrize(("words", "formula"), FORMULAS)
def test_optimizers(run, words, formula):
    problem, schedule = RandomGradients(scale=1e-4), Exponential(0.5, 7)
    shipped = run(problem, Recipe(words, schedule=schedule), BUDGET, implementation="shipped")
    assert shipped.distance(run(problem, Recipe(formula, schedule=schedule), BUDGET, on="reference")) <= 1e-12
    assert shipped.distance(run(problem, Recipe(words, schedule=schedule), BUDGET, on="reference")) > 1e-6


@pytest.mark.parametrize("optimizer", [Momentum(0.1, dampening=0.9, first="damped"), RMSProp(bias_correction=True)])
def test_what_torch_has_no_word_for_is_the_formula(run, optimizer):
    shipped = run(RandomGradients(), Recipe(optimizer), BUDGET, implementation="shipped")
    assert shipped.distance(run(RandomGradients(), Recipe(optimizer), BUDGET, on="reference")) <= 1e-12


SCHEDULES = [
    Constant(),
    Step(5, 0.5),
    Cosine(floor=0.1),
    WarmUp(5, 0.1),
    WarmUp(4, 0.0, Cosine()),
    WarmUp(4, 0.0, Step(4)),
]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules(run, schedule):
    problem, recipe = RandomGradients(), Recipe(SGD(0.1), schedule=schedule)
    shipped = run(problem, recipe, BUDGET, implementation="shipped")
    assert shipped.distance(run(problem, recipe, BUDGET, on="reference")) <= 1e-12


def test_a_cosine_rises_again_after_its_end(run):
    recipe = Recipe(SGD(0.1), schedule=Cosine(steps=8))
    shipped = run(RandomGradients(), recipe, BUDGET, implementation="shipped")
    assert shipped.distance(run(RandomGradients(), recipe, BUDGET, on="reference")) > 0.01


def test_a_clip_by_norm_is_off_by_its_epsilon(run):
    c = 1e-3
    recipe, problem = Recipe(SGD(1.0), GlobalNorm(c)), RandomGradients(scale=c)
    shipped, exact = run(problem, recipe, BUDGET, implementation="shipped"), run(problem, recipe, BUDGET)
    assert 1e-6 / 6 / c < shipped.distance(exact) < 1e-6 / c  # ‖g‖ is about √29 c


DECAYS = [
    (Adam(0.01), Decoupled(0.1)),
    (Adam(0.01), Decoupled(0.1, scaled_by="schedule", on="all")),
    (Adam(0.01, amsgrad="raw"), Decoupled(0.1, on=("bias",))),
    (Momentum(0.1), Coupled(0.1)),
    (Momentum(0.1, dampening=0.9, first="damped"), Decoupled(0.1)),
]


@pytest.mark.parametrize("clip", [PerTensor(0.7), ByValue(-0.1, 0.1), ByValue(-0.1, 0.2)])
@pytest.mark.parametrize(("optimizer", "decay"), DECAYS)
def test_decays_keep_their_order(run, clip, optimizer, decay):
    problem, recipe = RandomGradients(), Recipe(optimizer, clip, decay=decay, schedule=Step(5, 0.5))
    shipped, exact = run(problem, recipe, BUDGET, implementation="shipped"), run(problem, recipe, BUDGET)
    assert shipped.distance(run(problem, recipe, BUDGET, on="reference")) <= 1e-12
    np.testing.assert_allclose(shipped.steps.norms, exact.steps.norms, rtol=1e-12)
