"""Same words: what Keras ships computes the formula that the plan says it does."""

import numpy as np
import pytest

from backends.reference import update
from harness.spec.activations import LeakyRelu
from harness.spec.cell import Budget
from harness.spec.layers import Dense
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import (
    LAMB,
    SGD,
    Adadelta,
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
)
from harness.spec.problem import DataSet, Network, RandomGradients
from harness.spec.recipe import (
    L1,
    L1L2,
    L2,
    Adaptive,
    ByValue,
    Coupled,
    Decoupled,
    GlobalNorm,
    PerTensor,
    Recipe,
)
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
# float64 with hyperparameters rounded to float32: 1 − 0.999ᵗ is then 7e-6 away.
ROUNDED = 2e-5

# The words, and the formula that Keras computes for them.
FORMULAS = [
    (Momentum(0.1), Momentum(0.1, rate="inside")),
    (Momentum(0.1, nesterov=True), Momentum(0.1, nesterov=True, rate="inside")),
    (Momentum(0.1, dampening=0.9, first="damped"), Momentum(0.1, dampening=0.9, first="damped")),
    (AdaGrad(0.1, eps_placement="outside"), AdaGrad(0.1)),
    (RMSProp(0.1, eps_placement="outside", momentum=0.9), RMSProp(0.1, momentum=0.9, rate="inside")),
    (RMSProp(0.1, bias_correction=True), RMSProp(0.1, bias_correction=True)),
    (Adam(0.1), Adam(0.1, eps_placement="hat")),
    (Adam(0.1, amsgrad="corrected"), Adam(0.1, eps_placement="hat", amsgrad="raw")),
    (Adadelta(), Adadelta()),
    (Adamax(eps=1e-6), Adamax(eps=1e-6, eps_placement="outside")),
    (NAdam(), NAdam(momentum_decay=1.0)),
    (NAdam(momentum="constant"), NAdam(momentum_decay=1.0)),
    (RAdam(), RAdam()),
    (Lion(), Lion()),
    # A rate above 1/√t, at which a cap is seen.
    (Adafactor(0.9, rate="plain"), Adafactor(0.9)),
    (Adafactor(relative=False), Adafactor()),
    (Adafactor(factored=False), Adafactor()),
    (LAMB(), LAMB()),
    # With ε = 0 in its Adam for the bias, whose ε-hat is another test.
    (Muon(adam_eps=0.0), Muon(scale="rms", adam_eps=0.0)),
    (Muon(scale="none", eps=1e-3, adam_eps=0.0), Muon(scale="none", adam_eps=0.0)),
    (Muon(scale="rms", buffer="corrected", adam_eps=0.0), Muon(scale="rms", adam_eps=0.0)),
    (Muon(scale="rms", buffer="mean", nesterov=False, adam_eps=0.0), Muon(scale="rms", nesterov=False, adam_eps=0.0)),
]


@pytest.mark.parametrize(("words", "formula"), FORMULAS)
def test_optimizers(run, words, formula):
    problem, schedule = RandomGradients(scale=1e-4), Exponential(0.5, 7)
    shipped = run(problem, Recipe(words, schedule=schedule), BUDGET, implementation="shipped")
    assert shipped.distance(run(problem, Recipe(formula, schedule=schedule), BUDGET, on="reference")) <= ROUNDED


@pytest.mark.parametrize(
    "schedule",
    [
        Constant(),
        Step(5, 0.5),
        Cosine(floor=0.1),
        Polynomial(15, 2.0, 0.1),
        Polynomial(),
        InverseTime(1.5, 7),
        OneCycle(),
        WarmUp(5, 0.1),
        WarmUp(4, 0.0, Cosine()),
        WarmUp(4, 0.0, Step(4)),
        WarmUp(4, 0.0, Polynomial()),
    ],
)
def test_schedules(run, schedule):
    problem, recipe = RandomGradients(), Recipe(SGD(0.1), schedule=schedule)
    shipped = run(problem, recipe, BUDGET, implementation="shipped")
    assert shipped.distance(run(problem, recipe, BUDGET, on="reference")) <= 1e-6


@pytest.mark.parametrize(
    "clip", [GlobalNorm(1.0), PerTensor(0.7), ByValue(-0.1, 0.1), ByValue(-0.1, 0.2), Adaptive(0.1)]
)
@pytest.mark.parametrize("decay", [Coupled(0.1), Decoupled(0.1)])
def test_clips_and_decays_keep_their_order(run, clip, decay):
    problem, recipe = RandomGradients(), Recipe(Momentum(0.1), clip, decay=decay)
    shipped = run(problem, recipe, BUDGET, implementation="shipped")
    assert shipped.distance(run(problem, recipe, BUDGET, on="reference")) <= 1e-6


@pytest.mark.parametrize("optimizer", [LAMB(), LAMB(decay="outside"), Adafactor()])
def test_keras_decays_first_what_the_step_measures(run, make, optimizer):
    """w ← (1 − ηλ)w before a Δ in proportion to ‖w‖: (1 − ηλ)(w − Δ) in all."""
    problem, recipe = RandomGradients(), Recipe(optimizer)
    decaying = Recipe(optimizer, decay=Decoupled(0.1, on="all"))
    shipped = run(problem, decaying, BUDGET, implementation="shipped").trainer.parameters()
    reference, start, order = make(problem, recipe, BUDGET, on="reference")
    w, states = start, update.initial(recipe, start)
    for t, row in enumerate(order, start=1):
        w, states = update.update(recipe, w, reference.gradients(row), states, 1.0, t)
        w = {name: (1 - optimizer.lr * 0.1) * values for name, values in w.items()}
    for name, values in w.items():
        np.testing.assert_allclose(shipped[name], values, rtol=0, atol=ROUNDED * np.abs(values - start[name]).max())


def test_the_adam_of_muon_has_eps_hat(run):
    problem, words = RandomGradients(scale=1e-4), Muon(scale="rms", adam_eps=1e-6)
    shipped = run(problem, Recipe(words), BUDGET, implementation="shipped")
    adam = run(problem, Recipe(Adam(words.lr, eps=1e-6, eps_placement="hat")), BUDGET, on="reference")
    moved = np.abs(adam.trainer.parameters()["bias"] - adam.start["bias"]).max()
    np.testing.assert_allclose(
        shipped.trainer.parameters()["bias"], adam.trainer.parameters()["bias"], rtol=0, atol=ROUNDED * moved
    )


@pytest.mark.parametrize("penalty", [L1(0.01), L2(0.1, scaling="per_sample"), L1L2(0.01, 0.02, on="all")])
def test_layers_and_penalties(run, penalty):
    problem = Network(DataSet("wine"), (Dense(8), LeakyRelu(0.1), Dense(3)), CrossEntropy())
    recipe = Recipe(SGD(0.1), penalty=penalty)
    shipped = run(problem, recipe, BUDGET, implementation="shipped")
    theirs = run(problem, recipe, BUDGET, on="reference")
    assert shipped.distance(theirs) <= 1e-6
    np.testing.assert_allclose(shipped.steps.penalty, theirs.steps.penalty, rtol=1e-6)
