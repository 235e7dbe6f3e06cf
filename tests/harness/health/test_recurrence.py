"""Drawn recurrent layers against the reference's, step by step, and against the closed form that a simple RNN has."""

import math

import numpy as np
import pytest

from backends.reference import recurrent as reference
from harness.health.field import Start, gaussian, of_data
from harness.health.mean_field import averages
from harness.health.recurrence import Layers, _back, _states, recurrent
from harness.health.spread import Shocks
from harness.spec.activations import Tanh
from harness.spec.architecture import Place
from harness.spec.initialisations import Orthogonal, Scaled
from harness.spec.layers import GRU, LSTM, SimpleRNN

LECUN = Scaled("lecun", "normal")


@pytest.mark.parametrize(
    "kind",
    [SimpleRNN(5, sequences=True), SimpleRNN(5, "relu", True), LSTM(5, True), GRU(5, True), GRU(5, True, "before")],
    ids=["tanh", "relu", "lstm", "gru", "gru, reset before"],
)
def test_each_drawn_layer_is_the_layer(kind):
    """The same weights, inputs and δ in the reference: the same states and, summed over them, the same gradients."""
    rng, n, times, units = np.random.default_rng(0), 3, 4, 5
    gates = {SimpleRNN: 1, LSTM: 4, GRU: 3}[type(kind)]
    driven = rng.standard_normal((times, gates, 2, n, units))
    weights = rng.standard_normal((gates, 2, units, units))
    delta = rng.standard_normal((times, 2, n, units))
    layers = Layers(kind, driven, weights)
    steps = list(_states(layers))
    of_x, of_u = _back(layers, steps, delta)
    for draw in range(2):
        x = np.moveaxis(driven[:, :, draw], 2, 0)  # (samples, time, gates, units)
        theta = {
            "weight": np.eye(gates * units),
            "recurrent": np.concatenate(list(weights[:, draw]), axis=1),
            "bias": np.zeros(gates * units),
            "recurrent_bias": np.zeros(gates * units),
        }
        if not (isinstance(kind, GRU) and kind.reset == "after"):
            del theta["recurrent_bias"]
        whole = x.reshape(n, times, -1)
        states = reference.forward(kind, theta, whole)
        mine = np.stack([step.h[draw] for step in steps[1:]], axis=1)
        assert np.allclose(mine, states, rtol=1e-12)
        above = np.moveaxis(delta[:, draw], 0, 1)
        of_inputs, gradients = reference.backward(kind, theta, whole, above)
        found = np.moveaxis(of_x[:, :, draw], (2, 0), (0, 1)).reshape(n, times, -1)
        assert np.allclose(found, of_inputs, rtol=1e-12)
        before = np.concatenate([np.zeros((n, 1, units)), states[:, :-1]], axis=1)
        of_state = np.moveaxis(of_u[:, :, draw], (2, 0), (0, 1)).reshape(n, times, -1)
        if not (isinstance(kind, GRU) and kind.reset == "before"):  # whose candidate sees rh
            assert np.allclose(np.einsum("nti,ntj->ij", before, of_state), gradients["recurrent"], rtol=1e-10)


def test_a_simple_rnn_is_a_deep_network():
    """tanh, one sample: q ← Var(W)·|x|² + V(q) from time to time (Yang 2019), δ² falls by χ. By hand for three times.

    64 units in 16 draws: an average over them errs by √(2/1024) = 4 % for one time; and one layer by its own 1/64.
    """
    x = np.random.default_rng(0).standard_normal((2, 3, 6))
    x[:, 1:] = 0
    start = Start(LECUN, LECUN, Shocks())
    passed = recurrent(
        Place("rnn1", SimpleRNN(64, sequences=True), (3, 6), ""), SimpleRNN(64, sequences=True), of_data(x), start
    )
    q = np.sum(x[:, 0] ** 2, axis=1) / 6
    expected, slopes = [], []
    for _ in range(3):
        of = averages(Tanh(), q)
        expected.append(of.square)
        slopes.append(of.slope)
        q = of.square  # LeCun: units · Var(U) = 1
    assert np.allclose(np.diag(passed.after.kernel).reshape(2, 3), np.transpose(expected), rtol=0.12)
    last = np.zeros((6, 6))
    last[2, 2] = last[5, 5] = 1.0
    gains = np.diag(passed.back(last)).reshape(2, 3) * 6 / 64  # E‖δ‖² of xW, from G of one input
    products = np.cumprod(slopes[::-1], axis=0)[::-1]
    assert np.allclose(gains, np.transpose(products), rtol=0.25)


def test_an_orthogonal_matrix_multiplies_by_its_radius():
    """ReLU lets half of a square pass, and U = ρQ makes ρ² of it: ρ²/2 a time, as in a deep ReLU network."""
    x = np.random.default_rng(0).standard_normal((2, 5, 4))
    x[:, 1:] = 0
    start = Start(LECUN, Orthogonal(1.5), Shocks())
    kind = SimpleRNN(64, "relu", sequences=True)
    passed = recurrent(Place("rnn1", kind, (5, 4), ""), kind, of_data(x), start)
    squares = np.diag(passed.after.kernel).reshape(2, 5).mean(axis=0)
    assert np.allclose(np.log(squares[1:] / squares[:-1]), math.log(1.5**2 / 2), atol=0.12)


def test_channels_are_as_many_as_asked_for():
    assert gaussian(np.eye(3), 0, 7)().shape == (7, 3)
    assert gaussian(np.zeros((3, 3)), 0, 7)().shape == (7, 3)
