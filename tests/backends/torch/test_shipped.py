"""Same words: what torch ships computes the formula that the plan says it does."""

import numpy as np
import pytest

from harness.spec.cell import Budget
from harness.spec.layers import Dense
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import (
    LAMB,
    LBFGS,
    SGD,
    Adafactor,
    AdaGrad,
    Adam,
    Adamax,
    Lion,
    Momentum,
    Muon,
    NAdam,
    RAdam,
    RMSProp,
    Rprop,
    ScheduleFree,
)
from harness.spec.problem import DataSet, Network, Quadratic, RandomGradients
from harness.spec.recipe import ByValue, Coupled, Decoupled, GlobalNorm, PerTensor, Recipe
from harness.spec.schedules import (
    Constant,
    Cosine,
    Exponential,
    InverseTime,
    OneCycle,
    Polynomial,
    Step,
    WarmUp,
)

BUDGET = Budget(steps=20, batch=1)
IRIS = Network(DataSet("iris"), (Dense(9), Dense(3)), CrossEntropy())

# The words, and the formula that torch computes for them.
FORMULAS = [
    (Momentum(0.1, rate="inside", nesterov=True), Momentum(0.1, nesterov=True)),
    (Momentum(0.1, dampening=0.5, rate="inside"), Momentum(0.1, dampening=0.5)),
    (AdaGrad(0.1), AdaGrad(0.1, eps_placement="outside")),
    (RMSProp(0.1, momentum=0.9, rate="inside"), RMSProp(0.1, momentum=0.9, eps_placement="outside")),
    (Adam(0.1, eps_placement="hat"), Adam(0.1)),
    (Adam(0.1, amsgrad="corrected", eps_placement="inside"), Adam(0.1, amsgrad="raw")),
    (Adamax(0.1, eps=1e-6, eps_placement="outside"), Adamax(0.1, eps=1e-6)),
    (RAdam(0.1), RAdam(0.1, eps_placement="hat")),
    (RAdam(0.1, threshold=10.0), RAdam(0.1, eps_placement="hat")),
    (Adafactor(1.0, rate="plain"), Adafactor(1.0)),
    (Adafactor(0.1, relative=False), Adafactor(0.1)),
    (Adafactor(0.1, factored=False), Adafactor(0.1)),
]


@pytest.mark.parametrize(("words", "formula"), FORMULAS)
def test_optimizers(run, words, formula):
    problem, schedule = RandomGradients(scale=1e-4), Exponential(0.5, 7)
    shipped = run(problem, Recipe(words, schedule=schedule), BUDGET, implementation="shipped")
    assert shipped.distance(run(problem, Recipe(formula, schedule=schedule), BUDGET, on="reference")) <= 1e-12
    assert shipped.distance(run(problem, Recipe(words, schedule=schedule), BUDGET, on="reference")) > 1e-6


def test_rprop_takes_the_rate_for_its_first_step_only(run):
    problem, words = RandomGradients(), Recipe(Rprop(), schedule=Exponential(0.5, 7))
    shipped = run(problem, words, BUDGET, implementation="shipped")
    assert shipped.distance(run(problem, Recipe(Rprop()), BUDGET, on="reference")) <= 1e-12
    assert shipped.distance(run(problem, words, BUDGET, on="reference")) > 0.1


def test_rprop_bounds_its_first_step(run):
    problem = RandomGradients()
    shipped = run(problem, Recipe(Rprop(100.0)), BUDGET, implementation="shipped")
    assert shipped.distance(run(problem, Recipe(Rprop(50.0)), BUDGET, on="reference")) <= 1e-12
    assert shipped.distance(run(problem, Recipe(Rprop(100.0)), BUDGET, on="reference")) > 0.1


@pytest.mark.parametrize("words", [Muon(nesterov=False), Muon(scale="rms"), Muon(buffer="mean")])
def test_muon_is_off_by_bfloat16(run, words):
    recipe = Recipe(words, decay=Decoupled(0.1), schedule=Exponential(0.5, 7))
    shipped = run(RandomGradients(), recipe, BUDGET, implementation="shipped")
    assert 1e-3 < shipped.distance(run(RandomGradients(), recipe, BUDGET, on="reference")) < 0.03


def test_muon_makes_a_direction_of_bfloat16s_rounding(run):
    """Softmax has the gradients of a layer's outputs sum to 0; the singular value that is 0 grows by 3.4⁵ as well."""
    recipe, budget = Recipe(Muon()), Budget(steps=1, batch=16)
    shipped = run(IRIS, recipe, budget, implementation="shipped")
    assert shipped.distance(run(IRIS, recipe, budget, on="reference")) > 0.1
    assert run(IRIS, recipe, budget).distance(run(IRIS, recipe, budget, on="reference")) <= 1e-12


@pytest.mark.parametrize("words", [Muon(buffer="mean"), Muon(buffer="corrected"), Muon(scale="none")])
def test_muon_has_one_word_for_them(run, words):
    budget = Budget(steps=5, batch=16)
    shipped, plain = (run(IRIS, Recipe(kind), budget, implementation="shipped") for kind in (words, Muon()))
    assert shipped.distance(plain) == 0


def test_adafactor_cannot_hold_its_epsilon_in_single_precision(run):
    """ε₁² = 1e-60 is 0 in float32, and where a gradient is 0 (a pixel that is never lit), 0·1/√0 is not a number."""
    digits, budget = Network(DataSet("digits"), (Dense(10),), CrossEntropy()), Budget(steps=2, batch=64)
    words = Recipe(Adafactor())
    shipped = run(digits, words, budget, implementation="shipped", precision="float32")
    assert not np.isfinite(shipped.trainer.parameters()["dense1.weight"]).all()
    exact = run(digits, words, budget, precision="float32")
    assert exact.distance(run(digits, words, budget, on="reference")) <= 1e-4


@pytest.mark.parametrize("words", [LBFGS(first="l2"), LBFGS(curvature=1.0)])
def test_lbfgs_has_no_word_for_it(run, words):
    shipped = run(Quadratic(), Recipe(words), BUDGET, implementation="shipped")
    assert shipped.distance(run(Quadratic(), Recipe(LBFGS()), BUDGET, on="reference")) <= 1e-12
    assert shipped.distance(run(Quadratic(), Recipe(words), BUDGET, on="reference")) > 1e-3


def test_lbfgs_stays_where_the_gradient_is_small(run):
    problem = RandomGradients(scale=1e-8)
    shipped = run(problem, Recipe(LBFGS()), BUDGET, implementation="shipped")
    assert all(np.array_equal(w, shipped.start[name]) for name, w in shipped.trainer.parameters().items())


def test_lbfgs_leaves_a_decay_out_of_its_steps(run):
    recipe = Recipe(LBFGS(), decay=Decoupled(0.1))
    shipped = run(Quadratic(), recipe, BUDGET, implementation="shipped")
    assert shipped.distance(run(Quadratic(), recipe, BUDGET, on="reference")) > 1e-3


COMPOSED = [
    Momentum(0.1, dampening=0.9, first="damped"),
    RMSProp(bias_correction=True),
    Lion(),
    LAMB(),
    Adafactor(clip=0.5),
    ScheduleFree(),
    Rprop(grow=1.0),
]


@pytest.mark.parametrize("optimizer", COMPOSED)
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
    WarmUp(4, 0.1, Cosine(floor=0.1)),
    Polynomial(power=2.0),
    Polynomial(12),
    WarmUp(4, 0.1, Polynomial(8)),
    InverseTime(0.5, 7),
    WarmUp(4, 0.1, InverseTime(0.5, 7)),
    OneCycle(),
    OneCycle(12, rise=0.4, end=0.0),
    OneCycle(rise=0.05),
    OneCycle(rise=0.01),
    OneCycle(1),
    WarmUp(10, 0.1, OneCycle(rise=0.1)),
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


def test_a_polynomial_ends_at_zero(run):
    schedule = Polynomial(12, 2.0, end=0.1)
    shipped = run(RandomGradients(), Recipe(SGD(0.1), schedule=schedule), BUDGET, implementation="shipped")
    to_zero = Recipe(SGD(0.1), schedule=Polynomial(12, 2.0))
    assert shipped.distance(run(RandomGradients(), to_zero, BUDGET, on="reference")) <= 1e-12


def test_a_warm_up_rises_to_the_start_of_a_cycle(run, make):
    """OneCycleLR takes hold of the rate that LinearLR starts from; from the cycle on, all is as written."""
    recipe = Recipe(SGD(0.1), schedule=WarmUp(4, 0.1, OneCycle(start=0.25)))
    moves = []
    for words in ({"implementation": "shipped"}, {"on": "reference"}):
        trainer, start, order = make(RandomGradients(), recipe, BUDGET, **words)
        trainer.train(order[:4])
        middle = trainer.parameters()
        trainer.train(order[4:])
        moves.append((middle["weight"] - start["weight"], trainer.parameters()["weight"] - middle["weight"]))
    (rise, cycle), (rise_as_written, cycle_as_written) = moves
    np.testing.assert_allclose(rise, 0.25 * rise_as_written, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(cycle, cycle_as_written, rtol=1e-12, atol=1e-14)


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
    (NAdam(0.01), Decoupled(0.1)),
    (RAdam(0.01, eps_placement="hat"), Coupled(0.1)),
    (Adafactor(0.1), Decoupled(0.1, on="all")),
    (Adafactor(0.1), Decoupled(0.1, scaled_by="schedule")),
    (Adafactor(0.1), Coupled(0.1)),
    (LAMB(0.1, decay="outside"), Decoupled(0.1)),
]


@pytest.mark.parametrize("clip", [PerTensor(0.7), ByValue(-0.1, 0.1), ByValue(-0.1, 0.2)])
@pytest.mark.parametrize(("optimizer", "decay"), DECAYS)
def test_decays_keep_their_order(run, clip, optimizer, decay):
    problem, recipe = RandomGradients(), Recipe(optimizer, clip, decay=decay, schedule=Step(5, 0.5))
    shipped, exact = run(problem, recipe, BUDGET, implementation="shipped"), run(problem, recipe, BUDGET)
    assert shipped.distance(run(problem, recipe, BUDGET, on="reference")) <= 1e-12
    np.testing.assert_allclose(shipped.steps.norms, exact.steps.norms, rtol=1e-12)
