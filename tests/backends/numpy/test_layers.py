"""What is particular to tapes: shared buffers, fast ways of their own, and where masks and moments are kept."""

import functools

import numpy as np
import pytest

from backends.numpy import trainer as loop
from harness.problems import task as tasks
from harness.spec.activations import Elu, Gelu, LeakyRelu, Linear, Relu, Selu, Softmax, Tanh
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
from harness.spec.losses import CrossEntropy, Huber, MeanAbsoluteError, MeanSquaredError
from harness.spec.optimizers import SGD, Adam, Momentum
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import Recipe

IMAGE, ROWS = Reshape((8, 8, 1)), Reshape((8, 8))
BUDGET = Budget(steps=6, batch=5)
DROPOUT = (Dropout(0.25), Dense(8), Relu(), Residual((Dropout(0.5),)), Dense(10))
SEVEN = (IMAGE, Conv2D(2, (2, 2)))  # images of 7 × 7, in which windows of 2 leave a border
NETWORKS = {
    "a residual of nothing": (Dense(6), Residual((Linear(),)), Residual((Residual((Reshape((6,)),)),)), Dense(10)),
    "a residual of a position": (ROWS, Dense(3), Residual((Position(),)), Residual((Position(), Tanh())), Flatten()),
    "first a residual": (ROWS, Residual((Linear(), Residual((Tanh(),)), Position())), Flatten(), Dense(10)),
    "a pool in a residual": (*SEVEN, Residual((MaxPool((2, 2), (1, 1), "same"),)), Tanh(), Flatten()),
    "a border that no window sees": (*SEVEN, MaxPool(), Conv2D(2, (1, 1)), Flatten(), Dense(10)),
    "gaps": (*SEVEN, MaxPool((2, 1), (3, 2)), Conv2D(2, (1, 1), (2, 2), "same"), Flatten(), Dense(10)),
    "gaps in means": (*SEVEN, AveragePool((1, 2), (2, 3), "same"), Flatten(), Dense(10)),
    "an even kernel": (IMAGE, Conv2D(2), Conv2D(3, (2, 4), padding="same"), Conv2D(1, (3, 2)), Flatten(), Dense(10)),
    "wide rows": (Dense(70), Softmax(), Dense(80), Dense(10)),
    "kinks": (Dense(9), LeakyRelu(1.5), Dense(9), Elu(0.3), Dense(9), LeakyRelu(0), Selu(), Dense(10)),
}
EVERY_KIND = {
    "image": (IMAGE, Conv2D(2), BatchNorm(), Relu(), MaxPool(), AveragePool((2, 2), (1, 1), "same"), Flatten()),
    "sequence": (ROWS, GRU(3, sequences=True), GRU(3, True, "before"), SimpleRNN(3, sequences=True), LSTM(4)),
    "transformer": (ROWS, Dropout(0.1), Position(), Attention(2, causal=True), LayerNorm(), Gelu(), Gelu("tanh")),
    "mean": (ROWS, LSTM(3, sequences=True), SimpleRNN(3, "relu", True), Selu(), Elu(0.5), GlobalAveragePool()),
}


def digits(*model, loss=None):
    return Network(DataSet("digits", scaling="min_max", training=40), model, loss or CrossEntropy())


def compare(make, problem):
    """The gradients of a batch and of one sample are those of the reference."""
    mine, _, order = make(problem, Recipe(SGD()), BUDGET)
    theirs, _, _ = make(problem, Recipe(SGD()), BUDGET, on="reference")
    for row in (order[0], order[1][:1]):
        ours, exact = mine.gradients(row), theirs.gradients(row)
        for name, gradient in exact.items():
            np.testing.assert_allclose(ours[name], gradient, rtol=0, atol=1e-12 * np.abs(gradient).max(), err_msg=name)


@pytest.mark.parametrize("network", NETWORKS)
def test_gradients(make, network):
    model = NETWORKS[network]
    compare(make, digits(*model, *(() if model[-1] == Dense(10) else (Dense(10),))))


@pytest.mark.parametrize("vocabulary", [64, 65])
def test_few_and_many_rows_of_an_embedding(make, vocabulary):
    data = DataSet("digits", scaling="none", training=40)
    compare(make, Network(data, (Embedding(vocabulary, 3), Flatten(), Dense(10)), CrossEntropy()))


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_float32_throughout(make, kind):
    """Every array that a tape is bound to: no step goes by way of float64."""
    problem = digits(*EVERY_KIND[kind], Flatten(), Dense(10))
    mine, _, order = make(problem, Recipe(SGD()), BUDGET, precision="float32", implementation="shipped")
    mine.train(order)
    mine.evaluate("test")
    for on in mine.objectives.values():
        for call in (*on.forward, *on.backward, *on.average):
            if isinstance(call, functools.partial):
                arrays = [a for a in call.args if isinstance(a, np.ndarray | np.generic)]
                assert {a.dtype for a in arrays if a.dtype.kind == "f"} <= {np.dtype("float32")}, call


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_overflow_flows_silently(make, kind):
    problem = digits(*EVERY_KIND[kind], Flatten(), Dense(10))
    mine, _, order = make(problem, Recipe(Momentum(lr=1e38)), Budget(steps=60, batch=5), precision="float32")
    assert not np.isfinite(mine.train(order).loss).all()
    mine.evaluate("training")


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_plan_is_native_and_shipped_is_exact_but_for_dropout(make, backend, kind):
    model = (*(layer for layer in EVERY_KIND[kind] if not isinstance(layer, Dropout)), Flatten(), Dense(10))
    ends = []
    for implementation in ("exact", "shipped"):
        cell = Cell(digits(*model), Recipe(SGD()), BUDGET, "numpy", implementation=implementation)
        assert backend.plan(cell, ())["model"].how == "native"
        mine, _, order = make(digits(*model), Recipe(SGD()), BUDGET, implementation=implementation)
        ends.append(mine.train(order).loss.tolist())
    assert ends[0] == ends[1]


def test_plan_tells_what_scipy_computes_and_where_masks_come_from(backend):
    def model(layers, implementation):
        return backend.plan(Cell(digits(*layers), Recipe(SGD()), BUDGET, "numpy", implementation), ())["model"]

    assert model((Dense(10),), "shipped") == ("native", "NumPy", "")
    assert "scipy.special" in model((Residual((Gelu(),)), Dense(10)), "exact").by
    assert "scipy.special" not in model((Gelu("tanh"), Dense(10)), "exact").by
    assert model(DROPOUT, "exact").why == ""
    assert "own generator" in model(DROPOUT, "shipped").why


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_own_masks(make, precision):
    """0 with probability p, else 1/(1 − p): new at each step, the same after a reset, and not used up by a look."""
    words = {"precision": precision, "implementation": "shipped"}
    mine, start, order = make(digits(*DROPOUT), Recipe(Adam()), Budget(steps=30, batch=40), **words)
    on = mine.objective(40)
    seen = {name: [] for name in on.masks}
    for row in order:
        before = mine.gradients(row)
        looked = {name: mask.copy() for name, mask in on.masks.items()}
        mine.train(row[None])
        assert all(np.array_equal(looked[name], mask) for name, mask in on.masks.items())
        for name, mask in looked.items():
            seen[name].append(mask)
    assert list(before) == list(start)
    for rate, masks in zip((0.25, 0.5), seen.values(), strict=True):
        together = np.array(masks)
        assert np.unique(together).tolist() == [0, float(np.dtype(precision).type(1 / (1 - rate)))]
        spread = np.sqrt(rate * (1 - rate) / together.size)
        assert abs((together == 0).mean() - rate) < 5 * spread
        assert len({mask.tobytes() for mask in masks}) == len(masks)
    end = mine.parameters()
    mine.reset(start)
    mine.train(order)
    assert all(np.array_equal(mine.parameters()[name], w) for name, w in end.items())


def test_shipped_masks_are_other_masks(make):
    exact, _, order = make(digits(*DROPOUT), Recipe(SGD()), BUDGET)
    shipped, _, _ = make(digits(*DROPOUT), Recipe(SGD()), BUDGET, implementation="shipped")
    assert shipped.train(order).loss[0] != pytest.approx(exact.train(order).loss[0], rel=1e-6)


def test_moments_follow_training_steps_only(make):
    """r ← ρr + (1 − ρ)·new of the first layer's inputs, from mean 0 and variance 1."""
    problem = digits(BatchNorm(0.75), Dense(10))
    mine, start, order = make(problem, Recipe(SGD()), BUDGET)
    mean, variance = mine.running["batch_norm1"]
    mine.gradients(order[0])
    assert (set(mean), set(variance)) == ({0.0}, {1.0})
    mine.train(order[:1])
    x = tasks.make(problem).parts["training"].x[order[0]]
    np.testing.assert_allclose(mean, 0.25 * x.mean(axis=0), rtol=1e-13, atol=1e-16)
    np.testing.assert_allclose(variance, 0.75 + 0.25 * x.var(axis=0, ddof=1), rtol=1e-13)
    mine.reset(start)
    assert (set(mean), set(variance)) == ({0.0}, {1.0})


@pytest.mark.parametrize(
    "problem",
    [
        digits(*DROPOUT, BatchNorm()),
        digits(Dense(10), loss=CrossEntropy("one_hot", "sum")),
        *(
            Network(DataSet("diabetes"), (Dense(1),), loss)
            for loss in (MeanSquaredError(), MeanAbsoluteError("sum"), Huber(0.5, "sum_of_means"))
        ),
    ],
    ids=lambda problem: problem.loss.spelling(),
)
def test_evaluation_in_parts(make, monkeypatch, problem):
    """Some samples at a time, the last time fewer, is all of them at once."""
    mine, _, order = make(problem, Recipe(SGD(0.001)), BUDGET)
    mine.train(order)
    whole = mine.evaluate("test")
    monkeypatch.setattr(loop, "AT_ONCE", 7)
    assert mine.evaluate("test") == pytest.approx(whole, rel=1e-12)
