"""Layers: which are PyTorch's own, where what it ships is another formula, what of them is no parameter."""

import numpy as np
import pytest
import torch

from backends.torch import activations, losses
from backends.torch.layers import from_canonical, to_canonical
from harness.spec.activations import Elu, Exponential, Gelu, LeakyRelu, Mish, Relu, Selu, Softmax, Softplus, Swish, Tanh
from harness.spec.architecture import without_gradient
from harness.spec.cell import Budget, Cell
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
from harness.spec.losses import LOSSES, CrossEntropy, MeanAbsoluteError, MeanSquaredError
from harness.spec.optimizers import SGD, Adafactor, Momentum, Muon
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import Adaptive, Recipe
from harness.spec.variants import variants

N, C = "native", "composed"
IMAGE, ROWS, PIXELS = (Reshape((8, 8, 1)),), (Reshape((8, 8)),), ()
SHORT = Budget(steps=6, batch=16)


def digits(*model, scaling="min_max"):
    return Network(DataSet("digits", scaling=scaling, training=100), (*model, Flatten(), Dense(10)), CrossEntropy())


def distance(mine, theirs):
    """As a run's, over the tensors that have a gradient."""
    problem = mine.trainer.task.problem
    nothing = without_gradient(problem.model, mine.trainer.task.inputs)
    ours, expected = mine.trainer.parameters(), theirs.trainer.parameters()
    return max(
        np.abs(ours[name] - w).max() / np.abs(w - mine.start[name]).max()
        for name, w in expected.items()
        if name not in nothing
    )


def both(run, problem, recipe=None):
    """Shipped, and the reference."""
    recipe = recipe or Recipe(SGD(0.1))
    return (
        run(problem, recipe, SHORT, implementation="shipped"),
        run(problem, recipe, SHORT, on="reference"),
    )


# What comes before, the layer, exact, shipped, and whether ``shipped`` has another formula.
ORIGINS = [
    (PIXELS, Dense(3), N, N, False),
    (IMAGE, Conv2D(3), N, N, False),
    (IMAGE, Conv2D(3, (2, 4), padding="same"), N, N, False),
    (IMAGE, Conv2D(3, strides=(2, 2), padding="same"), C, C, False),
    (IMAGE, Conv2D(3, strides=(7, 7), padding="same"), N, N, False),
    (IMAGE, MaxPool((3, 3), (2, 2), "same"), N, N, False),
    (IMAGE, MaxPool((2, 2), (1, 1), "same"), C, C, False),
    (IMAGE, AveragePool((3, 3), (2, 2), "same"), N, N, False),
    (IMAGE, AveragePool((3, 3), (1, 1), "same", counts_padding=True), N, N, False),
    (IMAGE, AveragePool((3, 3), (2, 2), "same", counts_padding=True), C, C, False),
    (IMAGE, AveragePool((2, 2), (1, 1), "same"), C, C, False),
    (ROWS, GlobalAveragePool(), N, N, False),
    (PIXELS, Embedding(17, 3), N, N, False),
    (PIXELS, Position(), N, N, False),
    (ROWS, SimpleRNN(3, "relu"), N, N, False),
    (ROWS, LSTM(3), N, N, False),
    (ROWS, GRU(3), N, N, False),
    (ROWS, GRU(3, reset="before"), C, N, True),
    (ROWS, Attention(2, causal=True), N, N, False),
    (PIXELS, Residual((Tanh(),)), N, N, False),
    (PIXELS, Dropout(), C, N, True),
    (PIXELS, BatchNorm(), N, N, False),
    (PIXELS, BatchNorm(running="biased"), C, N, True),
    (PIXELS, LayerNorm(), N, N, False),
    (PIXELS, Exponential(), N, N, False),
    (PIXELS, Softplus(), N, N, True),
    (PIXELS, Gelu("tanh"), N, N, False),
]


@pytest.mark.parametrize(("before", "layer", "exact", "shipped", "another"), ORIGINS, ids=str)
def test_origins(backend, before, layer, exact, shipped, another):
    problem = digits(*before, layer, scaling="none")
    found = {
        kind: backend.plan(Cell(problem, Recipe(SGD()), SHORT, "torch", kind), ("dense1.weight",))["model"]
        for kind in ("exact", "shipped")
    }
    assert (found["exact"].how, found["shipped"].how) == (exact, shipped)
    assert all(bool(of.why) == (of.how == C) for of in found.values()) or another
    assert bool(found["shipped"].why) == (another or shipped == C)


def test_a_layer_inside_a_residual_is_told_of_too(backend):
    problem = digits(*ROWS, Residual((GRU(8, sequences=True, reset="before"),)), GRU(3, reset="before"))
    model = backend.plan(Cell(problem, Recipe(SGD()), SHORT, "torch", "shipped"), ("dense1.weight",))["model"]
    assert model.why == "nn.GRU resets after the product hU"


@pytest.mark.parametrize("loss", [variant for kind in LOSSES for variant in variants(kind)], ids=str)
def test_origin_of_the_loss(backend, loss):
    cell = Cell(Network(DataSet("cube"), (Flatten(), Dense(2)), loss), Recipe(SGD()), SHORT, "torch")
    assert backend.plan(cell, ("dense1.weight",))["loss"].how == (C if loss.reduction == "sum_of_means" else N)


SAME = [
    (*IMAGE, Conv2D(3, (2, 3), (2, 1), "same"), Relu(), MaxPool((3, 3), (2, 2), "same"), AveragePool()),
    (*ROWS, LSTM(4, sequences=True), GRU(4, sequences=True), SimpleRNN(3)),
    (*ROWS, BatchNorm(), Position(), Residual((LayerNorm(), Attention(2, causal=True))), Mish()),
]


@pytest.mark.parametrize("model", SAME, ids=str)
def test_shipped_is_exact_where_nothing_is_said(run, model):
    assert distance(*both(run, digits(*model))) <= 1e-12


def test_a_softplus_is_linear_above_twenty():
    """By e⁻²⁰ at most; ``exact`` has the threshold where the last bit of the logarithm is gone, and no overflow."""
    z = torch.tensor([-700.0, -30.0, 0.0, 19.9, 20.1, 39.9, 40.1, 700.0], dtype=torch.float64, requires_grad=True)
    y = activations.module(Softplus(), exact=True)(z)
    np.testing.assert_allclose(y.detach().numpy(), np.logaddexp(0, z.detach().numpy()), rtol=1e-15)
    (slopes,) = torch.autograd.grad(y.sum(), z)
    np.testing.assert_allclose(slopes.numpy(), 1 / (1 + np.exp(-z.detach().numpy())), rtol=1e-15)
    off = (activations.module(Softplus(), exact=False)(z) - y).abs().max().item()
    assert 1e-9 < off < np.exp(-20)


def test_a_gru_resets_after_the_product(make, run):
    """So with b' = 0 what is shipped for ``before`` is the formula of ``after``."""
    before, after = (digits(*ROWS, GRU(4, reset=reset)) for reset in ("before", "after"))
    mine, start, order = make(before, Recipe(SGD(0.1)), SHORT, implementation="shipped")
    theirs, _, _ = make(after, Recipe(SGD(0.1)), SHORT, on="reference")
    theirs.reset(start | {"gru1.recurrent_bias": np.zeros(12)})
    ours, exact = mine.gradients(order[0]), theirs.gradients(order[0])
    for name, gradient in ours.items():
        np.testing.assert_allclose(gradient, exact[name], rtol=0, atol=1e-12 * np.abs(exact[name]).max())
    assert 0.1 < distance(*both(run, before)) < 1


def test_running_variances_are_unbiased(run):
    """What is trained does not see them; what is evaluated is off by n/(n − 1), n = 16 rows a batch."""
    biased, unbiased = (digits(Dense(5), BatchNorm(0.5, running=running)) for running in ("biased", "unbiased"))
    shipped, reference = both(run, biased)
    assert distance(shipped, reference) <= 1e-12
    found, other = (run(unbiased, Recipe(SGD(0.1)), SHORT, on="reference"), reference)
    assert shipped.trainer.evaluate("test").loss == pytest.approx(found.trainer.evaluate("test").loss, rel=1e-10)
    off = shipped.trainer.evaluate("test").loss / other.trainer.evaluate("test").loss - 1
    assert 1e-4 < abs(off) < 0.01


def test_a_batch_of_one_row_is_normalised(run):
    """Which ``nn.BatchNorm1d`` refuses, and whose unbiased variance would be 0/0."""
    problem, budget = digits(Dense(5), BatchNorm(), Relu()), Budget(steps=5, batch=1)
    for implementation in ("exact", "shipped"):
        mine = run(problem, Recipe(SGD(0.1)), budget, implementation=implementation)
        theirs = run(problem, Recipe(SGD(0.1)), budget, on="reference")
        assert mine.trainer.evaluate("test").loss == pytest.approx(theirs.trainer.evaluate("test").loss, rel=1e-12)


def test_a_tensor_that_torch_has_beside_is_no_parameter(make):
    """Its second bias, which stays 0, and the running moments."""
    problem = digits(*ROWS, LSTM(3, sequences=True), BatchNorm(), SimpleRNN(2))
    trainer, start, order = make(problem, Recipe(Momentum(0.1)), SHORT)
    trainer.train(order)
    assert list(trainer.parameters()) == list(trainer.gradients(order[0])) == list(start)
    seconds = [w for name, w in trainer.module.named_parameters() if name.endswith("bias_hh_l0")]
    assert len(seconds) == 2
    assert not any(w.any() for w in seconds)


DROPOUT = digits(Dropout(0.2), Dense(16), Relu(), Residual((Dropout(0.5),)))


def test_torchs_own_dropout_repeats_itself(make):
    """Whatever is looked at meanwhile, and whoever else draws from torch's generator."""
    recipe = Recipe(SGD(0.1))
    mine, start, order = make(DROPOUT, recipe, SHORT, implementation="shipped")
    whole = mine.train(order).loss.tolist()
    mine.reset(start)
    other, _, _ = make(DROPOUT, recipe, SHORT, implementation="shipped", seed=1)
    found = []
    for row in order:
        mine.gradients(row)
        mine.evaluate("test")
        other.train(order[:1])
        torch.rand(7)
        found += mine.train(row[None]).loss.tolist()
    assert found == whole


def test_torchs_own_dropout_draws_anew_each_step_and_looks_ahead(make):
    mine, _, order = make(DROPOUT, Recipe(SGD(1.0)), SHORT, implementation="shipped")
    row, before = order[0], mine.parameters()
    ahead, again = mine.gradients(row), mine.gradients(row)
    mine.train(row[None])
    after = mine.parameters()
    for name, gradient in ahead.items():
        assert np.array_equal(gradient, again[name])
        np.testing.assert_allclose(before[name] - after[name], gradient, rtol=0, atol=1e-12)
    still, _, _ = make(DROPOUT, Recipe(SGD(1e-12)), SHORT, implementation="shipped")
    still.train(row[None])
    assert not np.allclose(still.gradients(row)["dense1.weight"], ahead["dense1.weight"], rtol=0.1)


IN_A_SQUARE = digits(Reshape((8, 8)), Embedding(17, 2), Conv2D(3, (2, 3)), scaling="none")
ON_ROWS = digits(*ROWS, Position(), Attention(2, size=3), LSTM(3, sequences=True), GRU(2, reset="before"))
LAYOUTS = [Recipe(Muon()), Recipe(Adafactor(eps1=0.0)), Recipe(Adafactor()), Recipe(Momentum(0.1), Adaptive(0.01))]


@pytest.mark.parametrize("recipe", LAYOUTS)
@pytest.mark.parametrize("problem", [IN_A_SQUARE, ON_ROWS], ids=["images", "sequences"])
def test_formulas_hold_in_the_canonical_layout(run, tolerance, recipe, problem):
    mine = run(problem, recipe, SHORT).distance(run(problem, recipe, SHORT, on="reference"))
    assert mine <= 1e-12 or mine <= tolerance(problem, recipe, SHORT)


@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4, 5)])
@pytest.mark.parametrize("name", ["residual1.conv2d1.weight", "embedding1.weight", "position2.weight", "lstm1.bias"])
def test_layouts_there_and_back(name, shape):
    w = torch.arange(np.prod(shape)).reshape(shape)
    assert torch.equal(to_canonical(name, from_canonical(name, w)), w)
    assert to_canonical(name, w).data_ptr() == w.data_ptr()


def test_adafactor_factors_a_convolution_over_height_and_width(run, backend):
    problem, recipe = digits(*IMAGE, Conv2D(3)), Recipe(Adafactor(0.1, eps1=0.0))
    shipped, reference = both(run, problem, recipe)
    weight, start = "conv2d1.weight", reference.start["conv2d1.weight"]
    ours, theirs = (run.trainer.parameters()[weight] - start for run in (shipped, reference))
    assert 0.01 < np.abs(ours - theirs).max() / np.abs(theirs).max() < 1
    plans = [backend.plan(Cell(problem, recipe, SHORT, "torch", kind), (weight,)) for kind in ("exact", "shipped")]
    assert [plan["optimizer"].how for plan in plans] == [C, N]
    assert "height and width" in plans[1]["optimizer"].why


def test_muon_scales_an_embedding_by_its_rows(run, backend):
    problem, recipe = digits(Embedding(17, 3), scaling="none"), Recipe(Muon(0.01))
    shipped, reference = both(run, problem, recipe)
    name = "embedding1.weight"
    moved = [np.linalg.norm(run.trainer.parameters()[name] - run.start[name]) for run in (shipped, reference)]
    assert moved[0] / moved[1] == pytest.approx(np.sqrt(17 / 3), rel=0.3)
    plan = backend.plan(Cell(problem, recipe, SHORT, "torch", "shipped"), (name,))
    assert "an embedding's or a position's rows" in plan["optimizer"].why


@pytest.mark.parametrize("phi", [Relu(), LeakyRelu(0.3), Elu(0.5), Selu(), Softplus(), Swish(), Mish(), Softmax()])
def test_kinks(make, phi):
    """Every z is 0."""
    problem = digits(Dense(4), phi)
    mine, start, order = make(problem, Recipe(SGD()), SHORT)
    theirs, _, _ = make(problem, Recipe(SGD()), SHORT, on="reference")
    there = start | {name: np.zeros_like(start[name]) for name in ("dense1.weight", "dense1.bias")}
    mine.reset(there)
    theirs.reset(there)
    ours, exact = mine.gradients(order[0]), theirs.gradients(order[0])
    for name, gradient in exact.items():
        np.testing.assert_allclose(ours[name], gradient, rtol=0, atol=1e-13)


@pytest.mark.parametrize("loss", [MeanAbsoluteError("sum"), MeanSquaredError("sum_of_means")])
def test_nothing_left_to_learn(loss):
    outputs = torch.ones(3, 2, requires_grad=True)
    (slopes,) = torch.autograd.grad(losses.loss(loss, outputs, torch.ones(3, 2)), outputs)
    assert not slopes.any()
