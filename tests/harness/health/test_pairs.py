"""Averages over pairs of pre-activations against closed forms and a quadrature that knows of no series."""

import math

import numpy as np
import pytest

from harness.health.elementwise import both
from harness.health.mean_field import averages, nodes
from harness.health.pairs import between, through
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

# An activation with a jump in φ' of its size leaves terms beyond the last order: 64^(−½) of a small share.
TOLERANCES = {Selu(): 1e-3, Elu(): 1e-5}
ALL = [
    Linear(),
    Relu(),
    LeakyRelu(0.2),
    Elu(),
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
Q = (1.7, 0.6)


def pair(layer, c, which):
    """∫∫, the inner one over v given u on a grid that has the kink of φ(v) on an edge."""
    u, of_u = nodes()
    points, weights = np.polynomial.legendre.leggauss(20)
    edges = np.linspace(-9, 9, 121)
    half = np.diff(edges)[:, None] / 2
    v = ((edges[1:] + edges[:-1])[:, None] / 2 + half * points).ravel()
    mean, deviation = c * math.sqrt(Q[1]) * u[:, None], math.sqrt(Q[1] * (1 - c * c))
    density = np.exp(-(((v - mean) / deviation) ** 2) / 2) / (deviation * math.sqrt(2 * math.pi))
    inner = density @ (both(layer, v)[which] * (half * weights).ravel())
    return float(both(layer, math.sqrt(Q[0]) * u)[which] * inner @ of_u)


@pytest.mark.parametrize("layer", ALL, ids=lambda layer: layer.spelling() + getattr(layer, "form", ""))
@pytest.mark.parametrize("c", [-0.8, 0.0, 0.3, 0.95])
def test_pairs_are_integrals(layer, c):
    root = math.sqrt(Q[0] * Q[1])
    kernel = np.array([[Q[0], c * root], [c * root, Q[1]]])
    for which, found in enumerate(through(layer, kernel)):
        expected = pair(layer, c, which)
        assert abs(found[0, 1] - expected) <= TOLERANCES.get(layer, 1e-9) * max(1, abs(expected))
        of = averages(layer, np.array(Q))
        assert np.allclose(np.diag(found), (of.square, of.slope)[which], rtol=1e-12)


def test_relu_by_hand():
    """At right angles 1/2π and ¼; at 60° (√3/2 + (2π/3)·½)/2π and ⅓; opposite, nothing."""
    for c, value, slope in ((0.0, 1 / (2 * math.pi), 1 / 4), (-1.0, 0.0, 0.0), (1.0, 0.5, 0.5)):
        ramps, steps = through(Relu(), np.array([[1.0, c], [c, 1.0]]))
        assert math.isclose(ramps[0, 1], value, abs_tol=1e-15)
        assert math.isclose(steps[0, 1], slope, abs_tol=1e-15)
    ramps, steps = through(Relu(), np.array([[1.0, 0.5], [0.5, 1.0]]))
    assert math.isclose(ramps[0, 1], (math.sqrt(3) / 2 + math.pi / 3) / (2 * math.pi))
    assert math.isclose(steps[0, 1], 1 / 3)


def test_groups_are_blocks_of_all():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((7, 5))
    kernel = x @ x.T
    for layer in (Tanh(), Relu(), Exponential()):
        for whole, block in zip(
            through(layer, kernel),
            between(layer, kernel[:3, 3:], np.diag(kernel)[:3], np.diag(kernel)[3:]),
            strict=True,
        ):
            assert np.allclose(whole[:3, 3:], block)


def test_a_signal_of_zero_is_correlated_with_nothing():
    value, slope = through(Tanh(), np.array([[0.0, 0.0], [0.0, 1.0]]))
    assert value[0, 0] == value[0, 1] == 0
    assert math.isclose(slope[0, 0], 1)
