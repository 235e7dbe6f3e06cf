"""Same maths: ``exact`` against the reference, to rounding."""

import numpy as np
import pytest
import torch
from allpairspy import AllPairs

from backends.torch import layers, penalties
from harness.problems.catalogue import CATALOGUE, case
from harness.spec.cell import Budget
from harness.spec.layers import Dense, Elu, Flatten, LeakyRelu, Linear, Relu, Sigmoid, Tanh
from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError
from harness.spec.optimizers import SGD, AdaGrad, Adam, Momentum, RMSProp
from harness.spec.problem import DataSet, Network, RandomGradients
from harness.spec.recipe import (
    L1,
    L1L2,
    L2,
    ByValue,
    Coupled,
    Decoupled,
    GlobalNorm,
    NoClip,
    NoDecay,
    NoPenalty,
    PerTensor,
    Recipe,
)
from harness.spec.schedules import Constant, Cosine, Exponential, Step, WarmUp

OPTIMIZERS = [
    SGD(lr=0.1),
    Momentum(lr=0.1),
    Momentum(lr=0.1, rate="inside"),
    Momentum(lr=0.1, nesterov=True),
    Momentum(lr=0.1, nesterov=True, rate="inside"),
    Momentum(lr=0.1, dampening=0.5),
    Momentum(lr=0.1, dampening=0.5, rate="inside"),
    Momentum(lr=0.1, dampening=0.5, first="damped"),
    Momentum(lr=0.1, dampening=0.9, first="damped", rate="inside"),
    AdaGrad(lr=0.1, eps=1e-5, initial_accumulator=0.1),
    AdaGrad(lr=0.1, eps=1e-5),
    AdaGrad(lr=0.1, eps=1e-5, eps_placement="outside"),
    RMSProp(lr=0.01, eps=1e-5),
    RMSProp(lr=0.01, eps=1e-5, momentum=0.9),
    RMSProp(lr=0.01, eps=1e-5, momentum=0.9, rate="inside", centred=True),
    RMSProp(lr=0.01, eps=1e-5, momentum=0.9, rate="inside", eps_placement="outside"),
    RMSProp(lr=0.01, eps=1e-5, momentum=0.9, eps_placement="outside", centred=True),
    RMSProp(lr=0.01, eps=1e-5, eps_placement="outside", bias_correction=True),
    Adam(lr=0.01, eps=1e-5),
    Adam(lr=0.01, eps=1e-5, eps_placement="hat"),
    Adam(lr=0.01, eps=1e-5, eps_placement="inside"),
    Adam(lr=0.01, eps=1e-5, amsgrad="raw"),
    Adam(lr=0.01, eps=1e-5, eps_placement="inside", amsgrad="raw"),
    Adam(lr=0.01, eps=1e-5, eps_placement="hat", amsgrad="raw"),
    Adam(lr=0.01, eps=1e-5, amsgrad="corrected"),
    Adam(lr=0.01, eps=1e-5, eps_placement="hat", amsgrad="corrected"),
]
CLIPS = [NoClip(), GlobalNorm(1.0), GlobalNorm(1e-4), PerTensor(2e-4), ByValue(-0.5, 0.5), ByValue(-0.5, 0.7)]
PENALTIES = [NoPenalty(), L1(0.01), L2(0.1, scaling="per_sample", on="all"), L1L2(0.01, 0.02, on=("bias",))]
DECAYS = [NoDecay(), Coupled(0.1), Decoupled(0.1), Decoupled(0.1, scaled_by="schedule", on="all")]
SCHEDULES = [Constant(), Step(5, 0.5), Exponential(0.5, 7), WarmUp(4, 0.1, Cosine(floor=0.1))]
PAIRS = list(AllPairs([OPTIMIZERS, CLIPS, PENALTIES, DECAYS, SCHEDULES, [1.0, 1e-4]]))

SHORT = Budget(steps=20, batch=1)


@pytest.mark.parametrize(("optimizer", "clip", "penalty", "decay", "schedule", "scale"), PAIRS)
def test_update_rules(run, optimizer, clip, penalty, decay, schedule, scale):
    problem, recipe = RandomGradients(scale=scale), Recipe(optimizer, clip, penalty, decay, schedule)
    mine, theirs = run(problem, recipe, SHORT), run(problem, recipe, SHORT, on="reference")
    assert mine.distance(theirs) <= 1e-12
    np.testing.assert_allclose(mine.steps.loss, theirs.steps.loss, rtol=0, atol=1e-12 * np.abs(theirs.steps.loss).max())
    np.testing.assert_allclose(mine.steps.penalty, theirs.steps.penalty, rtol=1e-12)
    np.testing.assert_allclose(mine.steps.norms, theirs.steps.norms, rtol=1e-12)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_update_rules_in_single_precision(run, optimizer):
    problem, recipe = RandomGradients(), Recipe(optimizer, ByValue(-0.9, 0.9), L2(0.01), schedule=Exponential(0.5, 7))
    mine = run(problem, recipe, SHORT, precision="float32")
    assert mine.distance(run(problem, recipe, SHORT, on="reference")) <= 1e-4


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-12), ("float32", 1e-4)])
def test_a_hundred_steps_of_a_network(run, precision, tolerance):
    known = case("digits-64-10-l2")
    budget = Budget(steps=100, batch=32)
    mine = run(known.problem, known.recipe, budget, precision=precision)
    theirs = run(known.problem, known.recipe, budget, on="reference")
    assert mine.distance(theirs) <= tolerance
    np.testing.assert_allclose(mine.steps.loss, theirs.steps.loss, rtol=tolerance)
    for part in ("training", "validation", "test"):
        np.testing.assert_allclose(mine.trainer.evaluate(part), theirs.trainer.evaluate(part), rtol=tolerance)


HIDDEN = (LeakyRelu(0.1), Elu(1.3), Sigmoid(), Tanh(), Relu(), Linear())
NETWORKS = [
    *(Network(DataSet("wine"), (Dense(8, bias=False), phi, Dense(3)), CrossEntropy()) for phi in HIDDEN),
    Network(DataSet("breast_cancer"), (Dense(4), Elu(), Dense(1)), BinaryCrossEntropy()),
    Network(DataSet("cube", scaling="none"), (Flatten(), Dense(4), Tanh(), Dense(2)), MeanSquaredError()),
]
FUNCTIONS = [known.problem for known in CATALOGUE.values() if not isinstance(known.problem, Network)]


@pytest.mark.parametrize("problem", [*NETWORKS, *FUNCTIONS])
@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
def test_gradients_and_evaluation(make, problem, precision, tolerance):
    recipe, budget = Recipe(SGD(), penalty=L1L2(0.01, 0.1)), Budget(steps=1, batch=1)
    mine, _, order = make(problem, recipe, budget, precision=precision)
    theirs, _, _ = make(problem, recipe, budget, on="reference")
    ours, exact = mine.gradients(order[0]), theirs.gradients(order[0])
    assert list(ours) == list(exact)
    for name, gradient in exact.items():
        np.testing.assert_allclose(ours[name], gradient, rtol=0, atol=tolerance * np.abs(gradient).max())
    for value, expected in zip(mine.evaluate("training"), theirs.evaluate("training"), strict=True):
        assert value == (None if expected is None else pytest.approx(expected, rel=tolerance))


@pytest.mark.parametrize(("phi", "slope"), [(LeakyRelu(0.1), 0.1), (Relu(), 0.0), (Elu(0.5), 0.5)])
def test_kinks(phi, slope):
    """φ'(0) is the spec's, for 0 and −0."""
    z = torch.tensor([0.0, -0.0, 0.0], dtype=torch.float64, requires_grad=True)
    layers.build((phi,), (3,))(z).sum().backward()
    assert z.grad.tolist() == [slope] * 3


def test_the_derivative_of_a_penalty_at_zero():
    w = torch.nn.Parameter(torch.tensor([0.0, -0.0, 2.0, -3.0]))
    penalties.penalty(L1(0.5), {"dense1.weight": w}, samples=1)().backward()
    assert w.grad.tolist() == [0.0, 0.0, 0.5, -0.5]
