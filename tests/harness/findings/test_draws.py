"""Deep narrow networks whose initialisation is right and whose draw is not: what is said of them, and what is not."""

import math

import numpy as np
import pytest
from msgspec.structs import replace

from harness.findings.diagnose import diagnose
from harness.findings.seen import Seen
from harness.problems import task as tasks
from harness.spec.activations import Relu
from harness.spec.cell import Budget
from harness.spec.initialisations import Scaled
from harness.spec.layers import Dense
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import SGD
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import Recipe

WIDTH, DEPTH = 8, 20
HE = Scaled(scheme="he", distribution="normal")
NARROW = Network(DataSet("wine"), (*(Dense(WIDTH), Relu()) * DEPTH, Dense(3)), CrossEntropy(), HE)
THINNER = Network(DataSet("iris"), (*(Dense(6), Relu()) * 30, Dense(3)), CrossEntropy(), HE)
STEPS, BATCH = 300, 32
VANISHED = 1e-4  # of ‖∂L/∂y‖²


def forward(problem, seed, x):
    """What each dense layer gives, with the weights that are drawn, by hand; and those weights."""
    start = tasks.initial(tasks.make(problem), seed)
    weights = [w for name, w in start.items() if name.endswith("weight")]
    given = [x @ weights[0]]
    for w in weights[1:]:
        given.append(np.maximum(given[-1], 0) @ w)  # biases start at 0
    return given, weights


def returned(problem, seed):
    """‖∂L/∂y‖² of each dense layer over that of the outputs, on the first batch, back from the loss by hand."""
    task = tasks.make(problem)
    part, first = task.parts["training"], tasks.order(task.samples, Budget(steps=1, batch=BATCH), seed)[0]
    given, weights = forward(problem, seed, part.x[first])
    exponentials = np.exp(given[-1] - given[-1].max(axis=1, keepdims=True))
    delta = exponentials / exponentials.sum(axis=1, keepdims=True) - np.eye(3)[part.y[first].astype(int)]
    squares = [np.sum(delta**2)]
    for w, z in zip(weights[:0:-1], given[-2::-1], strict=True):
        delta = (delta @ w.T) * (z > 0)
        squares.append(np.sum(delta**2))
    return {f"dense{len(given) - place}": square / squares[0] for place, square in enumerate(squares)}


def alarms(record):
    return [finding for finding in diagnose(record).findings if finding.alarms]


def test_the_draws_are_he_s():
    """Σ w²·fan_in/2 over n weights is 1 ± √(2/n): of both draws below it is within three of these."""
    for seed in (11, 19):
        _, weights = forward(NARROW, seed, np.zeros((1, 13)))
        every = np.concatenate([(w * math.sqrt(w.shape[0] / 2)).ravel() for w in weights])
        assert abs(np.mean(every**2) - 1) < 3 * math.sqrt(2 / every.size)


def test_a_draw_that_vanishes_is_said_to_and_its_initialisation_is_not_blamed(observe):
    """Theory has 1 on average, at any width; but single draws fluctuate, exponentially in depth/width (Hanin 2018)."""
    record = observe(NARROW, Recipe(SGD(0.03)), STEPS, BATCH, seed=19)
    by_hand = returned(NARROW, 19)
    assert Seen(record).unlearned() == pytest.approx(1, abs=0.01)  # nothing is learned
    found = alarms(record)
    layers = [name for name, square in by_hand.items() if square < VANISHED]
    assert (found[0].kind, found[0].layer, found[0].step) == ("vanishing", layers[0], 0)
    evidence = found[0].evidence[0]
    assert evidence.observed == pytest.approx(math.log(min(by_hand.values())), rel=1e-4)
    assert evidence.expected == pytest.approx(math.log(1), abs=0.05)
    assert "poor_initialisation" not in {finding.kind for finding in found}


@pytest.mark.parametrize("seed", [1, 11])
def test_of_draws_that_train_nothing_is_said(observe, seed):
    """The first has vanished too, at its start: it costs nothing."""
    record = observe(NARROW, Recipe(SGD(0.03)), STEPS, BATCH, seed=seed)
    assert (min(returned(NARROW, seed).values()) < VANISHED) == (seed == 1)
    assert Seen(record).unlearned() < 0.2
    assert alarms(record) == []


def test_a_draw_that_is_born_dead_is_said_to_be(observe):
    """The first of its layers that gives 0 for all of the data; all behind it do too."""
    given, _ = forward(THINNER, 9, tasks.make(THINNER).parts["training"].x)
    dead = next(place for place, z in enumerate(given, 1) if (z <= 0).all())
    found = alarms(observe(THINNER, Recipe(SGD(0.05)), STEPS, BATCH, seed=9))
    assert (found[0].kind, found[0].layer, found[0].severity) == ("dead_units", f"relu{dead}", "failure")
    assert "poor_initialisation" not in {finding.kind for finding in found}


@pytest.mark.parametrize("seed", range(3))
def test_an_initialisation_is_called_too_small_as_theory_has_it_whatever_its_draw(observe, seed):
    """LeCun's halves the square at each ReLU; draws that are born dead have no signals that would show it."""
    model = (*(Dense(4), Relu()) * 20, Dense(3))
    lecun = replace(NARROW, model=model, initialisation=Scaled("lecun", "normal"))
    found = alarms(observe(lecun, Recipe(SGD(0.03)), 60, BATCH, seed=seed))
    assert found[0].kind == "poor_initialisation"
    assert "far too small" in found[0].why
