"""Averages over Gaussian pre-activations against closed forms, adaptive quadrature and the papers' figures."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

from backends.reference.activations import activation, derivative
from harness.health.elementwise import both
from harness.health.mean_field import averages, depth
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
    Softplus,
    Swish,
    Tanh,
)

ALL = [
    Linear(),
    Relu(),
    LeakyRelu(0.2),
    Elu(1.5),
    Selu(),
    Sigmoid(),
    Tanh(),
    Softplus(),
    Swish(),
    Mish(),
    Gelu(),
    Gelu("tanh"),
    Exponential(),
]
IDS = [layer.spelling() + getattr(layer, "form", "") for layer in ALL]


def average(f):
    """E f(z), z ~ N(0, 1), adaptively on each side of the kink at 0."""
    density = 1 / math.sqrt(2 * math.pi)
    parts = [quad(lambda z: f(z) * density * math.exp(-z * z / 2), *side, epsabs=1e-13, limit=500)[0] for side in SIDES]
    return sum(parts)


SIDES = [(-14, -1), (-1, -0.01), (-0.01, 0), (0, 0.01), (0.01, 1), (1, 14)]


@pytest.mark.parametrize("layer", ALL, ids=IDS)
def test_values_and_slopes_are_those_that_are_trained(layer):
    z = np.concatenate([np.linspace(-30, 30, 400), [-700.0, 1e-9, 500.0]])
    value, slope = both(layer, z)
    assert np.allclose(value, activation(layer, z), rtol=1e-12, atol=1e-300)
    assert np.allclose(slope, derivative(layer, z), rtol=1e-9, atol=1e-15)


# e^(4√q z) has its mass at z = 4√q: for a larger q beyond what is integrated.
@pytest.mark.parametrize(
    ("layer", "q"), [(layer, q) for layer in ALL for q in (0.3, 4.0, 400.0) if layer != ALL[-1] or q < 1]
)
def test_averages_are_integrals(layer, q):
    found = averages(layer, np.array(q))

    def at(power, which):
        return average(lambda z: float(both(layer, np.array(math.sqrt(q) * z))[which]) ** power)

    expected = [at(2, 0), at(1, 0), at(2, 1), at(4, 0), at(4, 1)]
    seen = [found.square, found.mean, found.slope, found.fourth, found.slope_fourth]
    assert np.allclose(seen, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("layer", ALL, ids=IDS)
def test_responses_are_logarithmic_derivatives(layer):
    q, h = 0.8, 1e-4
    above, below, here = (averages(layer, np.array(q * math.exp(e))) for e in (h, -h, 0))
    assert math.isclose(here.response, np.log(above.square / below.square) / (2 * h), abs_tol=1e-6)
    assert math.isclose(here.slope_response, np.log(above.slope / below.slope) / (2 * h), abs_tol=1e-6)


def test_closed_forms():
    """ReLU: q/2, √(q/2π), ½, 3q²/2. Leaky: (1 + a²)/2. Exponential: e^2q, e^q/2. Sigmoid's mean is ½.

    GELU: mean q/√(2π(1 + q)); square q/4 + q/2π·arcsin(q/(1 + q)) + q²/(π(1 + q)√(1 + 2q)).
    """
    q = np.array([0.1, 1.0, 7.0])
    relu, leaky, power, gelu = (averages(layer, q) for layer in (Relu(), LeakyRelu(0.2), Exponential(), Gelu()))
    assert np.allclose(relu.square, q / 2)
    assert np.allclose(relu.mean, np.sqrt(q / (2 * np.pi)))
    assert np.allclose(relu.slope, 0.5)
    assert np.allclose(relu.fourth, 1.5 * q**2)
    assert np.allclose(relu.response, 1)
    assert np.allclose(leaky.square, 0.52 * q)
    assert np.allclose(leaky.slope, 0.52)
    assert np.allclose(power.square, np.exp(2 * q))
    assert np.allclose(power.mean, np.exp(q / 2))
    assert np.allclose(averages(Sigmoid(), q).mean, 0.5)
    assert np.allclose(gelu.mean, q / np.sqrt(2 * np.pi * (1 + q)))
    square = q / 4 + q / (2 * np.pi) * np.arcsin(q / (1 + q)) + q**2 / (np.pi * (1 + q) * np.sqrt(1 + 2 * q))
    assert np.allclose(gelu.square, square)


@pytest.mark.parametrize(
    ("weight", "chi", "phase"), [(0.8, 0.6468, "ordered"), (1.3, 0.8802, "ordered"), (2.5, 1.1335, "chaotic")]
)
def test_tanh_is_ordered_or_chaotic(weight, chi, phase):
    """Networks of width 600 and 20 layers, simulated, gave 0.6437, 0.8663 and 1.1376."""
    found = depth(Tanh(), weight, 0.05)
    assert abs(found.chi - chi) < 5e-5
    assert math.isclose(found.scale, 1 / abs(math.log(found.chi)))
    assert found.phase == phase
    assert math.isclose(weight * averages(Tanh(), np.array(found.q)).square + 0.05, found.q)


def test_depth_by_hand():
    """Linear, σ_w² = ½: each layer halves the squared gradient, e in 1/ln 2 layers. ReLU is critical at (2, 0)."""
    halved = depth(Linear(), 0.5)
    assert math.isclose(halved.chi, 0.5)
    assert math.isclose(halved.scale, 1 / math.log(2))
    critical = depth(Relu(), 2.0, q=3.0)
    assert critical.phase == "critical"
    assert math.isclose(critical.q, 3.0)
    assert depth(Relu(), 2.5).q == math.inf
    assert depth(Relu(), 2.5).phase == "chaotic"
    assert depth(Relu(), 1.0).q == 0.0
    assert depth(Tanh(), 1.0).phase == "critical"


def test_selu_keeps_the_variance_that_it_was_made_for():
    """Mean 0 and variance 1 (Klambauer et al. 2017)."""
    found = averages(Selu(), np.array(1.0))
    assert math.isclose(found.square, 1, abs_tol=1e-12)
    assert math.isclose(found.mean, 0, abs_tol=1e-12)
