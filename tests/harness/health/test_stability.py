"""Stability limits against the reference's own optimizers on a quadratic, a little below and a little above."""

import math

import numpy as np
import pytest

from backends.reference import optimizers
from backends.reference.optimizers.step import At
from harness.health.stability import limit, response
from harness.spec.optimizers import (
    LAMB,
    LARS,
    LBFGS,
    SGD,
    AdaBelief,
    Adadelta,
    Adafactor,
    AdaGrad,
    Adam,
    Adamax,
    Adan,
    Lion,
    Momentum,
    Muon,
    NAdam,
    RAdam,
    RMSProp,
    Rprop,
    ScheduleFree,
    Yogi,
)

# An ε that dwarfs every gradient is the matrix P that divides the step, and stands still: P = ε, or √ε inside the root.
EPS = 1e12
ROOT = math.sqrt(EPS)
LINEAR = {
    "sgd": (SGD(0.3), 1.0),
    "heavy ball": (Momentum(0.1), 1.0),
    "heavy ball, rate inside": (Momentum(0.1, 0.5, rate="inside"), 1.0),
    "averaged": (Momentum(0.1, 0.8, 0.8, "damped"), 1.0),
    "dampened": (Momentum(0.1, 0.8, 0.3), 1.0),
    "nesterov": (Momentum(0.1, nesterov=True), 1.0),
    "adagrad": (AdaGrad(0.1, EPS), ROOT),
    "rmsprop": (RMSProp(0.1, eps=EPS, eps_placement="outside"), EPS),
    "rmsprop, momentum": (RMSProp(0.1, eps=EPS, momentum=0.7), ROOT),
    "adam": (Adam(0.1, eps=EPS), EPS),
    "adam, slower": (Adam(0.1, 0.95, 0.9, EPS), EPS),
    "adamax": (Adamax(0.1, eps=EPS, eps_placement="outside"), EPS),
    "nadam": (NAdam(0.1, eps=EPS, momentum="constant"), EPS),
    "radam": (RAdam(0.1, beta2=0.9, eps=EPS), EPS),
    "yogi": (Yogi(0.1, eps=EPS, initial_accumulator=0.0), EPS),
    "adabelief": (AdaBelief(0.1, eps=EPS), EPS),
    "adadelta": (Adadelta(0.1, eps=EPS), 1.0),
    "adan": (Adan(0.1, eps=EPS), EPS),
    "adan, complement": (Adan(0.1, 0.9, 0.8, 0.9, EPS, "complement"), EPS),
    "schedule free": (ScheduleFree(0.1, base="sgd"), 1.0),
    "schedule free adam": (ScheduleFree(0.1, eps=EPS), EPS),
}


def growth(optimizer, sharpness, steps=1200):
    """By how much |w| has grown from the middle to the end of a run on ½λw²."""
    w = np.array([1e-140])  # so that √v stays far below ε
    state, sizes = optimizers.initial(optimizer, w), []
    for t in range(1, steps + 1):
        step, state = optimizers.delta(optimizer, At(sharpness * w, w, optimizer.lr, t, np.zeros(1)), state)
        w = w - step
        sizes.append(abs(w.item()))
    return max(sizes[-20:]) / max(sizes[steps // 2 : steps // 2 + 20])


@pytest.mark.parametrize("kind", LINEAR)
def test_oscillations_grow_beyond_the_limit(kind):
    optimizer, matrix = LINEAR[kind]
    sharpness = limit(optimizer) * matrix
    assert growth(optimizer, 0.98 * sharpness) < 0.99
    assert growth(optimizer, 1.02 * sharpness) > 1.01


def test_by_hand():
    """2/η; (2 + 2β)/η; (2 + 2β)/((1 + 2β)η); (2 + 2β₁)/((1 − β₁)η) = 38/η for 0.9 (Cohen et al. 2022)."""
    assert limit(SGD(0.5)) == 4
    assert math.isclose(limit(Momentum(0.5, 0.9)), 3.8 / 0.5)
    assert math.isclose(limit(Momentum(0.5, 0.9, nesterov=True)), 3.8 / 2.8 / 0.5)
    assert math.isclose(limit(Adam(0.5, 0.9)), 38 / 0.5)
    assert math.isclose(limit(Adam(0.5, 0.9), 0.1), 380 / 0.5)


def test_heavy_ball_has_a_root_at_minus_one():
    """wₜ₊₁ = (1 + μ − ηλ)wₜ − μwₜ₋₁: at the limit the companion matrix has the eigenvalue −1, and none beyond."""
    optimizer = Momentum(0.2, 0.7)
    eta_lambda = 0.2 * limit(optimizer)
    roots = np.linalg.eigvals(np.array([[1.7 - eta_lambda, -0.7], [1.0, 0.0]]))
    assert np.isclose(roots, -1).any()
    assert max(abs(roots)) <= 1 + 1e-12


@pytest.mark.parametrize("optimizer", [Lion(), LARS(), LAMB(), Muon(), Rprop(), Adafactor(), LBFGS()])
def test_what_is_no_linear_filter_has_no_limit(optimizer):
    assert response(optimizer) is None
    assert limit(optimizer) is None
