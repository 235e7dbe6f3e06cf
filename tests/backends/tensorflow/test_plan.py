"""Which pieces are Keras's own."""

import pytest

from harness.errors import Unsupported
from harness.problems.catalogue import case
from harness.spec.activations import (
    Elu,
    Gelu,
    LeakyRelu,
    Linear,
    Mish,
    Relu,
    Selu,
    Sigmoid,
    Softmax,
    Softplus,
    Swish,
    Tanh,
)
from harness.spec.cell import Cell
from harness.spec.layers import (
    GRU,
    LSTM,
    Attention,
    AveragePool,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool,
    LayerNorm,
    MaxPool,
    Position,
    Reshape,
    Residual,
    SimpleRNN,
)
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
from harness.spec.recipe import L1, L2, Adaptive, ByValue, Coupled, Decoupled, GlobalNorm, PerTensor, Recipe
from harness.spec.schedules import Cosine, Exponential, InverseTime, OneCycle, Plateau, Polynomial, Step, WarmUp

CASE = case("digits-64-64-64-10")
NAMES = ("dense1.weight", "dense1.bias")
N, C = "native", "composed"


def how(backend, piece, recipe, implementation, problem=CASE.problem):
    cell = Cell(problem, recipe, CASE.budget, "tensorflow", implementation)
    origin = backend.plan(cell, NAMES)[piece]
    assert origin.how == N or origin.why
    return origin.how


# Recipe, exact, shipped.
OPTIMIZERS = [
    (Recipe(SGD()), N, N),
    (Recipe(SGD(), schedule=Step()), N, N),
    (Recipe(Momentum()), N, N),
    (Recipe(Momentum(nesterov=True)), N, N),
    (Recipe(Momentum(), schedule=Step()), C, N),
    (Recipe(Momentum(momentum=0.0), schedule=Step()), N, N),
    (Recipe(Momentum(rate="inside"), schedule=Step()), N, N),
    (Recipe(Momentum(rate="inside", nesterov=True), schedule=Step()), N, N),
    (Recipe(Momentum(dampening=0.5)), C, C),
    (Recipe(Momentum(dampening=0.9, first="damped")), C, C),
    (Recipe(AdaGrad()), N, N),
    (Recipe(AdaGrad(eps_placement="outside")), C, N),
    (Recipe(RMSProp(), schedule=Step()), N, N),
    (Recipe(RMSProp(centred=True, momentum=0.9)), N, N),
    (Recipe(RMSProp(centred=True, momentum=0.9, rate="inside"), schedule=Step()), N, N),
    (Recipe(RMSProp(centred=True, momentum=0.9), schedule=Step()), C, N),
    (Recipe(RMSProp(eps_placement="outside")), C, N),
    (Recipe(RMSProp(bias_correction=True)), C, C),
    (Recipe(Adam(eps_placement="hat")), N, N),
    (Recipe(Adam(eps_placement="hat", amsgrad="raw")), N, N),
    (Recipe(Adam(eps_placement="hat", amsgrad="corrected")), C, N),
    (Recipe(Adam()), C, N),
    (Recipe(Adam(eps_placement="inside")), C, N),
    (Recipe(Adam(amsgrad="raw")), C, N),
    (Recipe(Momentum(), schedule=Plateau()), C, N),
    (Recipe(Adadelta(), decay=Decoupled()), N, N),
    (Recipe(Adamax()), C, N),
    (Recipe(Adamax(eps_placement="outside")), N, N),
    (Recipe(NAdam()), C, N),
    (Recipe(NAdam(momentum_decay=1.0)), C, N),
    (Recipe(RAdam()), C, C),
    (Recipe(Lion()), N, N),
    (Recipe(Lion(beta1=0.0)), C, C),
    (Recipe(Adafactor()), N, N),
    (Recipe(Adafactor(rate="plain")), C, N),
    (Recipe(Adafactor(relative=False)), C, N),
    (Recipe(Adafactor(factored=False)), C, N),
    (Recipe(LARS()), C, C),
    (Recipe(LAMB()), N, N),
    (Recipe(LAMB(), decay=Coupled()), N, N),
    (Recipe(LAMB(), decay=Decoupled()), C, N),
    (Recipe(LAMB(decay="outside"), decay=Decoupled()), N, N),
    (Recipe(Muon(scale="rms")), C, N),
    (Recipe(Rprop()), C, C),
    (Recipe(Yogi()), C, C),
    (Recipe(Adan()), C, C),
    (Recipe(ScheduleFree()), C, C),
    (Recipe(LBFGS()), C, C),
]
HAT = Adam(eps_placement="hat")
OTHERS = [
    ("decay", Recipe(HAT, decay=Decoupled()), N, N),
    ("decay", Recipe(SGD(), decay=Decoupled(), schedule=Step()), N, N),
    ("decay", Recipe(Adam(), decay=Decoupled()), C, N),
    ("decay", Recipe(HAT, decay=Decoupled(scaled_by="schedule")), C, C),
    ("decay", Recipe(HAT, decay=Coupled()), C, C),
    ("decay", Recipe(Lion(), decay=Decoupled()), N, N),
    ("decay", Recipe(Adafactor(), decay=Decoupled()), C, N),
    ("decay", Recipe(LAMB(decay="outside"), decay=Decoupled()), C, N),
    ("decay", Recipe(LAMB(), decay=Decoupled()), C, N),
    ("decay", Recipe(LAMB(), decay=Decoupled(scaled_by="schedule")), C, C),
    ("decay", Recipe(ScheduleFree(), decay=Decoupled()), C, C),
    ("clip", Recipe(HAT, GlobalNorm()), N, N),
    ("clip", Recipe(HAT, Adaptive()), C, C),
    ("clip", Recipe(HAT, PerTensor()), N, N),
    ("clip", Recipe(HAT, ByValue(-1.0, 2.0)), N, N),
    ("penalty", Recipe(HAT, penalty=L2()), C, N),
    ("penalty", Recipe(HAT, penalty=L1(on="all")), C, N),
    ("schedule", Recipe(HAT, schedule=Exponential()), N, N),
    ("schedule", Recipe(HAT, schedule=WarmUp(then=Cosine())), N, N),
    ("schedule", Recipe(HAT, schedule=WarmUp()), N, N),
    ("schedule", Recipe(HAT, schedule=WarmUp(then=Step())), N, C),
    ("schedule", Recipe(HAT, schedule=Polynomial()), N, N),
    ("schedule", Recipe(HAT, schedule=WarmUp(then=Polynomial())), N, C),
    ("schedule", Recipe(HAT, schedule=InverseTime()), N, N),
    ("schedule", Recipe(HAT, schedule=OneCycle()), N, C),
    ("schedule", Recipe(HAT, schedule=Plateau()), C, C),
    ("model", Recipe(HAT), N, N),
]


@pytest.mark.parametrize(("recipe", "exact", "shipped"), OPTIMIZERS)
def test_optimizers(backend, recipe, exact, shipped):
    assert how(backend, "optimizer", recipe, "exact") == exact
    assert how(backend, "optimizer", recipe, "shipped") == shipped


@pytest.mark.parametrize(("piece", "recipe", "exact", "shipped"), OTHERS)
def test_other_pieces(backend, piece, recipe, exact, shipped):
    assert how(backend, piece, recipe, "exact") == exact
    assert how(backend, piece, recipe, "shipped") == shipped


# Layers, exact, shipped.
MODELS = [
    ((Conv2D(4), Relu(), MaxPool(), Residual((Conv2D(4, padding="same"),)), GlobalAveragePool()), N, N),
    ((AveragePool(padding="same"), AveragePool(counts_padding=True), Flatten()), N, N),
    ((AveragePool(padding="same", counts_padding=True), Flatten()), C, C),
    ((Embedding(17, 4), LSTM(3, sequences=True), GRU(3, sequences=True), GRU(3, reset="before")), N, N),
    ((Reshape((8, 8)), SimpleRNN(3), LayerNorm(), BatchNorm(running="biased")), N, N),
    ((Sigmoid(), Tanh(), Elu(0.3), Softplus(), Swish(), Mish(), Softmax(), Linear()), N, N),
    ((Position(),), N, N),
    ((Attention(),), C, N),
    ((Dropout(),), C, N),
    ((BatchNorm(),), C, N),
    ((Residual((Residual((Dense(64), BatchNorm())),)),), C, N),
    ((LeakyRelu(),), C, N),
    ((Selu(),), C, N),
    ((Gelu(),), C, N),
    ((Gelu("tanh"),), C, N),
]


@pytest.mark.parametrize(("model", "exact", "shipped"), MODELS)
def test_models(backend, model, exact, shipped):
    problem = Network(DataSet("digits"), (*model, Dense(10)), CrossEntropy())
    assert how(backend, "model", Recipe(SGD()), "exact", problem) == exact
    assert how(backend, "model", Recipe(SGD()), "shipped", problem) == shipped


def test_a_model_is_told_layer_by_layer(backend):
    """One clause a kind, and what computes it."""
    inner = Residual((LayerNorm(), Attention(2), Dropout()))
    problem = Network(DataSet("digits"), (Reshape((8, 8)), Position(), inner, inner, Dense(10)), CrossEntropy())
    model = backend.plan(Cell(problem, Recipe(SGD()), CASE.budget, "tensorflow"), NAMES)["model"]
    assert model.by == "keras.layers, tf.add, keras.ops.add, tf.matmul, tf.nn.softmax, m·x with shared masks"
    assert [clause.split()[-1] for clause in model.why.split("; ")] == ["float32", "masks"]


def test_where_keras_has_another_formula_the_plan_tells_it(backend):
    cell = Cell(CASE.problem, Recipe(Adam(amsgrad="corrected")), CASE.budget, "tensorflow", "shipped")
    why = backend.plan(cell, NAMES)["optimizer"].why
    assert "ε-hat" in why
    assert "raw v" in why


def test_no_gpu_is_a_reason(backend):
    if backend.facts()["GPU"] != "none":
        pytest.skip("this machine has a GPU")
    with pytest.raises(Unsupported, match="sees no GPU"):
        backend.plan(Cell(CASE.problem, CASE.recipe, CASE.budget, "tensorflow", device="cuda"), NAMES)
