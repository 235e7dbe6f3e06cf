"""Same words: what optax ships computes the formula that the plan says it does."""

import numpy as np
import pytest
from msgspec import structs

from harness.spec.activations import LeakyRelu
from harness.spec.cell import Budget
from harness.spec.layers import Dense
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import (
    LAMB,
    LARS,
    LBFGS,
    SGD,
    Adadelta,
    Adafactor,
    AdaGrad,
    Adam,
    Adamax,
    Adan,
    Lion,
    Momentum,
    Muon,
    NAdam,
    RAdam,
    RMSProp,
    Rprop,
    ScheduleFree,
    Yogi,
)
from harness.spec.problem import DataSet, Network, Quadratic, RandomGradients
from harness.spec.recipe import Adaptive, Coupled, Decoupled, NoDecay, PerTensor, Recipe
from harness.spec.schedules import Cosine, Exponential, InverseTime, OneCycle, Polynomial, Step, WarmUp

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
    (NAdam(0.1), NAdam(0.1, momentum="constant")),
    (RAdam(0.1, eps_placement="hat"), RAdam(0.1)),
    (Adafactor(0.1), Adafactor(0.1, rate="plain", factored=False)),
    (Adafactor(0.1, rate="plain", factored=False, eps2=0.1), Adafactor(0.1, rate="plain", factored=False)),
    (Muon(0.1, nesterov=False), Muon(0.1, nesterov=False, buffer="corrected", adam_eps=1e-7)),
    (Yogi(0.1, bias_correction=False), Yogi(0.1)),
    (Yogi(0.1, initial_accumulator=0.0), Yogi(0.1)),
    (ScheduleFree(0.1), ScheduleFree(0.1, weights="equal")),  # whose greatest rate is the first where it falls
]


@pytest.mark.parametrize(("words", "formula"), FORMULAS)
def test_optimizers(run, words, formula):
    problem, schedule = RandomGradients(scale=1e-4), Exponential(0.5, 7)
    shipped = run(problem, Recipe(words, schedule=schedule), BUDGET, implementation="shipped")
    assert shipped.distance(run(problem, Recipe(formula, schedule=schedule), BUDGET, on="reference")) <= SINGLE
    assert shipped.distance(run(problem, Recipe(words, schedule=schedule), BUDGET, on="reference")) > 100 * SINGLE


# What shows only elsewhere: in tiny gradients, in large ones (next to which the 1e-8 in Adan's root is nothing), with a
# decay, and where the curvature is positive, as a pair of another sign is left out of the formula.
ELSEWHERE = [
    (Adamax(0.1, eps_placement="outside"), Adamax(0.1), Recipe(SGD()), RandomGradients(scale=1e-8)),
    (Adan(0.1), Adan(0.1, ahead="complement"), Recipe(SGD()), RandomGradients()),
    (LARS(1.0), LARS(1.0, norm="joint"), Recipe(SGD(), decay=Decoupled(0.1)), RandomGradients()),
    (LBFGS(0.1), LBFGS(0.1, first="l2", curvature=0.0), Recipe(SGD()), Quadratic()),
    (LBFGS(0.1, 3, first="plain"), LBFGS(0.1, 3, first="l2", curvature=0.0), Recipe(SGD()), Quadratic()),
    (LBFGS(0.1), LBFGS(0.1, first="l2", curvature=0.0), Recipe(SGD(), decay=Decoupled(0.1)), Quadratic()),
]


@pytest.mark.parametrize(("words", "formula", "others", "problem"), ELSEWHERE)
def test_optimizers_elsewhere(run, words, formula, others, problem):
    asked, computed = (structs.replace(others, optimizer=optimizer) for optimizer in (words, formula))
    shipped = run(problem, asked, BUDGET, implementation="shipped")
    assert shipped.distance(run(problem, computed, BUDGET, on="reference")) <= SINGLE
    assert shipped.distance(run(problem, asked, BUDGET, on="reference")) > 100 * SINGLE


SAME = [
    (Adadelta(), NoDecay()),
    (Adamax(0.1), NoDecay()),
    (RAdam(0.1), NoDecay()),
    (Lion(0.1), Decoupled(0.1)),
    (LARS(1.0, norm="joint"), Decoupled(0.1)),
    (LARS(1.0, decay="outside"), Decoupled(0.1)),
    (LAMB(0.1), Decoupled(0.1, scaled_by="schedule")),
    (LAMB(0.1, decay="outside"), Decoupled(0.1, on="all")),
    (Yogi(0.1), NoDecay()),
    (ScheduleFree(0.1, weights="equal"), Decoupled(0.1, on=("bias",))),
]


@pytest.mark.parametrize(("optimizer", "decay"), SAME)
def test_optimizers_of_the_same_formula(run, optimizer, decay):
    problem, recipe = RandomGradients(scale=1e-4), Recipe(optimizer, decay=decay, schedule=Exponential(0.5, 7))
    shipped = run(problem, recipe, BUDGET, implementation="shipped")
    assert shipped.distance(run(problem, recipe, BUDGET, on="reference")) <= SINGLE


def test_schedule_free_weighs_by_the_greatest_rate(run):
    """Which is the present one while the rate is constant."""
    recipe = Recipe(ScheduleFree(0.1))
    shipped = run(RandomGradients(), recipe, BUDGET, implementation="shipped")
    assert shipped.distance(run(RandomGradients(), recipe, BUDGET, on="reference")) <= 1e-12


def test_muon_leaves_vectors_to_nadam(run):
    """With Nesterov's momentum, and with the ε that it has for matrices."""
    shipped = run(RandomGradients(), Recipe(Muon(0.1)), BUDGET, implementation="shipped").trainer.parameters()
    formulas = {"weight": Muon(0.1, buffer="corrected"), "bias": NAdam(0.1, eps=1e-7, momentum="constant")}
    for name, formula in formulas.items():
        expected = run(RandomGradients(), Recipe(formula), BUDGET, on="reference").trainer.parameters()
        np.testing.assert_allclose(shipped[name], expected[name], rtol=1e-12)


def test_adan_adds_to_the_mean_square(run):
    """1e-8, which is as much as there is of it at 1e-4."""
    recipe = Recipe(Adan(0.1, ahead="complement"))
    shipped, exact = (run(RandomGradients(scale=1e-4), recipe, BUDGET, implementation=i) for i in ("shipped", "exact"))
    assert shipped.distance(exact) > 0.1


def test_rprop_is_a_step_late(make):
    """Each step comes one later than in the formula, and not at all where g changes its sign before it is due."""
    steps = []
    for words in ({"implementation": "shipped"}, {"on": "reference"}):
        trainer, start, order = make(RandomGradients(), Recipe(Rprop()), BUDGET, **words)
        way = [start["weight"]]
        for row in order:
            trainer.train(row[None])
            way.append(trainer.parameters()["weight"])
        steps.append(np.diff(way, axis=0))
    shipped, formula = steps
    changes = formula[1:] == 0
    assert 0 < changes.sum() < changes.size
    np.testing.assert_array_equal(shipped[0], 0)
    np.testing.assert_allclose(shipped[1:], np.where(changes, 0, formula[:-1]), rtol=0, atol=1e-15)


def test_an_adaptive_clip_takes_a_matrix_of_one_row_for_one_unit(run):
    """Whose outputs the formula clips each by its own norm."""
    recipe, distances = Recipe(SGD(0.1), Adaptive(0.01)), []
    for width in (1, 2):
        problem = Network(DataSet("wine"), (Dense(width), Dense(3)), CrossEntropy())
        shipped = run(problem, recipe, BUDGET, implementation="shipped")
        distances.append(shipped.distance(run(problem, recipe, BUDGET, on="reference")))
    assert distances[0] > 100 * SINGLE
    assert distances[1] <= 1e-12


@pytest.mark.parametrize(
    ("words", "formula"),
    [
        (OneCycle(), OneCycle(21, rise=7 / 21)),
        (OneCycle(rise=0.26, end=0.0), OneCycle(21, rise=6 / 21, end=0.0)),
        (WarmUp(3, then=OneCycle()), WarmUp(3, then=OneCycle(18, rise=6 / 18))),
    ],
)
def test_one_cycle_is_a_step_late(run, words, formula):
    shipped = run(RandomGradients(), Recipe(SGD(0.1), schedule=words), BUDGET, implementation="shipped")
    for schedule, same in ((formula, True), (words, False)):
        distance = shipped.distance(run(RandomGradients(), Recipe(SGD(0.1), schedule=schedule), BUDGET, on="reference"))
        assert distance <= SINGLE if same else distance > 100 * SINGLE


SCHEDULES = [
    Step(5, 0.5),
    Cosine(floor=0.1),
    WarmUp(5, 0.1),
    WarmUp(4, 0.0, Cosine()),
    Polynomial(15, 2.0, 0.1),
    WarmUp(4, 0.1, Polynomial()),
    InverseTime(1.0, 10),
    WarmUp(4, 0.0, InverseTime(2.0, 8)),
]


@pytest.mark.parametrize("schedule", SCHEDULES)
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
