"""The gradients of losses, penalties, functions and networks against central differences."""

import math

import numpy as np
import pytest

from backends.reference import functions, layers, losses, penalties
from backends.reference.layers import Pass
from harness.problems import task
from harness.spec.activations import Elu, LeakyRelu, Linear, Relu, Sigmoid, Tanh
from harness.spec.architecture import parameter_shapes
from harness.spec.layers import Dense, Flatten
from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, Huber, MeanAbsoluteError, MeanSquaredError
from harness.spec.problem import Beale, NoisyQuadratic, Quadratic, RandomGradients, Rosenbrock
from harness.spec.recipe import L1, L1L2, L2, NoPenalty


def away_from_kinks(shape, seed=0):
    """Both signs, and no value nearer to 0 than 0.1."""
    z = np.random.default_rng(seed).standard_normal(shape)
    return z + np.copysign(0.1, z)


def labels_for(n, classes):
    return np.arange(n) % classes


LOSSES = [
    (MeanSquaredError(), (4, 3), np.random.default_rng(5).standard_normal((4, 3))),
    (MeanSquaredError(), (1, 1), np.array([[0.3]])),
    (CrossEntropy(), (4, 3), labels_for(4, 3)),
    (CrossEntropy(), (1, 10), labels_for(1, 10)),
    (CrossEntropy(), (5, 2), labels_for(5, 2)),
    (MeanSquaredError("sum"), (4, 3), np.random.default_rng(5).standard_normal((4, 3))),
    (MeanSquaredError("sum_of_means"), (2, 3, 2), np.random.default_rng(5).standard_normal((2, 3, 2))),
    (MeanAbsoluteError(), (4, 3), np.random.default_rng(5).standard_normal((4, 3))),
    (MeanAbsoluteError("sum_of_means"), (1, 3), np.random.default_rng(5).standard_normal((1, 3))),
    (Huber(), (4, 3), np.random.default_rng(5).standard_normal((4, 3))),
    (Huber(0.3, "sum"), (4, 3), np.random.default_rng(5).standard_normal((4, 3))),
    (CrossEntropy(), (3, 2, 4), labels_for(6, 4).reshape(3, 2)),
    (CrossEntropy(reduction="sum"), (3, 2, 4), labels_for(6, 4).reshape(3, 2)),
    (CrossEntropy("one_hot"), (3, 4), np.random.default_rng(5).dirichlet([1.0] * 4, 3)),
    (BinaryCrossEntropy("sum_of_means"), (2, 3), np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]])),
    (BinaryCrossEntropy(), (4, 1), np.array([[0.0], [1.0], [1.0], [0.0]])),
    (BinaryCrossEntropy(), (1, 1), np.array([[1.0]])),
]


@pytest.mark.parametrize(("loss", "shape", "targets"), LOSSES, ids=str)
def test_loss(slopes, close, loss, shape, targets):
    z = 2 * np.random.default_rng(3).standard_normal(shape)
    close(losses.gradient(loss, z, targets), slopes(lambda z: losses.value(loss, z, targets), z))


@pytest.mark.parametrize("n", [1, 7])
def test_softmax_gradients_sum_to_zero(n):
    z = 3 * np.random.default_rng(4).standard_normal((n, 10))
    gradient = losses.gradient(CrossEntropy(), z, labels_for(n, 10))
    assert np.abs(gradient.sum(axis=1)).max() <= 4 * np.finfo(np.float64).eps / n
    assert (np.sign(gradient) == 2 * (labels_for(n, 10)[:, None] != np.arange(10)) - 1).all()


@pytest.mark.parametrize(
    ("loss", "z", "y", "expected"),
    [
        (MeanSquaredError(), [[1.0, 2.0], [3.0, 5.0]], [[1.0, 0.0], [0.0, 4.0]], (0 + 4 + 9 + 1) / 4),
        (MeanSquaredError("sum"), [[1.0, 2.0], [3.0, 5.0]], [[1.0, 0.0], [0.0, 4.0]], 14.0),
        (MeanSquaredError("sum_of_means"), [[1.0, 2.0], [3.0, 5.0]], [[1.0, 0.0], [0.0, 4.0]], 4 / 2 + 10 / 2),
        (MeanAbsoluteError(), [[1.0, 2.0], [3.0, 5.0]], [[1.0, 0.0], [0.0, 4.0]], (0 + 2 + 3 + 1) / 4),
        (Huber(2.0), [[1.0, 2.0], [3.0, 5.0]], [[1.0, 0.0], [0.0, 4.0]], (0 + 2 + 2 * (3 - 1) + 0.5) / 4),
        (CrossEntropy(), [[[0.0, math.log(3)], [0.0, 0.0]]], [[1, 0]], (math.log(4 / 3) + math.log(2)) / 2),
        (CrossEntropy(reduction="sum"), [[[0.0, math.log(3)], [0.0, 0.0]]], [[1, 0]], math.log(4 / 3) + math.log(2)),
        (CrossEntropy("one_hot"), [[0.0, math.log(3)]], [[0.25, 0.75]], math.log(4) - 0.75 * math.log(3)),
        (CrossEntropy(), [[0.0, math.log(3)]], [1], math.log(4 / 3)),
        (CrossEntropy(), [[0.0, math.log(3)], [0.0, 0.0]], [0, 1], (math.log(4) + math.log(2)) / 2),
        (CrossEntropy(), [[1000.0, 0.0]], [1], 1000.0),
        (CrossEntropy(), [[-1000.0, -1000.0]], [0], math.log(2)),
        (BinaryCrossEntropy(), [[0.0]], [[1.0]], math.log(2)),
        (BinaryCrossEntropy(), [[math.log(3)], [math.log(3)]], [[1.0], [0.0]], (math.log(4 / 3) + math.log(4)) / 2),
        (BinaryCrossEntropy(), [[1000.0], [-1000.0]], [[0.0], [1.0]], 1000.0),
        (BinaryCrossEntropy(), [[40.0]], [[1.0]], math.exp(-40)),
        (BinaryCrossEntropy(), [[-40.0]], [[0.0]], math.exp(-40)),
    ],
    ids=str,
)
def test_loss_by_hand(loss, z, y, expected):
    assert losses.value(loss, np.array(z), np.array(y)) == pytest.approx(expected, rel=1e-14, abs=1e-300)


@pytest.mark.parametrize(
    ("loss", "z", "y", "expected"),
    [
        (MeanSquaredError(), [[1.0], [2.0], [3.0]], [[1.0], [2.0], [3.0]], 1.0),
        (MeanSquaredError(), [[2.0], [2.0], [2.0]], [[1.0], [2.0], [3.0]], 0.0),
        # residuals 1 + 0 + 0 + 1; about the means of each output, (2, 20): 1 + 1 + 100 + 100
        (MeanSquaredError(), [[2.0, 10.0], [3.0, 31.0]], [[1.0, 10.0], [3.0, 30.0]], 1 - 2 / 202),
        (CrossEntropy(), [[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]], [1, 1, 1], 2 / 3),
        (Huber(), [[2.0], [2.0], [2.0]], [[1.0], [2.0], [3.0]], 0.0),
        (MeanAbsoluteError(), [[1.0], [2.0], [3.0]], [[1.0], [2.0], [3.0]], 1.0),
        (CrossEntropy("one_hot"), [[1.0, 2.0], [3.0, 0.0]], [[0.2, 0.8], [0.4, 0.6]], 0.5),
        (CrossEntropy(), [[[1.0, 2.0], [3.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]], [[1, 1], [1, 1]], 3 / 4),
        (BinaryCrossEntropy(), [[0.1], [-0.1], [3.0], [0.0]], [[1.0], [1.0], [0.0], [0.0]], 0.5),
    ],
    ids=str,
)
def test_metric_by_hand(loss, z, y, expected):
    assert losses.metric(loss, np.array(z), np.array(y)) == pytest.approx(expected, rel=1e-14)


WEIGHTS = {
    "dense1.weight": away_from_kinks((3, 2), 1),
    "dense1.bias": away_from_kinks((2,), 2),
    "dense2.weight": away_from_kinks((2, 1), 3),
}


@pytest.mark.parametrize(
    "penalty",
    [
        NoPenalty(),
        L1(0.3),
        L1(0.3, on="all"),
        L2(0.3),
        L2(0.3, scaling="per_sample"),
        L2(0.3, on=("dense2.weight",)),
        L1L2(0.2, 0.7),
        L1L2(0.2, 0.7, scaling="per_sample", on="all"),
    ],
    ids=str,
)
def test_penalty(slopes, close, penalty):
    gradients = penalties.gradient(penalty, WEIGHTS, 50)
    for name, w in WEIGHTS.items():
        numeric = slopes(lambda w, name=name: penalties.value(penalty, {**WEIGHTS, name: w}, 50), w)
        close(gradients.get(name, np.zeros_like(w)), numeric)


@pytest.mark.parametrize(
    ("penalty", "value", "slope"),
    [  # w = (−2, 0, 3): Σ|w| = 5, Σw² = 13; m = 10 samples
        (L1(0.5), 2.5, [-0.5, 0.0, 0.5]),
        (L2(0.5), 6.5, [-2.0, 0.0, 3.0]),
        (L2(0.5, scaling="per_sample"), 0.325, [-0.1, 0.0, 0.15]),
        (L1L2(0.5, 0.25), 5.75, [-1.5, 0.0, 2.0]),
        (L1L2(0.5, 0.25, scaling="per_sample"), 2.6625, [-0.55, 0.0, 0.575]),
    ],
    ids=str,
)
def test_penalty_by_hand(penalty, value, slope):
    parameters = {"dense1.weight": np.array([[-2.0, 0.0, 3.0]]), "dense1.bias": np.array([7.0])}
    assert penalties.value(penalty, parameters, 10) == pytest.approx(value, rel=1e-15)
    gradients = penalties.gradient(penalty, parameters, 10)
    assert list(gradients) == ["dense1.weight"]
    assert gradients["dense1.weight"].ravel() == pytest.approx(slope, rel=1e-15)


FUNCTIONS = [
    Rosenbrock(),
    Rosenbrock(a=2.0, b=3.0),
    Beale(),
    Quadratic(condition=10.0, dimension=2),
    Quadratic(condition=50.0, dimension=5, rotated=True),
    NoisyQuadratic(dimension=1, samples=4),
    NoisyQuadratic(dimension=6, samples=9),
    RandomGradients(scale=2.0, samples=3),
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=str)
def test_function(slopes, close, function):
    made = task.make(function)
    x = functions.joined(task.initial(made, 0)) + 0.3
    batch = made.parts["training"].x
    gradient = functions.gradient(function, made, x, batch)
    close(gradient, slopes(lambda x: functions.value(function, made, x, batch), x))


@pytest.mark.parametrize(
    ("function", "x", "value", "gradient"),
    [
        # inner = 1 − 1.44 = −0.44, outer = 2.2: 4.84 + 100·0.1936; −2·2.2 − 400·(−1.2)(−0.44); 200·(−0.44)
        (Rosenbrock(), [-1.2, 1.0], 24.2, [-215.6, -88.0]),
        (Rosenbrock(a=2.0, b=3.0), [2.0, 4.0], 0.0, [0.0, 0.0]),
        # rᵢ = cᵢ: 2.25 + 5.0625 + 6.890625; 2(1.5 + 2·2.25 + 3·2.625)
        (Beale(), [1.0, 1.0], 14.203125, [0.0, 27.75]),
        (Beale(), [3.0, 0.5], 0.0, [0.0, 0.0]),
        (Quadratic(condition=4.0, dimension=2), [3.0, 1.0], 6.5, [3.0, 4.0]),
    ],
    ids=str,
)
def test_function_by_hand(function, x, value, gradient):
    made = task.make(function)
    batch = made.parts["training"].x
    assert functions.value(function, made, np.array(x), batch) == pytest.approx(value, rel=1e-14)
    assert functions.gradient(function, made, np.array(x), batch) == pytest.approx(gradient, rel=1e-13)


@pytest.mark.parametrize(
    ("model", "loss", "targets"),
    [
        ((Dense(4), Relu(), Dense(3)), CrossEntropy(), labels_for(6, 3)),
        ((Dense(4), Tanh(), Dense(3, bias=False), Elu(), Dense(1)), BinaryCrossEntropy(), labels_for(6, 2)[:, None]),
        ((Flatten(), Sigmoid(), Dense(4), LeakyRelu(), Linear(), Dense(2)), MeanSquaredError(), np.ones((6, 2))),
        ((Dense(1), Dense(1)), MeanSquaredError(), np.ones((6, 1))),
    ],
    ids=str,
)
def test_network(slopes, close, model, loss, targets):
    rng = np.random.default_rng(8)
    x = rng.standard_normal((6, 2, 2) if isinstance(model[0], Flatten) else (6, 5))
    parameters = {name: rng.standard_normal(shape) for name, shape in parameter_shapes(model, x.shape[1:]).items()}

    def value(parameters):
        return losses.value(loss, layers.propagate(model, parameters, x, Pass())[0], targets)

    outputs, inputs = layers.propagate(model, parameters, x, Pass())
    _, gradients = layers.backpropagate(model, parameters, inputs, losses.gradient(loss, outputs, targets), Pass())
    assert set(gradients) == set(parameters)
    for name, w in parameters.items():
        close(gradients[name], slopes(lambda w, name=name: value({**parameters, name: w}), w))
