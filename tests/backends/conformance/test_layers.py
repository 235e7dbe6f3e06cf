"""Same maths: every layer, activation and loss in networks of odd shapes against the reference, to rounding."""

import numpy as np
import pytest

from harness.problems import task as tasks
from harness.spec.activations import (
    Elu,
    Exponential,
    Gelu,
    LeakyRelu,
    Mish,
    Relu,
    Selu,
    Sigmoid,
    Softmax,
    Softplus,
    Swish,
    Tanh,
)
from harness.spec.architecture import without_gradient
from harness.spec.cell import Budget
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
from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, Huber, MeanAbsoluteError, MeanSquaredError
from harness.spec.optimizers import SGD, Adam
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import L2, Decoupled, Recipe

DIGITS = DataSet("digits", scaling="min_max", training=60)
TOKENS = DataSet("digits", scaling="none", training=60)
CUBE = DataSet("cube", scaling="none")
IMAGE, ROWS = Reshape((8, 8, 1)), Reshape((8, 8))
FEATURES = (Flatten(), Dense(10))


def digits(*model, data=DIGITS, loss=None):
    return Network(data, model, loss or CrossEntropy())


NETWORKS = {
    "convolutions": digits(
        IMAGE,
        Conv2D(3),
        Relu(),
        Conv2D(2, (3, 2), (2, 1), "same", bias=False),
        Tanh(),
        Conv2D(3, (2, 3), (2, 2), "same"),
        Elu(),
        Conv2D(2, (1, 1)),
        *FEATURES,
    ),
    "uneven strides": digits(IMAGE, Conv2D(2, (4, 4), (3, 2), "same"), Swish(), Conv2D(3, (2, 2), (3, 3)), *FEATURES),
    "maximum": digits(
        IMAGE, Conv2D(2), Relu(), MaxPool(), Conv2D(2, padding="same"), MaxPool((3, 2), (2, 1), "same"), *FEATURES
    ),
    "maximum of ties": digits(
        IMAGE, Conv2D(3, (1, 1)), MaxPool((2, 2), (1, 1)), MaxPool((3, 3), (2, 2), "same"), *FEATURES
    ),
    "mean": digits(
        IMAGE,
        Conv2D(2, padding="same"),
        AveragePool(),
        Tanh(),
        AveragePool((3, 2), (1, 2), "same"),
        AveragePool((3, 3), (2, 2), "same", counts_padding=True),
        *FEATURES,
    ),
    "mean of all": digits(IMAGE, Conv2D(4), Relu(), GlobalAveragePool(), Dense(10)),
    "mean over time": digits(ROWS, Dense(6), Gelu("tanh"), GlobalAveragePool(), Dense(10)),
    "simple": digits(ROWS, SimpleRNN(5, sequences=True), SimpleRNN(4, "relu"), Dense(10)),
    "lstm": digits(ROWS, LSTM(5, sequences=True), LSTM(4, forget_bias=0.5), Dense(10)),
    "gru": digits(ROWS, GRU(5, sequences=True), GRU(4), Dense(10)),
    "gru, reset before": digits(ROWS, GRU(5, sequences=True, reset="before"), GRU(4, reset="before"), Dense(10)),
    "one step": digits(Reshape((1, 64)), LSTM(3, sequences=True), GRU(2, sequences=True), SimpleRNN(2), Dense(10)),
    "one unit": digits(ROWS, LSTM(1, sequences=True), GRU(1, sequences=True), SimpleRNN(1), Dense(10)),
    "attention": digits(ROWS, Attention(), GlobalAveragePool(), Dense(10)),
    "heads": digits(ROWS, Position(), Attention(4), Attention(3, size=2, causal=True), Flatten(), Dense(10)),
    "transformer": digits(
        ROWS,
        Dense(6),
        Position(),
        Residual((LayerNorm(), Attention(2))),
        Residual((LayerNorm(), Dense(12), Gelu(), Dense(6))),
        LayerNorm(),
        GlobalAveragePool(),
        Dense(10),
    ),
    "tokens": digits(Embedding(17, 3), Position(), Attention(1), Flatten(), Dense(10), data=TOKENS),
    "tokens in a square": digits(Reshape((8, 8)), Embedding(17, 2), Conv2D(2), *FEATURES, data=TOKENS),
    "residual": digits(
        IMAGE,
        Conv2D(3, padding="same", bias=False),
        Residual((BatchNorm(), Relu(), Conv2D(3, padding="same", bias=False), BatchNorm(0.8, 0.01, "biased"), Relu())),
        Residual((Residual((Tanh(),)), Conv2D(3, padding="same"))),
        *FEATURES,
    ),
    "dropout": digits(Dropout(0.1), Dense(8), Relu(), Dropout(0.5), Residual((Dense(8), Dropout(0.0))), Dense(10)),
    "dropout of an image": digits(IMAGE, Conv2D(2), Dropout(0.3), Residual((Dropout(0.6),)), *FEATURES),
    "batch norm": digits(
        Dense(6), BatchNorm(), Relu(), Dense(5, bias=False), BatchNorm(0.5, 1e-3, "biased"), Dense(10)
    ),
    "layer norm": digits(LayerNorm(), Dense(6), LayerNorm(0.1), Relu(), Dense(10)),
    "normalised sequence": digits(ROWS, BatchNorm(), LayerNorm(), LSTM(3, sequences=True), BatchNorm(), *FEATURES),
    **{
        f"{phi.spelling()} {i}": digits(Dense(7), phi, Dense(10))
        for i, phi in enumerate([Selu(), Softplus(), Swish(), Mish(), Gelu(), Gelu("tanh"), Exponential(), Softmax()])
    },
    "leaky in a sequence": digits(ROWS, Dense(4), LeakyRelu(0.2), Softmax(), Sigmoid(), *FEATURES),
    **{
        f"{loss.spelling()}, {loss.reduction}": Network(
            DataSet("cube", scaling="none"), (Flatten(), Dense(3), Tanh(), Dense(2)), loss
        )
        for loss in (
            MeanSquaredError("sum"),
            MeanSquaredError("sum_of_means"),
            MeanAbsoluteError(),
            MeanAbsoluteError("sum_of_means"),
            Huber(0.2),
            Huber(0.05, "sum"),
        )
    },
    "one-hot": digits(Dense(10), loss=CrossEntropy("one_hot")),
    "summed": digits(Dense(10), loss=CrossEntropy(reduction="sum")),
    "summed binary": Network(DataSet("breast_cancer"), (Dense(1),), BinaryCrossEntropy("sum")),
    "copy": Network(
        DataSet("copy", scaling="none", length=20, samples=40),
        (Embedding(10, 4), LSTM(5, sequences=True), Dense(9)),
        CrossEntropy(),
    ),
    "copy, one-hot": Network(
        DataSet("copy", scaling="none", length=20, samples=40),
        (Embedding(10, 4), GRU(3, sequences=True), Dense(9)),
        CrossEntropy("one_hot", "sum"),
    ),
    "adding": Network(
        DataSet("adding", scaling="none", length=20, samples=40), (LSTM(3), Dense(1)), MeanSquaredError()
    ),
    "regression of sequences": Network(CUBE, (Conv2D(3, (2, 2)), Softplus(), Flatten(), Dense(2)), MeanAbsoluteError()),
}
STEPS = Budget(steps=50, batch=6)
RECIPE = Recipe(SGD(0.05), penalty=L2(0.001), decay=Decoupled(0.01))


@pytest.mark.parametrize("network", NETWORKS)
def test_gradients(make, network):
    """Per tensor, of a batch of one and of six; where the exact gradient is zero, no more than rounding."""
    problem = NETWORKS[network]
    mine, _, order = make(problem, RECIPE, STEPS)
    theirs, _, _ = make(problem, RECIPE, STEPS, on="reference")
    nothing = without_gradient(problem.model, tasks.make(problem).inputs)
    for row in (order[0], order[0][:1]):
        ours, exact = mine.gradients(row), theirs.gradients(row)
        assert list(ours) == list(exact)
        largest = max(np.abs(g).max() for g in exact.values())
        for name, gradient in exact.items():
            scale = largest if name in nothing else np.abs(gradient).max()
            np.testing.assert_allclose(ours[name], gradient, rtol=0, atol=1e-11 * scale, err_msg=name)


# One of each family, and those that keep something from step to step. Of the others a step is a gradient, which is
# compared above, and an update, which knows no layers.
TRAINED = (
    *("convolutions", "uneven strides", "lstm", "gru, reset before", "transformer", "tokens", "residual"),
    *("dropout", "dropout of an image", "batch norm", "layer norm", "normalised sequence"),
    *("one-hot", "copy", "regression of sequences"),
)


@pytest.mark.parametrize("network", TRAINED)
def test_fifty_steps(run, rounding, network):
    """Parameters where they moved to, losses on the way, and what they evaluate to at the end, with running moments."""
    problem = NETWORKS[network]
    mine, theirs = run(problem, RECIPE, STEPS), run(problem, RECIPE, STEPS, on="reference")
    nothing = without_gradient(problem.model, tasks.make(problem).inputs)
    ends = mine.trainer.parameters()
    for name, w in theirs.trainer.parameters().items():
        if name not in nothing:
            distance = np.abs(ends[name] - w).max() / np.abs(w - theirs.start[name]).max()
            assert rounding(distance, problem, RECIPE, STEPS), name
    np.testing.assert_allclose(mine.steps.loss, theirs.steps.loss, rtol=1e-11)
    for part in ("training", "test"):
        found, expected = mine.trainer.evaluate(part), theirs.trainer.evaluate(part)
        np.testing.assert_allclose(found, expected, rtol=1e-11)
        assert mine.trainer.evaluate(part) == found  # evaluating changes nothing


@pytest.mark.parametrize("network", ["convolutions", "lstm", "gru", "transformer", "residual", "dropout"])
def test_single_precision(make, precisions, network):
    if "float32" not in precisions:
        pytest.skip("computes in float64 only")
    problem = NETWORKS[network]
    mine, _, order = make(problem, RECIPE, STEPS, precision="float32")
    theirs, _, _ = make(problem, RECIPE, STEPS, on="reference")
    nothing = without_gradient(problem.model, tasks.make(problem).inputs)
    ours, exact = mine.gradients(order[0]), theirs.gradients(order[0])
    for name, gradient in exact.items():
        if name not in nothing:
            np.testing.assert_allclose(ours[name], gradient, rtol=0, atol=1e-5 * np.abs(gradient).max(), err_msg=name)


@pytest.mark.parametrize("network", ["residual", "dropout", "batch norm", "normalised sequence"])
def test_reset_forgets_moments_and_masks(make, network):
    """Started over, a trainer repeats itself: losses to the last bit, and what it evaluates to."""
    problem = NETWORKS[network]
    mine, start, order = make(problem, Recipe(Adam(0.01)), STEPS)
    first, evaluated = mine.train(order), mine.evaluate("test")
    mine.reset(start)
    again = mine.train(order)
    assert again.loss.tolist() == first.loss.tolist()
    assert mine.evaluate("test") == evaluated


@pytest.mark.parametrize("network", ["dropout", "batch norm", "dropout of an image"])
def test_looking_at_gradients_changes_nothing(make, network):
    """The gradient is that of the coming step, with its masks; running moments stay as they are."""
    problem = NETWORKS[network]
    mine, _, order = make(problem, Recipe(SGD(0.1)), STEPS)
    theirs, _, _ = make(problem, Recipe(SGD(0.1)), STEPS, on="reference")
    for trainer in (mine, theirs):
        trainer.train(order[:3])
    before = mine.evaluate("test")
    ours, exact = mine.gradients(order[3]), theirs.gradients(order[3])
    assert mine.evaluate("test") == before
    nothing = without_gradient(problem.model, tasks.make(problem).inputs)
    for name in set(exact) - nothing:
        np.testing.assert_allclose(ours[name], exact[name], rtol=0, atol=1e-10 * np.abs(exact[name]).max())
    for trainer in (mine, theirs):
        trainer.train(order[3:6])
    np.testing.assert_allclose(mine.evaluate("test"), theirs.evaluate("test"), rtol=1e-10)


@pytest.mark.parametrize("network", ["residual", "dropout", "lstm", "gru", "transformer", "convolutions", "mean"])
def test_shipped_trains(run, name, network):
    """What the framework itself ships under these words trains too: the loss of the last steps is below the first's."""
    if name == "reference":
        pytest.skip("ships nothing")
    problem = NETWORKS[network]
    found = run(problem, Recipe(Adam(0.01)), Budget(steps=60, batch=20), precision="float32", implementation="shipped")
    assert found.steps.loss[-10:].mean() < found.steps.loss[:10].mean()
    assert np.isfinite(found.trainer.evaluate("test").loss)
