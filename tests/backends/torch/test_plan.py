"""Which pieces are PyTorch's own."""

import pytest
import torch

from harness.errors import Unsupported
from harness.problems.catalogue import case
from harness.spec.cell import Budget, Cell
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
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import L2, Adaptive, ByValue, Coupled, Decoupled, GlobalNorm, NoClip, PerTensor, Recipe
from harness.spec.schedules import (
    Cosine,
    Exponential,
    InverseTime,
    OneCycle,
    Plateau,
    Polynomial,
    Step,
    WarmUp,
)

CASE = case("digits-64-64-64-10")
N, C = "native", "composed"


def origin(backend, piece, recipe, implementation):
    cell = Cell(CASE.problem, recipe, CASE.budget, "torch", implementation)
    found = backend.plan(cell, ("dense1.weight", "dense1.bias"))[piece]
    assert found.how == N or found.why
    return found


# Recipe, exact, shipped, and whether ``shipped`` has another formula.
OPTIMIZERS = [
    (Recipe(SGD()), N, N, False),
    (Recipe(Momentum(), schedule=Step()), N, N, False),
    (Recipe(Momentum(nesterov=True), schedule=Step()), N, N, False),
    (Recipe(Momentum(rate="inside")), N, N, False),
    (Recipe(Momentum(rate="inside"), schedule=Step()), C, N, True),
    (Recipe(Momentum(rate="inside", nesterov=True), schedule=Step()), C, N, True),
    (Recipe(Momentum(dampening=0.5), schedule=Step()), N, N, False),
    (Recipe(Momentum(dampening=0.5, first="damped")), C, C, True),
    (Recipe(Momentum(dampening=0.9, first="damped")), C, C, True),
    (Recipe(Momentum(momentum=0.0, dampening=0.5)), C, N, True),
    (Recipe(Momentum(momentum=0.0, nesterov=True)), C, C, True),
    (Recipe(AdaGrad()), C, N, True),
    (Recipe(AdaGrad(eps_placement="outside")), N, N, False),
    (Recipe(RMSProp()), C, N, True),
    (Recipe(RMSProp(eps_placement="outside", centred=True)), N, N, False),
    (Recipe(RMSProp(eps_placement="outside", momentum=0.9), schedule=Step()), N, N, False),
    (Recipe(RMSProp(eps_placement="outside", momentum=0.9, rate="inside")), N, N, False),
    (Recipe(RMSProp(eps_placement="outside", momentum=0.9, rate="inside"), schedule=Step()), C, N, True),
    (Recipe(RMSProp(eps_placement="outside", bias_correction=True)), C, C, True),
    (Recipe(Adam()), N, N, False),
    (Recipe(Adam(amsgrad="raw")), N, N, False),
    (Recipe(Adam(amsgrad="corrected")), C, N, True),
    (Recipe(Adam(eps_placement="hat")), C, N, True),
    (Recipe(Adam(eps_placement="inside", amsgrad="raw")), C, N, True),
    (Recipe(Adadelta()), N, N, False),
    (Recipe(Adamax()), N, N, False),
    (Recipe(Adamax(eps_placement="outside")), C, N, True),
    (Recipe(NAdam()), N, N, False),
    (Recipe(NAdam(momentum_decay=1.0)), N, N, False),
    (Recipe(NAdam(momentum="constant")), N, N, False),
    (Recipe(RAdam(eps_placement="hat")), N, N, False),
    (Recipe(RAdam()), C, N, True),
    (Recipe(RAdam(eps_placement="hat", threshold=4.0)), C, N, True),
    (Recipe(Lion()), C, C, True),
    (Recipe(Adafactor(eps1=0.0)), N, N, False),
    (Recipe(Adafactor()), C, N, True),
    (Recipe(Adafactor(eps1=0.0, rate="plain")), C, N, True),
    (Recipe(Adafactor(eps1=0.0, relative=False)), C, N, True),
    (Recipe(Adafactor(eps1=0.0, factored=False)), C, N, True),
    (Recipe(Adafactor(eps1=0.0, clip=0.5)), C, C, True),
    (Recipe(LARS()), C, C, True),
    (Recipe(LAMB(decay="outside")), C, C, True),
    (Recipe(Muon()), C, N, True),
    (Recipe(Muon(buffer="corrected", scale="none")), C, N, True),
    (Recipe(Rprop()), N, N, False),
    (Recipe(Rprop(), schedule=Step()), C, N, True),
    (Recipe(Rprop(), schedule=Plateau()), C, N, True),
    (Recipe(Rprop(lr=100.0)), C, N, True),
    (Recipe(Rprop(grow=1.0)), C, C, True),
    (Recipe(Yogi()), C, C, True),
    (Recipe(Adan()), C, C, True),
    (Recipe(ScheduleFree()), C, C, True),
    (Recipe(LBFGS()), N, N, True),
    (Recipe(LBFGS(first="l2")), C, N, True),
    (Recipe(LBFGS(curvature=0.0)), C, N, True),
    (Recipe(LBFGS(), decay=Decoupled()), C, N, True),
    (Recipe(LBFGS(), decay=Coupled()), N, N, True),
]


@pytest.mark.parametrize(("recipe", "exact", "shipped", "another"), OPTIMIZERS)
def test_optimizers(backend, recipe, exact, shipped, another):
    assert origin(backend, "optimizer", recipe, "exact").how == exact
    found = origin(backend, "optimizer", recipe, "shipped")
    assert found.how == shipped
    assert bool(found.why) == another


# Piece, recipe, exact, shipped.
OTHERS = [
    ("clip", Recipe(Adam(), NoClip()), N, N),
    ("clip", Recipe(Adam(), GlobalNorm()), C, N),
    ("clip", Recipe(Adam(), PerTensor()), C, C),
    ("clip", Recipe(Adam(), ByValue(-2.0, 2.0)), N, N),
    ("clip", Recipe(Adam(), ByValue(-1.0, 2.0)), C, C),
    ("clip", Recipe(Adam(), Adaptive()), C, C),
    ("penalty", Recipe(Adam(), penalty=L2()), C, C),
    ("decay", Recipe(Adam()), N, N),
    ("decay", Recipe(Adam(), decay=Coupled()), N, N),
    ("decay", Recipe(Adam(eps_placement="hat"), decay=Coupled()), C, N),
    ("decay", Recipe(Adam(), decay=Decoupled()), N, N),
    ("decay", Recipe(SGD(), decay=Decoupled()), C, C),
    ("decay", Recipe(Adam(), decay=Decoupled(scaled_by="schedule")), C, C),
    ("decay", Recipe(NAdam(), decay=Decoupled()), N, N),
    ("decay", Recipe(RAdam(), decay=Decoupled()), C, N),
    ("decay", Recipe(Adamax(), decay=Coupled()), N, N),
    ("decay", Recipe(Adamax(), decay=Decoupled()), C, C),
    ("decay", Recipe(Adafactor(eps1=0.0), decay=Decoupled()), N, N),
    ("decay", Recipe(Adafactor(eps1=0.0), decay=Coupled()), C, C),
    ("decay", Recipe(Muon(), decay=Decoupled()), C, N),
    ("decay", Recipe(Rprop(), decay=Coupled()), C, C),
    ("decay", Recipe(LAMB(), decay=Decoupled()), C, C),
    ("decay", Recipe(LBFGS(), decay=Decoupled()), C, C),
    ("decay", Recipe(ScheduleFree(), decay=Decoupled(scaled_by="schedule")), C, C),
    ("schedule", Recipe(Adam()), N, N),
    ("schedule", Recipe(Adam(), schedule=Exponential()), C, N),
    ("schedule", Recipe(Adam(), schedule=Cosine()), C, N),
    ("schedule", Recipe(Adam(), schedule=WarmUp(then=Step())), C, N),
    ("schedule", Recipe(Adam(), schedule=Polynomial()), C, N),
    ("schedule", Recipe(Lion(), schedule=InverseTime()), C, N),
    ("schedule", Recipe(Adam(), schedule=OneCycle()), C, N),
    ("schedule", Recipe(Adam(), schedule=WarmUp(then=OneCycle())), C, N),
    ("schedule", Recipe(Adam(), schedule=Plateau()), C, C),
    ("model", Recipe(Adam()), N, N),
    ("loss", Recipe(Adam()), N, N),
]


@pytest.mark.parametrize(("piece", "recipe", "exact", "shipped"), OTHERS)
def test_other_pieces(backend, piece, recipe, exact, shipped):
    assert origin(backend, piece, recipe, "exact").how == exact
    assert origin(backend, piece, recipe, "shipped").how == shipped


CYCLES = [
    (OneCycle(rise=1 / 14), C),
    (OneCycle(rise=2 / 14), N),
    (OneCycle(rise=0.01), N),
    (OneCycle(4, rise=0.25), C),
    (WarmUp(4, then=OneCycle(rise=1 / 10)), C),
    (WarmUp(4, then=OneCycle(rise=1 / 14)), N),
]


@pytest.mark.parametrize(("schedule", "shipped"), CYCLES)
@pytest.mark.parametrize("budget", [Budget(steps=14, batch=14), Budget(epochs=2, batch=14)])  # of 98 flowers
def test_a_cycle_that_starts_at_its_peak(backend, budget, schedule, shipped):
    iris = Network(DataSet("iris"), (Dense(3),), CrossEntropy())
    cell = Cell(iris, Recipe(SGD(), schedule=schedule), budget, "torch", "shipped")
    assert backend.plan(cell, ("dense1.weight", "dense1.bias"))["schedule"].how == shipped


def test_torch_cannot_start_a_cycle_at_its_peak():
    optimizer = torch.optim.SGD([torch.zeros(1)])
    with pytest.raises(ZeroDivisionError):
        torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=10, pct_start=0.1, cycle_momentum=False)


def test_no_gpu_is_a_reason(backend):
    if backend.facts()["GPU"] != "none":
        pytest.skip("this machine has a GPU")
    with pytest.raises(Unsupported, match="sees no GPU"):
        backend.plan(Cell(CASE.problem, CASE.recipe, CASE.budget, "torch", device="cuda"), ("dense1.weight",))
