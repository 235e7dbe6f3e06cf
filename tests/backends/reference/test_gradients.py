"""Every hand-written backward against central differences of its forward."""

import math

import numpy as np
import pytest

from backends.reference import functions, layers, losses, penalties
from harness.problems import task
from harness.spec.layers import Dense, Elu, Flatten, LeakyRelu, Linear, Relu, Sigmoid, Tanh, parameter_shapes
from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError
from harness.spec.problem import Beale, NoisyQuadratic, Quadratic, RandomGradients, Rosenbrock
from harness.spec.recipe import L1, L1L2, L2, NoPenalty

ACTIVATIONS = [Linear(), Sigmoid(), Tanh(), Relu(), LeakyRelu(0.2), LeakyRelu(1.5), Elu(1.0), Elu(0.4)]


def differences(f, x):
    """∇f(x) by central differences; the step balances the h² of the formula with rounding of f."""
    x, slope = np.array(x, dtype=np.float64), np.empty(np.shape(x))
    for i in np.ndindex(x.shape):
        h = np.cbrt(np.finfo(np.float64).eps) * max(1.0, abs(x[i]))
        there, back = x.copy(), x.copy()
        there[i] += h
        back[i] -= h
        slope[i] = (f(there) - f(back)) / (there[i] - back[i])
    return slope


def close(exact, numeric, tolerance=1e-8):
    """In norm, relative, over the whole tensor."""
    assert exact.shape == numeric.shape
    assert np.linalg.norm(exact - numeric) <= tolerance * np.linalg.norm(numeric)


def away_from_kinks(shape, seed=0):
    """Both signs, and no value nearer to 0 than 0.1."""
    z = np.random.default_rng(seed).standard_normal(shape)
    return z + np.copysign(0.1, z)


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (Dense(3), (5, 4)),
        (Dense(3, bias=False), (5, 4)),
        (Dense(1), (5, 4)),
        (Dense(3), (1, 4)),
        (Dense(1), (1, 1)),
        (Dense(1, bias=False), (1, 1)),
        (Flatten(), (3, 2, 2, 2)),
        (Flatten(), (1, 2, 2, 2)),
        (Flatten(), (3, 4)),
        *((activation, (5, 4)) for activation in ACTIVATIONS),
        *((activation, (1, 1)) for activation in ACTIVATIONS),
        (Relu(), (2, 2, 2, 2)),
    ],
    ids=str,
)
def test_layer(layer, inputs):
    rng = np.random.default_rng(1)
    x = away_from_kinks(inputs)
    shapes = parameter_shapes((layer,), inputs[1:])
    theta = {name.partition(".")[2]: rng.standard_normal(shape) for name, shape in shapes.items()}
    delta = rng.standard_normal(layers.forward(layer, theta, x).shape)

    def value(x, theta):
        return float(np.sum(delta * layers.forward(layer, theta, x)))

    of_inputs, of_parameters = layers.backward(layer, theta, x, delta)
    close(of_inputs, differences(lambda x: value(x, theta), x))
    assert list(of_parameters) == list(theta)
    for role, gradient in of_parameters.items():
        close(gradient, differences(lambda w, role=role: value(x, {**theta, role: w}), theta[role]))


@pytest.mark.parametrize(
    ("activation", "z", "expected"),
    [
        (Linear(), -3.0, -3.0),
        (Sigmoid(), 0.0, 0.5),
        (Sigmoid(), math.log(3), 0.75),
        (Tanh(), math.log(2), 0.6),
        (Relu(), -2.0, 0.0),
        (Relu(), 2.0, 2.0),
        (LeakyRelu(0.25), -2.0, -0.5),
        (LeakyRelu(0.25), 2.0, 2.0),
        (LeakyRelu(2.0), -2.0, -4.0),
        (Elu(0.5), -math.log(2), -0.25),
        (Elu(0.5), 2.0, 2.0),
    ],
    ids=str,
)
def test_activation_by_hand(activation, z, expected):
    assert layers.activation(activation, np.array([z])) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    ("activation", "at_zero"),
    [(Relu(), 0.0), (LeakyRelu(0.2), 0.2), (LeakyRelu(0.0), 0.0), (Elu(1.0), 1.0), (Elu(0.4), 0.4)],
    ids=str,
)
def test_kink(activation, at_zero):
    assert layers.derivative(activation, np.array([0.0])) == at_zero
    assert layers.derivative(activation, np.array([-0.0])) == at_zero


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_activation_is_finite_far_out(activation):
    far = np.array([-1e4, 1e4])
    with np.errstate(over="ignore"):
        assert np.isfinite(layers.activation(activation, far)).all()
        assert np.isfinite(layers.derivative(activation, far)).all()


def labels_for(n, classes):
    return np.arange(n) % classes


LOSSES = [
    (MeanSquaredError(), (4, 3), np.random.default_rng(5).standard_normal((4, 3))),
    (MeanSquaredError(), (1, 1), np.array([[0.3]])),
    (CrossEntropy(), (4, 3), labels_for(4, 3)),
    (CrossEntropy(), (1, 10), labels_for(1, 10)),
    (CrossEntropy(), (5, 2), labels_for(5, 2)),
    (BinaryCrossEntropy(), (4, 1), np.array([[0.0], [1.0], [1.0], [0.0]])),
    (BinaryCrossEntropy(), (1, 1), np.array([[1.0]])),
]


@pytest.mark.parametrize(("loss", "shape", "targets"), LOSSES, ids=str)
def test_loss(loss, shape, targets):
    z = 2 * np.random.default_rng(3).standard_normal(shape)
    close(losses.gradient(loss, z, targets), differences(lambda z: losses.value(loss, z, targets), z))


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
def test_penalty(penalty):
    gradients = penalties.gradient(penalty, WEIGHTS, 50)
    for name, w in WEIGHTS.items():
        numeric = differences(lambda w, name=name: penalties.value(penalty, {**WEIGHTS, name: w}, 50), w)
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
def test_function(function):
    made = task.make(function)
    x = functions.joined(task.initial(made, 0)) + 0.3
    batch = made.parts["training"].x
    gradient = functions.gradient(function, made, x, batch)
    close(gradient, differences(lambda x: functions.value(function, made, x, batch), x))


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
def test_network(model, loss, targets):
    rng = np.random.default_rng(8)
    x = rng.standard_normal((6, 2, 2) if isinstance(model[0], Flatten) else (6, 5))
    parameters = {name: rng.standard_normal(shape) for name, shape in parameter_shapes(model, x.shape[1:]).items()}

    def value(parameters):
        return losses.value(loss, layers.propagate(model, parameters, x)[-1], targets)

    *xs, outputs = layers.propagate(model, parameters, x)
    gradients = layers.backpropagate(model, parameters, xs, losses.gradient(loss, outputs, targets))
    assert set(gradients) == set(parameters)
    for name, w in parameters.items():
        close(gradients[name], differences(lambda w, name=name: value({**parameters, name: w}), w))
