"""Activations: values by hand, kinks, slopes against central differences."""

import math

import numpy as np
import pytest

from backends.reference import activations
from harness.spec.activations import (
    Elu,
    Exponential,
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

ACTIVATIONS = [
    Linear(),
    Sigmoid(),
    Tanh(),
    Relu(),
    LeakyRelu(0.2),
    LeakyRelu(1.5),
    Elu(1.0),
    Elu(0.4),
    Selu(),
    Softplus(),
    Swish(),
    Mish(),
    Gelu(),
    Gelu("tanh"),
    Exponential(),
    Softmax(),
]
FAR = [activation for activation in ACTIVATIONS if not isinstance(activation, Exponential | Softmax)]


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("shape", [(5, 4), (1, 1), (2, 2, 2, 2)], ids=str)
def test_backward(slopes, close, activation, shape):
    rng = np.random.default_rng(0)
    z = rng.standard_normal(shape)
    z, delta = z + np.copysign(0.1, z), rng.standard_normal(shape)
    numeric = slopes(lambda z: float(np.sum(delta * activations.forward(activation, z))), z)
    close(activations.backward(activation, z, delta), numeric)


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
        (Selu(), 1.0, 1.0507009873554805),
        (Selu(), -math.log(2), -1.0507009873554805 * 1.6732632423543772 / 2),
        (Softplus(), 0.0, math.log(2)),
        (Softplus(), -40.0, math.exp(-40)),
        (Swish(), math.log(3), 0.75 * math.log(3)),
        (Mish(), math.log(math.sqrt(3) - 1), math.log(math.sqrt(3) - 1) / 2),  # tanh(log √3) = (3 − 1)/(3 + 1)
        (Gelu(), 1.0, 0.8413447460685429),  # Φ(1)
        (Gelu("tanh"), 1.0, (1 + math.tanh(math.sqrt(2 / math.pi) * 1.044715)) / 2),
        (Exponential(), math.log(3), 3.0),
    ],
    ids=str,
)
def test_activation_by_hand(activation, z, expected):
    assert activations.activation(activation, np.array([z])) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    ("activation", "at_zero"),
    [
        (Relu(), 0.0),
        (LeakyRelu(0.2), 0.2),
        (LeakyRelu(0.0), 0.0),
        (Elu(1.0), 1.0),
        (Elu(0.4), 0.4),
        (Selu(), 1.0507009873554805 * 1.6732632423543772),
    ],
    ids=str,
)
def test_kink(activation, at_zero):
    assert activations.derivative(activation, np.array([0.0])) == at_zero
    assert activations.derivative(activation, np.array([-0.0])) == at_zero


@pytest.mark.parametrize("activation", FAR, ids=str)
def test_activation_is_finite_far_out(activation):
    far = np.array([-1e4, 1e4])
    with np.errstate(over="ignore"):
        assert np.isfinite(activations.activation(activation, far)).all()
        assert np.isfinite(activations.derivative(activation, far)).all()


def test_softmax_by_hand():
    rows = activations.softmax(np.array([[0.0, math.log(3)], [1e4, -1e4]]))
    assert rows.ravel() == pytest.approx([0.25, 0.75, 1.0, 0.0], rel=1e-15)


def test_selu_keeps_mean_0_and_variance_1():
    """Its constants from the definition, by quadrature over N(0, 1): E φ = 0 and E φ² = 1."""
    z = np.linspace(-12, 12, 2_000_001)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    y = activations.activation(Selu(), z)
    assert np.trapezoid(y * density, z) == pytest.approx(0, abs=1e-10)
    assert np.trapezoid(y**2 * density, z) == pytest.approx(1, abs=1e-10)
