"""Which pieces are optax's and JAX's own."""

import pytest

from harness.errors import Unsupported
from harness.problems.catalogue import case
from harness.spec.activations import Elu, LeakyRelu, Relu
from harness.spec.cell import Cell
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
from harness.spec.recipe import L1, L2, Adaptive, ByValue, Coupled, Decoupled, GlobalNorm, NoClip, PerTensor, Recipe
from harness.spec.schedules import Cosine, Exponential, InverseTime, OneCycle, Plateau, Polynomial, Step, WarmUp

CASE = case("digits-64-64-64-10")
N, C = "native", "composed"


def origin(backend, piece, recipe, implementation, problem=CASE.problem):
    cell = Cell(problem, recipe, CASE.budget, "jax", implementation)
    found = backend.plan(cell, ("dense1.weight", "dense1.bias"))[piece]
    assert found.how == N or found.why
    return found


# Optimizer, where it comes from in ``exact``, and whether ``shipped`` has another formula when the rate changes.
OPTIMIZERS = [
    (SGD(), N, False),
    (Momentum(), N, False),
    (Momentum(nesterov=True), N, False),
    (Momentum(rate="inside"), N, True),
    (Momentum(rate="inside", nesterov=True), N, True),
    (Momentum(dampening=0.9, first="damped"), N, False),
    (Momentum(dampening=0.9, first="damped", rate="inside"), N, True),
    (Momentum(dampening=0.9), C, True),
    (Momentum(dampening=0.5), C, True),
    (Momentum(dampening=0.5, first="damped"), C, True),
    (AdaGrad(), N, False),
    (AdaGrad(eps=0.0, initial_accumulator=0.1), N, False),
    (AdaGrad(eps=0.0), C, True),
    (AdaGrad(eps_placement="outside"), C, True),
    (RMSProp(), N, False),
    (RMSProp(eps_placement="outside", bias_correction=True), N, False),
    (RMSProp(centred=True), N, False),
    (RMSProp(momentum=0.9), N, True),
    (RMSProp(momentum=0.9, centred=True), N, True),
    (RMSProp(momentum=0.9, rate="inside"), N, False),
    (Adam(), N, False),
    (Adam(eps_placement="inside"), N, False),
    (Adam(eps_placement="hat"), C, True),
    (Adam(amsgrad="corrected"), N, False),
    (Adam(amsgrad="corrected", eps_placement="inside"), N, False),
    (Adam(amsgrad="corrected", eps_placement="hat"), C, True),
    (Adam(amsgrad="raw"), C, True),
    (Adam(amsgrad="raw", eps_placement="hat"), C, True),
    (Adadelta(), N, False),
    (Adamax(), N, False),
    (Adamax(eps_placement="outside"), C, True),
    (NAdam(momentum="constant"), N, False),
    (NAdam(), C, True),
    (RAdam(), C, False),
    (RAdam(eps_placement="hat"), C, True),
    (Lion(), N, False),
    (Adafactor(), C, True),
    (Adafactor(rate="plain", factored=False), C, True),
    (LARS(), N, False),
    (LARS(norm="joint"), N, False),
    (LAMB(), N, False),
    (LAMB(decay="outside"), N, False),
    (Muon(), C, True),
    (Muon(buffer="corrected", nesterov=False, adam_eps=1e-7), C, True),
    (Rprop(), C, True),
    (Yogi(), N, False),
    (Yogi(initial_accumulator=0.0), N, True),
    (Yogi(bias_correction=False), C, True),
    (Adan(), C, True),
    (Adan(ahead="complement"), N, True),
    (ScheduleFree(), C, True),
    (ScheduleFree(weights="equal"), N, False),
    (LBFGS(), C, True),
    (LBFGS(first="l2", curvature=0.0), C, True),
]


@pytest.mark.parametrize(("optimizer", "exact", "another"), OPTIMIZERS)
def test_optimizers(backend, optimizer, exact, another):
    recipe = Recipe(optimizer, schedule=Step())
    assert origin(backend, "optimizer", recipe, "exact").how == exact
    shipped = origin(backend, "optimizer", recipe, "shipped")
    assert shipped.how == N
    assert bool(shipped.why) == another


@pytest.mark.parametrize("optimizer", [Momentum(rate="inside"), RMSProp(momentum=0.9)])
def test_a_constant_rate_is_the_same_inside_and_outside(backend, optimizer):
    assert not origin(backend, "optimizer", Recipe(optimizer), "shipped").why


# Optimizer, where it and the decay within its formula come from in ``exact``, and whether ``shipped`` is another.
WITHIN = [
    (LARS(), C, True),
    (LARS(norm="joint"), N, False),
    (LAMB(), N, False),
    (ScheduleFree(), C, True),
    (ScheduleFree(weights="equal"), N, False),
]


@pytest.mark.parametrize(("optimizer", "exact", "another"), WITHIN)
@pytest.mark.parametrize("piece", ["optimizer", "decay"])
def test_decays_within_a_formula(backend, piece, optimizer, exact, another):
    recipe = Recipe(optimizer, decay=Decoupled())
    assert origin(backend, piece, recipe, "exact").how == exact
    shipped = origin(backend, piece, recipe, "shipped")
    assert shipped.how == N
    assert bool(shipped.why) == another


def test_a_decay_is_part_of_the_steps_of_lbfgs(backend):
    """optax finds it in w − w₋₁."""
    recipe = Recipe(LBFGS(), decay=Decoupled())
    assert origin(backend, "decay", recipe, "exact").how == C
    assert origin(backend, "decay", recipe, "shipped").by == "optax.add_decayed_weights"


@pytest.mark.parametrize("optimizer", [LARS(decay="outside"), LAMB(decay="outside"), Adamax()])
def test_other_decays_stand_apart(backend, optimizer):
    recipe = Recipe(optimizer, decay=Decoupled())
    assert origin(backend, "optimizer", recipe, "exact").how == N
    assert origin(backend, "decay", recipe, "exact").by == "optax.add_decayed_weights"


# Piece, recipe, exact, shipped.
OTHERS = [
    ("clip", Recipe(Adam(), NoClip()), N, N),
    ("clip", Recipe(Adam(), GlobalNorm()), N, N),
    ("clip", Recipe(Adam(), PerTensor()), C, C),
    ("clip", Recipe(Adam(), ByValue(-2.0, 2.0)), N, N),
    ("clip", Recipe(Adam(), ByValue(-1.0, 2.0)), C, C),
    ("clip", Recipe(Adam(), Adaptive()), C, N),
    ("penalty", Recipe(Adam()), N, N),
    ("penalty", Recipe(Adam(), penalty=L1()), C, C),
    ("penalty", Recipe(Adam(), penalty=L2()), C, C),
    ("decay", Recipe(Adam()), N, N),
    ("decay", Recipe(Adam(amsgrad="raw"), decay=Coupled()), N, N),
    ("decay", Recipe(Adam(), decay=Decoupled()), N, N),
    ("decay", Recipe(SGD(), decay=Decoupled(scaled_by="schedule")), N, N),
    ("schedule", Recipe(Adam()), N, N),
    ("schedule", Recipe(Adam(), schedule=Exponential()), C, N),
    ("schedule", Recipe(Adam(), schedule=Cosine()), C, N),
    ("schedule", Recipe(Adam(), schedule=WarmUp(then=Step())), C, N),
    ("schedule", Recipe(Adam(), schedule=Polynomial()), C, N),
    ("schedule", Recipe(Adam(), schedule=InverseTime()), C, C),
    ("schedule", Recipe(Adam(), schedule=OneCycle()), C, N),
    ("schedule", Recipe(Adam(), schedule=Plateau()), C, C),
    ("model", Recipe(Adam()), N, N),
    ("loss", Recipe(Adam()), N, N),
]


@pytest.mark.parametrize(("piece", "recipe", "exact", "shipped"), OTHERS)
def test_other_pieces(backend, piece, recipe, exact, shipped):
    assert origin(backend, piece, recipe, "exact").how == exact
    assert origin(backend, piece, recipe, "shipped").how == shipped


def test_adamw_is_named_where_it_is_shipped(backend):
    recipe = Recipe(Adam(), decay=Decoupled())
    assert {origin(backend, piece, recipe, "shipped").by for piece in ("optimizer", "decay")} == {"optax.adamw"}
    assert origin(backend, "optimizer", recipe, "exact").by == "optax.adam"


def test_of_a_plain_network_only_a_leaky_relu_is_composed(backend):
    for phi, exact in ((LeakyRelu(), C), (Relu(), N), (Elu(), N)):
        problem = Network(DataSet("wine"), (Dense(2), phi, Dense(3)), CrossEntropy())
        assert origin(backend, "model", Recipe(SGD()), "exact", problem).how == exact
        assert origin(backend, "model", Recipe(SGD()), "shipped", problem).how == N


def test_no_gpu_is_a_reason(backend):
    if backend.facts()["GPU"] != "none":
        pytest.skip("this machine has a GPU")
    with pytest.raises(Unsupported, match="sees no GPU"):
        backend.plan(Cell(CASE.problem, CASE.recipe, CASE.budget, "jax", device="cuda"), ("dense1.weight",))
