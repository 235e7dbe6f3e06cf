"""Every layer's hand-written backward against central differences of its forward, at odd shapes; values by hand."""

import math

import numpy as np
import pytest

from backends.reference import layers, normalisation
from backends.reference.layers import Pass
from harness.problems.masks import masks
from harness.spec.activations import Relu, Softmax, Tanh
from harness.spec.architecture import output_shape, parameter_shapes
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

# Layer, shape of the inputs, samples first.
LAYERS = [
    (Dense(3), (2, 4, 5)),
    (Dense(2, bias=False), (1, 3, 3, 2)),
    (Conv2D(3), (2, 5, 4, 2)),
    (Conv2D(2, (1, 1)), (1, 1, 1, 1)),
    (Conv2D(2, (3, 2), (2, 1), bias=False), (2, 6, 5, 3)),
    (Conv2D(2, (2, 3), (2, 2), "same"), (1, 5, 6, 2)),
    (Conv2D(1, (4, 4), (3, 2), "same"), (2, 7, 4, 1)),
    (Conv2D(2, (2, 2), (3, 3), "same"), (1, 4, 5, 1)),
    (MaxPool(), (2, 4, 6, 3)),
    (MaxPool((3, 2), (2, 1), "same"), (2, 5, 4, 2)),
    (MaxPool((2, 2), (1, 1)), (1, 2, 3, 1)),
    (MaxPool((1, 1), (2, 2)), (1, 3, 3, 2)),
    (AveragePool(), (2, 5, 4, 3)),
    (AveragePool((3, 3), (2, 2), "same"), (1, 4, 5, 2)),
    (AveragePool((3, 2), (1, 2), "same", counts_padding=True), (2, 3, 4, 1)),
    (GlobalAveragePool(), (2, 3, 4, 5)),
    (GlobalAveragePool(), (1, 1, 2)),
    (Reshape((2, 3)), (4, 6)),
    (Position(), (3, 4, 2)),
    *(
        (recurrent, shape)
        for recurrent in (
            SimpleRNN(3),
            SimpleRNN(2, "relu", sequences=True),
            LSTM(3),
            LSTM(2, sequences=True),
            GRU(3),
            GRU(2, sequences=True, reset="before"),
            GRU(1, reset="before"),
            GRU(2, sequences=True),
        )
        for shape in ((2, 4, 3), (1, 1, 1), (3, 1, 2))
    ),
    (Attention(), (2, 3, 4)),
    (Attention(heads=2), (2, 3, 4)),
    (Attention(heads=3, size=2, causal=True), (2, 4, 2)),
    (Attention(heads=1, size=1), (1, 1, 1)),
    (Dropout(0.4), (3, 4)),
    (Dropout(0.0), (2, 3, 2)),
    (BatchNorm(), (5, 3)),
    (BatchNorm(eps=0.1), (2, 3, 2, 2)),
    (LayerNorm(), (3, 4)),
    (LayerNorm(eps=0.01), (1, 2, 5)),
    (Softmax(), (3, 4)),
    (Softmax(), (2, 3, 2)),
    (Residual((Dense(4), Tanh())), (3, 4)),
    (Residual((Residual((LayerNorm(), Attention(2))), Dropout(0.5), Dense(4))), (2, 3, 4)),
]


def drawn(shape, seed=0):
    """Both signs, none nearer to 0 than 0.1, and no two of one window close to each other."""
    z = np.random.default_rng(seed).standard_normal(shape)
    return z + np.copysign(0.1, z)


def parameters_of(model, inputs, seed=1):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape) for name, shape in parameter_shapes(model, inputs).items()}


@pytest.mark.parametrize(("layer", "inputs"), LAYERS, ids=str)
def test_backward(slopes, close, layer, inputs):
    x, theta = drawn(inputs), parameters_of((layer,), inputs[1:])
    at = Pass(masks=masks((layer,), inputs[1:], step=3, samples=len(x)))
    y, of_layers = layers.propagate((layer,), theta, x, at)
    assert y.shape == (len(x), *output_shape(layer, inputs[1:]))
    delta = np.random.default_rng(2).standard_normal(y.shape)

    def value(x, theta):
        return float(np.sum(delta * layers.propagate((layer,), theta, x, at)[0]))

    of_inputs, gradients = layers.backpropagate((layer,), theta, of_layers, delta, at)
    close(of_inputs, slopes(lambda x: value(x, theta), x))
    assert set(gradients) == set(theta)
    for name, gradient in gradients.items():
        close(gradient, slopes(lambda w, name=name: value(x, {**theta, name: w}), theta[name]))


@pytest.mark.parametrize("inputs", [(3, 4), (1, 1), (2, 2, 3)], ids=str)
def test_embedding(slopes, close, inputs):
    """Rows that are looked up twice, and rows that never are."""
    layer, at = Embedding(6, 3), Pass()
    x = np.random.default_rng(0).integers(0, 4, inputs).astype(float)
    theta = parameters_of((layer,), inputs[1:])
    y, of_layers = layers.propagate((layer,), theta, x, at)
    assert y.shape == (*inputs, 3)
    np.testing.assert_array_equal(y[(0,) * len(inputs)], theta["embedding1.weight"][int(x[(0,) * len(inputs)])])
    delta = np.random.default_rng(2).standard_normal(y.shape)
    _, gradients = layers.backpropagate((layer,), theta, of_layers, delta, at)
    name = "embedding1.weight"
    close(
        gradients[name],
        slopes(lambda w: float(np.sum(delta * layers.propagate((layer,), {name: w}, x, at)[0])), theta[name]),
    )
    assert not gradients[name][4:].any()


def test_a_network_of_everything(slopes, close):
    """Gradients of all parameters of a deep network at once: the layers pass on to each other what they should."""
    model = (
        Reshape((4, 4, 1)),
        Conv2D(3, padding="same"),
        BatchNorm(),
        Relu(),
        Residual((Conv2D(3, padding="same", bias=False), Tanh())),
        MaxPool(),
        Reshape((4, 3)),
        Position(),
        Residual((LayerNorm(), Attention(3))),
        LSTM(3, sequences=True),
        GRU(2, sequences=True),
        Dropout(0.3),
        Flatten(),
        Dense(2),
    )
    x, at = drawn((3, 16)), Pass(masks=masks(model, (16,), 0, 3))
    theta = parameters_of(model, (16,))
    y, inputs = layers.propagate(model, theta, x, at)
    delta = np.random.default_rng(2).standard_normal(y.shape)
    _, gradients = layers.backpropagate(model, theta, inputs, delta, at)
    assert set(gradients) == set(theta)
    for name, w in theta.items():
        numeric = slopes(
            lambda w, name=name: float(np.sum(delta * layers.propagate(model, {**theta, name: w}, x, at)[0])), w
        )
        close(gradients[name], numeric, 1e-7)


def forward(layer, theta, x, at=None):
    name = f"{layer.spelling()}1"
    named = {f"{name}.{role}": np.array(w, dtype=float) for role, w in theta.items()}
    return layers.propagate((layer,), named, np.array(x, dtype=float), at or Pass())[0]


def test_convolution_by_hand():
    """[[1, 2, 3], [4, 5, 6], [7, 8, 9]] with the kernel [[1, 2], [3, 4]]: 1 + 4 + 12 + 20 = 37 at the top left."""
    x = np.arange(1.0, 10).reshape(1, 3, 3, 1)
    weight, bias = np.array([[1.0, 2], [3, 4]])[:, :, None, None], [0.5]
    valid = forward(Conv2D(1, (2, 2)), {"weight": weight, "bias": bias}, x)
    assert valid[0, :, :, 0].tolist() == [[37.5, 47.5], [67.5, 77.5]]
    # same: the extra row and column of zeros stand at the end. 3 + 2·0 + 3·6 + 0; 7 + 16; 8 + 18; 9
    same = forward(Conv2D(1, (2, 2), padding="same"), {"weight": weight, "bias": bias}, x)
    assert same[0, :, :, 0].tolist() == [[37.5, 47.5, 21.5], [67.5, 77.5, 33.5], [23.5, 26.5, 9.5]]
    strided = forward(Conv2D(1, (2, 2), (2, 2), "same"), {"weight": weight, "bias": bias}, x)
    assert strided[0, :, :, 0].tolist() == [[37.5, 21.5], [23.5, 9.5]]


def test_pools_by_hand():
    x = np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]).reshape(1, 3, 3, 1)
    same = (2, 2), (2, 2), "same"
    assert forward(MaxPool(*same), {}, -x)[0, :, :, 0].tolist() == [[-1, -3], [-7, -9]]
    assert forward(AveragePool(*same), {}, x)[0, :, :, 0].tolist() == [[3, 4.5], [7.5, 9]]
    assert forward(AveragePool(*same, counts_padding=True), {}, x)[0, :, :, 0].tolist() == [[3, 2.25], [3.75, 2.25]]


def test_a_maximum_that_stands_twice_sends_its_gradient_to_the_first():
    x = np.array([[0.0, 3, 3], [3, 0, 0]]).reshape(1, 2, 3, 1)
    at = Pass()
    _, inputs = layers.propagate((MaxPool((2, 3)),), {}, x, at)
    back, _ = layers.backpropagate((MaxPool((2, 3)),), {}, inputs, np.ones((1, 1, 1, 1)), at)
    assert back[0, :, :, 0].tolist() == [[0, 1, 0], [0, 0, 0]]


LOG3 = math.log(3)  # σ = 3/4, tanh = 4/5


def test_lstm_by_hand():
    """One unit, x = 1, no recurrence at first: i, f, o = ¾, g = ⅘, so c = ⅗ and h = ¾·tanh ⅗; then c = ¾·⅗ + ⅗."""
    theta = {"weight": [[LOG3] * 4], "recurrent": [[0.0] * 4], "bias": [0.0] * 4}
    found = forward(LSTM(1, sequences=True), theta, [[[1.0], [1.0]]])
    assert found.ravel() == pytest.approx([0.75 * math.tanh(0.6), 0.75 * math.tanh(1.05)], rel=1e-14)


def test_gru_by_hand():
    """One unit: r = z = ¾, n = tanh log 3 = ⅘, so h = ¼·⅘ = ⅕. Where b' of n is log 3, n = tanh(7/4·log 3)."""
    theta = {"weight": [[LOG3] * 3], "recurrent": [[0.0] * 3], "bias": [0.0] * 3}
    assert forward(GRU(1, reset="before"), theta, [[[1.0]]]) == pytest.approx(0.2, rel=1e-14)
    assert forward(GRU(1), {**theta, "recurrent_bias": [0.0] * 3}, [[[1.0]]]) == pytest.approx(0.2, rel=1e-14)
    beside = forward(GRU(1), {**theta, "recurrent_bias": [0.0, 0.0, LOG3]}, [[[1.0]]])
    assert beside == pytest.approx(math.tanh(1.75 * LOG3) / 4, rel=1e-14)


def test_the_two_resets_of_a_gru_differ_by_where_the_reset_stands():
    """Two units whose r differ, ¾ and ½, from h = (⅕, ⅕), each n fed by the other's h with the weight 5.

    Before, unit 1 gets its neighbour's share ½·⅕·5 = ½, unit 2 gets ¾; after, each gets its own r times 1: ¾ and ½.
    """
    gates = [LOG3, 0.0, LOG3, LOG3, LOG3, LOG3]  # r₁, r₂, z₁, z₂, n₁, n₂
    recurrent = np.zeros((2, 6))
    recurrent[0, 5] = recurrent[1, 4] = 5.0
    theta = {"weight": [gates], "recurrent": recurrent, "bias": [0.0] * 6}

    def h(n):
        return 0.25 * math.tanh(LOG3 + n) + 0.75 * 0.2

    twice = [[[1.0], [1.0]]]
    before = forward(GRU(2, reset="before"), theta, twice)
    after = forward(GRU(2), {**theta, "recurrent_bias": [0.0] * 6}, twice)
    assert before.ravel() == pytest.approx([h(0.5), h(0.75)], rel=1e-14)
    assert after.ravel() == pytest.approx([h(0.75), h(0.5)], rel=1e-14)


def test_attention_by_hand():
    """One head of one feature, all maps 1 but the key's log 3: scores of x = (0, 1) are (0, 0) and (0, log 3)."""
    theta = {"query": [[1.0]], "key": [[LOG3]], "value": [[1.0]], "output": [[1.0]]}
    theta |= {f"{role}_bias": [0.0] for role in tuple(theta)}
    assert forward(Attention(), theta, [[[0.0], [1.0]]]).ravel() == pytest.approx([0.5, 0.75], rel=1e-14)
    assert forward(Attention(causal=True), theta, [[[0.0], [1.0]]]).ravel() == pytest.approx([0.0, 0.75], rel=1e-14)


def test_normalisation_by_hand():
    """(1, 3) has mean 2 and variance 1: (∓1/√(1 + 3))·5 + 7 with ε = 3."""
    theta = {"scale": [5.0], "shift": [7.0]}
    assert forward(BatchNorm(eps=3.0), theta, [[1.0], [3.0]]).ravel().tolist() == [4.5, 9.5]
    theta = {"scale": [5.0, 5.0], "shift": [7.0, 7.0]}
    assert forward(LayerNorm(eps=3.0), theta, [[1.0, 3.0]]).ravel().tolist() == [4.5, 9.5]


@pytest.mark.parametrize(("running", "variance"), [("biased", 1.0), ("unbiased", 2.0)])
def test_running_moments_by_hand(running, variance):
    """ρ = ¾: 0·¾ + 2·¼ and 1·¾ + v·¼; what is trained sees the batch's moments, what is evaluated these."""
    layer = BatchNorm(momentum=0.75, eps=1e-9, running=running)
    found = layers.averaged((layer,), {"batch_norm1": np.array([[1.0], [3.0]])}, Pass())
    mean, of_variance = found["batch_norm1"]
    assert (mean.tolist(), of_variance.tolist()) == ([0.5], [0.75 + variance / 4])
    theta, at = {"scale": [1.0], "shift": [0.0]}, Pass(training=False, running=found)
    expected = (3 - 0.5) / math.sqrt(0.75 + variance / 4)
    assert forward(layer, theta, [[3.0]], at) == pytest.approx(expected, rel=1e-8)


def test_a_batch_of_one_is_all_mean():
    layer = BatchNorm()
    assert forward(layer, {"scale": [2.0], "shift": [3.0]}, [[5.0]]).tolist() == [[3.0]]
    mean, variance = normalisation.averaged(layer, (np.zeros(1), np.ones(1)), np.array([[5.0]]))
    assert (mean.tolist(), variance.tolist()) == ([pytest.approx(0.5)], [pytest.approx(0.9)])


def test_dropout_is_for_training_only():
    x = np.ones((4, 50))
    at = Pass(masks=masks((Dropout(0.2),), (50,), 0, 4))
    assert set(np.unique(forward(Dropout(0.2), {}, x, at))) == {0.0, 1.25}
    assert forward(Dropout(0.2), {}, x, Pass(training=False)).tolist() == x.tolist()
