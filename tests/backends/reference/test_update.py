"""Clips, decays and schedules by hand, and the order in which an update applies them."""

import math

import numpy as np
import pytest

from backends.reference import clips, decays, optimizers
from backends.reference.schedules import factor
from backends.reference.update import update
from harness.spec.optimizers import SGD, AdaGrad, Momentum
from harness.spec.recipe import ByValue, Coupled, Decoupled, GlobalNorm, NoClip, NoDecay, PerTensor, Recipe
from harness.spec.schedules import Constant, Cosine, Exponential, Step, WarmUp

# ‖weight‖ = 5, ‖bias‖ = 12, together 13.
PLANTED = {"dense1.weight": np.array([[3.0, 0.0], [0.0, -4.0]]), "dense1.bias": np.array([0.0, 12.0])}


def planted(norm, seed=0):
    g = np.random.default_rng(seed).standard_normal((4, 3))
    return {"x": g * norm / np.linalg.norm(g)}


@pytest.mark.parametrize(
    ("clip", "weight", "bias"),  # what each tensor is multiplied by
    [
        (NoClip(), 1.0, 1.0),
        (GlobalNorm(14.0), 1.0, 1.0),
        (GlobalNorm(13.0), 1.0, 1.0),
        (GlobalNorm(6.5), 0.5, 0.5),
        (GlobalNorm(1.0), 1 / 13, 1 / 13),
        (PerTensor(12.0), 1.0, 1.0),
        (PerTensor(5.0), 1.0, 5 / 12),
        (PerTensor(3.0), 3 / 5, 3 / 12),
    ],
    ids=str,
)
def test_clip_by_norm(clip, weight, bias):
    clipped = clips.clip(clip, PLANTED, PLANTED)
    for name, scale in (("dense1.weight", weight), ("dense1.bias", bias)):
        if scale == 1.0:
            assert (clipped[name] == PLANTED[name]).all()  # to the bit
        np.testing.assert_allclose(clipped[name], scale * PLANTED[name], rtol=1e-15)


@pytest.mark.parametrize("kind", [GlobalNorm, PerTensor])
@pytest.mark.parametrize("norm", [1e-8, 0.5, 1.0 + 1e-9, 2.0, 1e8])
def test_clip_keeps_the_direction_and_bounds_the_norm(kind, norm):
    g = planted(norm)
    clipped = clips.clip(kind(1.0), g, g)["x"]
    assert np.linalg.norm(clipped) == pytest.approx(min(norm, 1.0), rel=1e-14)
    np.testing.assert_allclose(clipped / np.linalg.norm(clipped), g["x"] / np.linalg.norm(g["x"]), rtol=1e-14)
    assert norm > 1 or (clipped == g["x"]).all()


def test_clip_of_zero_is_zero():
    zero = {"x": np.zeros(3)}
    for clip in (GlobalNorm(1.0), PerTensor(1.0), ByValue(-1.0, 1.0)):
        assert (clips.clip(clip, zero, zero)["x"] == 0).all()


def test_clip_by_value():
    g = {"x": np.array([-3.0, -0.5, -0.25, 0.0, 1.0, 2.0, 9.0])}
    assert clips.clip(ByValue(-0.5, 2.0), g, g)["x"].tolist() == [-0.5, -0.5, -0.25, 0.0, 1.0, 2.0, 2.0]
    assert clips.clip(ByValue(0.5, 2.0), g, g)["x"].tolist() == [0.5, 0.5, 0.5, 0.5, 1.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("decay", "coupled", "decoupled"),  # what is added to each gradient and taken from each weight, as shares of w
    [
        (NoDecay(), {}, {}),
        (Coupled(0.25), {"dense1.weight": 0.25}, {}),
        (Coupled(0.25, on="all"), {"dense1.weight": 0.25, "dense1.bias": 0.25}, {}),
        (Coupled(0.25, on=("dense1.bias",)), {"dense1.bias": 0.25}, {}),
        (Decoupled(0.25), {}, {"dense1.weight": 0.25 * 0.1 * 0.5}),
        (Decoupled(0.25, scaled_by="schedule"), {}, {"dense1.weight": 0.25 * 0.5}),
        (Decoupled(0.25, on="all"), {}, {"dense1.weight": 0.25 * 0.1 * 0.5, "dense1.bias": 0.25 * 0.1 * 0.5}),
    ],
    ids=str,
)
def test_decay(decay, coupled, decoupled):
    w = {name: np.random.default_rng(7).standard_normal(g.shape) for name, g in PLANTED.items()}
    gradients = decays.coupled(decay, PLANTED, w)
    taken = decays.decoupled(Recipe(SGD(lr=0.1), decay=decay), w, factor=0.5)
    for name in w:
        np.testing.assert_allclose(gradients[name], PLANTED[name] + coupled.get(name, 0.0) * w[name], rtol=1e-15)
        np.testing.assert_allclose(taken[name], decoupled.get(name, 0.0) * w[name], rtol=1e-15)


@pytest.mark.parametrize(
    ("schedule", "expected"),  # t = 0 … 5
    [
        (Constant(), [1, 1, 1, 1, 1, 1]),
        (Step(every=2, rate=0.1), [1, 1, 0.1, 0.1, 0.01, 0.01]),
        (Exponential(rate=0.25, every=2), [1, 0.5, 0.25, 0.125, 0.0625, 0.03125]),
        (Cosine(steps=4, floor=0.2), [1, 0.6 + 0.4 * math.sqrt(0.5), 0.6, 0.6 - 0.4 * math.sqrt(0.5), 0.2, 0.2]),
        (Cosine(), [(1 + math.cos(math.pi * t / 6)) / 2 for t in range(6)]),
        (WarmUp(steps=2, start=0.2, then=Step(every=2, rate=0.5)), [0.2, 0.6, 1, 1, 0.5, 0.5]),
        (WarmUp(steps=4), [0, 0.25, 0.5, 0.75, 1, 1]),
    ],
    ids=str,
)
def test_schedule(schedule, expected):
    at = factor(schedule, 6)
    assert [at(t) for t in range(6)] == pytest.approx(expected, rel=1e-15, abs=1e-15)


def step(recipe, w, g, factor=1.0):
    state = {"x": optimizers.initial(recipe.optimizer, np.array([w]))}
    after, _ = update(recipe, {"x": np.array([w])}, {"x": np.array([g])}, state, factor, 1)
    return after["x"][0]


@pytest.mark.parametrize(
    ("recipe", "expected"),  # from w = 8, g = 6
    [
        (Recipe(SGD(lr=0.5)), 8 - 3),
        # the clip comes first, to 2; then the decay, + ¼·8
        (Recipe(SGD(lr=0.5), clip=GlobalNorm(2.0), decay=Coupled(0.25)), 8 - 0.5 * (2 + 2)),
        # w − Δ − ηλw from the old w: 8 − 3 − ½·¼·8
        (Recipe(SGD(lr=0.5), decay=Decoupled(0.25)), 8 - 3 - 1),
        (Recipe(SGD(lr=0.5), decay=Decoupled(0.25, scaled_by="schedule")), 8 - 3 - 2),
        # a coupled decay passes through the optimizer, (6 + 2)/√64, a decoupled one does not, 6/√36
        (Recipe(AdaGrad(lr=0.5, eps=0.0), decay=Coupled(0.25)), 8 - 0.5),
        (Recipe(AdaGrad(lr=0.5, eps=0.0), decay=Decoupled(0.25)), 8 - 0.5 - 1),
    ],
    ids=str,
)
def test_order(recipe, expected):
    assert step(recipe, 8.0, 6.0) == expected


def test_schedule_scales_the_rate_and_the_decay():
    assert step(Recipe(SGD(lr=0.5), decay=Decoupled(0.25)), 8.0, 6.0, factor=0.5) == 8 - 1.5 - 0.5
    assert step(Recipe(SGD(lr=0.5), decay=Decoupled(0.25, scaled_by="schedule")), 8.0, 6.0, factor=0.5) == 8 - 1.5 - 1
    assert step(Recipe(Momentum(lr=0.5, rate="inside")), 8.0, 6.0, factor=0.5) == 8 - 1.5
