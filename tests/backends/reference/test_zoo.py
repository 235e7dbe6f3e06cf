"""The younger optimizers: steps worked out by hand, and what linear algebra says of them."""

import math

import numpy as np
import pytest

from backends.reference import optimizers, update
from backends.reference.optimizers.iterates import two_loops
from backends.reference.optimizers.muon import newton_schulz
from backends.reference.optimizers.step import At
from harness.spec.optimizers import (
    LAMB,
    LARS,
    LBFGS,
    OPTIMIZERS,
    AdaBelief,
    Adadelta,
    Adafactor,
    Adamax,
    Adan,
    Lion,
    Muon,
    NAdam,
    RAdam,
    Rprop,
    ScheduleFree,
    Yogi,
)
from harness.spec.recipe import Decoupled, Recipe

sqrt = math.sqrt


def steps(spec, gradients, w=0.0, eta=0.1, decay=0.0):
    """Δ of each step for given gradients, and the last state; w moves."""
    w = np.asarray(w, dtype=np.float64)
    state, deltas = optimizers.initial(spec, w), []
    for t, g in enumerate(gradients, start=1):
        delta, state = optimizers.delta(spec, At(np.asarray(g, dtype=np.float64), w, eta, t, decay), state)
        w = w - delta
        deltas.append(delta)
    return deltas, state


HALF = {"beta1": 0.5, "beta2": 0.75}
MU = [0.5 * (1 - 0.5 * 0.96**t) for t in (1, 2)]

# At η = 0.1.
BY_HAND = [
    # h = ¼·4 = 1, u = √(0 + 3)/√(1 + 3)·2 = √3, a = ¼·3; then h = ¾ + 1, u = √3.75/√4.75·2
    (Adadelta(rho=0.75, eps=3.0), [2, 2], [0.1 * sqrt(3), 0.2 * sqrt(3.75 / 4.75)]),
    # m = 2, u = 4 + 1: Δ = 0.1/½·2/5; m = 1.5, u = max(2.5, 1 + 1): Δ = 0.1/¾·1.5/2.5
    (Adamax(beta1=0.5, beta2=0.5, eps=1.0), [4, 1], [0.08, 0.08]),
    # u = 4: Δ = 0.1/½·2/(4 + 1); u = max(2, 1): Δ = 0.1/¾·1.5/(2 + 1)
    (Adamax(beta1=0.5, beta2=0.5, eps=1.0, eps_placement="outside"), [4, 1], [0.08, 0.2 / 3]),
    # m = 2, v̂ = 16: Δ = 0.1(4 + ½/¾·2)/4; m = 1, v̂ = 3/(7/16): Δ = 0.1·½/⅞·1/√(48/7)
    (NAdam(**HALF, eps=0.0, momentum="constant"), [4, 0], [0.4 / 3, 0.4 / 7 / sqrt(48 / 7)]),
    # μ₁ = P₁, so that g has weight 1: Δ = 0.1(4 + μ₂/(1 − μ₁μ₂)·2)/4
    (NAdam(**HALF, eps=0.0, momentum_decay=1.0), [4], [0.1 + 0.05 * MU[1] / (1 - MU[0] * MU[1])]),
    # m = 2, s = ¼(4 − 2)² = 1: Δ = 0.1·4/√4; m = 1, s = ¾ + ¼(0 − 1)² = 1: Δ = 0.1·4/3/√(16/7)
    (AdaBelief(**HALF, eps=0.0, eps_inside=0.0), [4, 0], [0.2, 0.1 * sqrt(7) / 3]),
    # s = 1 + 3: Δ = 0.1·4/(√16 + 1)
    (AdaBelief(**HALF, eps=1.0, eps_inside=3.0), [4], [0.08]),
    # ρ∞ = 7, ρ₁ = 7 − 2·¾/¼ = 1 is not rectified: Δ = 0.1·4; m = 1, m̂ = 4/3, ρ₂ = 7 − 4·(9/16)/(7/16) < 2
    (RAdam(**HALF), [4, 0], [0.4, 0.4 / 3]),
    # ½·2 > 0, m = ½; ¼ − 0.1 > 0, m = 0.375 − 0.05; 0.1625 − 1 < 0
    (Lion(beta1=0.5, beta2=0.75), [2, -0.2, -2], [0.1, 0.1, -0.1]),
    # v = 4, m̂ = 4, v̂ = 16: Δ = 0.1·4/(4 + 1); v = 4 − ¼·1, m̂ = 2, v̂ = 3.75/(7/16)
    (Yogi(**HALF, eps=1.0, initial_accumulator=0.0), [4, 1], [0.08, 0.2 / (sqrt(60 / 7) + 1)]),
    # uncorrected: Δ = 0.1·2/(2 + 1), 0.1·1.5/(√3.75 + 1)
    (
        Yogi(**HALF, eps=1.0, initial_accumulator=0.0, bias_correction=False),
        [4, 1],
        [0.2 / 3, 0.15 / (sqrt(3.75) + 1)],
    ),
    # m̂ = 4, n̂ = 16; d = −2: m = 2, v = −½, n = 4 + ½(2 − 1.5)²: Δ = 0.1(8/3 − ¾·8/7)/√(4.125/¾)
    (Adan(beta1=0.5, beta2=0.75, beta3=0.5, eps=0.0), [4, 2], [0.1, 0.1 * (8 / 3 - 6 / 7) / sqrt(5.5)]),
    # k = ¼: n = 4 + ½(2 − ½)²: Δ = 0.1(8/3 − ¼·8/7)/√(5.125/¾)
    (
        Adan(beta1=0.5, beta2=0.75, beta3=0.5, eps=0.0, ahead="complement"),
        [4, 2],
        [0.1, 0.1 * (8 / 3 - 2 / 7) / sqrt(41 / 6)],
    ),
    # s = 0.1, 0.15; the sign changes: s = 0.075 and no step; then g is compared with 0; then s = 0.1125
    (Rprop(lr=0.1, grow=1.5), [2, 3, -1, -1, -1], [0.1, 0.15, 0.0, -0.075, -0.1125]),
    # s = 0.1, kept between its bounds
    (Rprop(lr=0.1, grow=3.0, largest=0.25), [1, 1, 1], [0.1, 0.25, 0.25]),
    # from w = 0: z = −0.2 = x; z = −0.3, x = −0.25, w = 0.1·(−0.3) + 0.9·(−0.25) = −0.255
    (ScheduleFree(base="sgd", weights="equal"), [2, 1], [0.2, 0.055]),
]


@pytest.mark.parametrize(("spec", "gradients", "expected"), BY_HAND, ids=str)
def test_by_hand(spec, gradients, expected):
    found, _ = steps(spec, gradients)
    assert found == pytest.approx(expected, rel=1e-14, abs=1e-16)


def test_radam_rectifies_once_it_can():
    """Of a constant gradient m̂ = g and v̂ = g²: Δ = ηr. ρ∞ = 7; at t = 6, ¾⁶ = 729/4096 and ρ = 7 − 12·729/3367."""
    rho = 7 - 12 * 729 / 3367
    r = sqrt((rho - 4) * (rho - 2) * 7 / ((7 - 4) * (7 - 2) * rho))
    found, _ = steps(RAdam(**HALF, eps=0.0, threshold=4.0), [3.0] * 6)
    assert found == pytest.approx([0.3] * 5 + [0.1 * r], rel=1e-13)


# ‖w‖ = 5, ‖g‖ = 2.
W, G = np.array([3.0, 4.0]), np.array([0.0, 2.0])


@pytest.mark.parametrize(
    ("norm", "decay", "kappa"),
    [
        ("separate", 0.0, 0.025),  # 0.01·5/2
        ("separate", 0.1, 0.02),  # 0.01·5/(2 + ½)
        ("joint", 0.1, 0.05 / sqrt(0.3**2 + 2.4**2)),
    ],
)
def test_lars_by_hand(norm, decay, kappa):
    (delta,), _ = steps(LARS(momentum=0.5, trust=0.01, norm=norm), [G], W, eta=2.0, decay=decay)
    assert delta == pytest.approx(2 * kappa * (G + decay * W), rel=1e-14)


def test_lamb_by_hand():
    """r = (1, −1), u = r + ½w = (2.5, 1); Δ = 0.1·5/√7.25·u."""
    (delta,), _ = steps(LAMB(**HALF, eps=0.0), [[2.0, -2.0]], W, decay=0.5)
    assert delta == pytest.approx(0.5 / sqrt(7.25) * np.array([2.5, 1.0]), rel=1e-14)


@pytest.mark.parametrize("spec", [LARS(), LAMB(eps=0.0)])
def test_a_tensor_of_zeros_moves_at_the_rate_itself(spec):
    (delta,), _ = steps(spec, [G + 1.0], np.zeros(2))
    assert delta == pytest.approx(0.1 * (G + 1.0 if isinstance(spec, LARS) else np.ones(2)))


@pytest.mark.parametrize("kind", [LARS, LAMB])
@pytest.mark.parametrize("decay", ["inside", "outside"])
def test_where_the_decay_stands(kind, decay):
    """Outside it is −ηλw beside a step that does not know of it; inside, part of the step."""
    w, g = {"a.weight": W, "b.bias": W}, {"a.weight": G + 1, "b.bias": G + 1}
    recipes = [Recipe(kind(lr=0.1, decay=decay)), Recipe(kind(lr=0.1, decay=decay), decay=Decoupled(0.2))]
    plain, decayed = (update.update(recipe, w, g, update.initial(recipe, w), 1.0, 1)[0] for recipe in recipes)
    assert decayed["b.bias"].tolist() == plain["b.bias"].tolist()
    outside = plain["a.weight"] - 0.1 * 0.2 * W
    assert (decayed["a.weight"] == pytest.approx(outside, rel=1e-12)) == (decay == "outside")


def test_adafactor_reconstructs_squares_of_rank_one():
    """At t = 1, β̂ = 0 and V = g² where g² = rcᵀ: u = sign(g), rms(u) = 1, α = rms(w)·0.1."""
    g = np.outer([1.0, -2.0, 3.0], [2.0, -1.0])
    (delta,), _ = steps(Adafactor(), [g], np.full((3, 2), 2.0))
    np.testing.assert_allclose(delta, 0.2 * np.sign(g), rtol=1e-14)


def test_adafactor_by_hand():
    """g² = I: R = C = ½, V = ¼/½, u = √2·I, rms(u) = 1; with d = ½ half of it. A vector keeps its squares."""
    (delta,), _ = steps(Adafactor(clip=0.5, relative=False), [np.eye(2)], np.ones((2, 2)))
    np.testing.assert_allclose(delta, 0.1 * sqrt(2) / 2 * np.eye(2), rtol=1e-14)
    # β̂₂ = 1 − 2^−1 with c = 1: v = (1 + 9)/2, u = 3/√5, clipped at rms 1; ρ = min(0.9, 1/√2)
    (_, second), _ = steps(Adafactor(beta2_decay=1.0, relative=False, eps1=0.0), [[1.0], [3.0]], [1.0], eta=0.9)
    assert second == pytest.approx([1 / sqrt(2)], rel=1e-14)
    (_, second), _ = steps(Adafactor(beta2_decay=1.0, relative=False, clip=2.0), [[1.0], [3.0]], [1.0])
    assert second == pytest.approx([0.1 * 3 / sqrt(5)], rel=1e-14)
    # α = rms(w)·ρ, at least ε₂
    (delta,), _ = steps(Adafactor(eps2=0.5), [[4.0]], [0.25])
    assert delta == pytest.approx([0.05])


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (1, 6)])
def test_newton_schulz_is_its_polynomial_of_the_singular_values(shape):
    m = np.random.default_rng(0).standard_normal(shape)
    u, sigma, vt = np.linalg.svd(m, full_matrices=False)
    sigma = sigma / np.linalg.norm(sigma)
    for _ in range(5):
        sigma = 3.4445 * sigma - 4.7750 * sigma**3 + 2.0315 * sigma**5
    np.testing.assert_allclose(newton_schulz(m, 5, 0.0), (u * sigma) @ vt, atol=1e-13)
    assert np.all((sigma > 0.3) & (sigma < 1.3))


@pytest.mark.parametrize(
    ("fields", "factor", "direction"),
    [
        ({}, 0.2, lambda a, b: b + 0.95 * (0.95 * a + b)),  # √max(1, 8/2) = 2
        ({"nesterov": False, "scale": "rms"}, 0.02 * sqrt(8), lambda a, b: 0.95 * a + b),
        ({"scale": "none", "buffer": "mean"}, 0.1, lambda a, b: 0.05 * (b + 0.95 * (0.95 * a + b))),
        (
            {"scale": "none", "buffer": "corrected"},
            0.1,
            lambda a, b: 0.05 * b / (1 - 0.95**2) + 0.95 * 0.05 * (0.95 * a + b) / (1 - 0.95**3),
        ),
    ],
)
def test_muon_of_a_matrix(fields, factor, direction):
    a, b = np.random.default_rng(0).standard_normal((2, 2, 8))
    (_, second), _ = steps(Muon(**fields), [a, b], np.zeros((2, 8)))
    np.testing.assert_allclose(second, factor * newton_schulz(direction(a, b), 5, 1e-7), rtol=1e-12)


def test_muon_of_a_vector_is_adam():
    (delta,), _ = steps(Muon(), [[3.0, -2.0]], np.zeros(2))
    assert delta == pytest.approx([0.1, -0.1], rel=1e-7)


@pytest.mark.parametrize("weights", ["squares", "equal"])
def test_the_mean_of_a_schedule_free_optimizer(weights):
    """x is the mean of z₁ … zₜ, equally weighted at a constant rate, and w lies between."""
    gradients = np.random.default_rng(0).standard_normal((7, 3))
    spec = ScheduleFree(base="sgd", weights=weights)
    deltas, state = steps(spec, gradients, np.zeros(3))
    z = -0.1 * np.cumsum(gradients, axis=0)
    np.testing.assert_allclose(state["x"], z.mean(axis=0), rtol=1e-12)
    w = -np.sum(deltas, axis=0)
    np.testing.assert_allclose(w, 0.1 * z[-1] + 0.9 * z.mean(axis=0), rtol=1e-12)
    assert optimizers.evaluated_at(spec, w, state) is state["x"]


def test_two_loops_are_the_bfgs_matrix():
    """H ← (I − ρsyᵀ)H(I − ρysᵀ) + ρssᵀ from γI; and its last pair satisfies the secant equation Hy = s."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((6, 6))
    pairs = tuple((s, (a @ a.T + np.eye(6)) @ s) for s in rng.standard_normal((4, 6)))
    s, y = pairs[-1]
    h = (s @ y) / (y @ y) * np.eye(6)
    for s, y in pairs:
        rho, eye = 1 / (s @ y), np.eye(6)
        h = (eye - rho * np.outer(s, y)) @ h @ (eye - rho * np.outer(y, s)) + rho * np.outer(s, s)
    g = rng.standard_normal(6)
    np.testing.assert_allclose(two_loops(pairs, g), h @ g, rtol=1e-12)
    np.testing.assert_allclose(two_loops(pairs, y), s, rtol=1e-12)


def test_lbfgs_keeps_the_newest_pairs_that_curve():
    spec = LBFGS(memory=2, curvature=0.1)
    _, state = steps(spec, [[1.0], [0.5], [0.2], [0.1], [9.0]], [5.0])
    assert len(state["pairs"]) <= 2
    assert all(s @ y > 0.1 for s, y in state["pairs"])


@pytest.mark.parametrize(
    ("first", "expected"), [("plain", [0.3, -0.4]), ("l1", [3 / 70, -4 / 70]), ("l2", [0.06, -0.08])]
)
def test_the_first_step_of_lbfgs(first, expected):
    (delta,), _ = steps(LBFGS(first=first), [[3.0, -4.0]], np.zeros(2))
    assert delta == pytest.approx(expected)


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_the_pairs_of_lbfgs_are_its_steps(decay):
    """All of a step, the decay too, and as it was computed: the rounding of w = 1e8 would make nothing of 1e-9."""
    spec, far = LBFGS(first="plain", curvature=0.0), np.array([1e8])
    first, state = optimizers.delta(spec, At(np.array([1e-8]), far, 0.1, 1, decay), optimizers.initial(spec, far))
    assert first == pytest.approx(1e-9 + 0.1 * decay * 1e8, rel=1e-15)
    _, state = optimizers.delta(spec, At(np.array([0.5e-8]), far - first, 0.1, 2), state)
    ((s, y),) = state["pairs"]
    assert s == -first
    assert y == pytest.approx(-0.5e-8, rel=1e-15)


def test_lbfgs_is_over_all_tensors_together():
    recipe = Recipe(LBFGS(lr=0.1))
    w = {"a": np.zeros((1, 1)), "b": np.zeros(1)}
    g = {"a": np.array([[3.0]]), "b": np.array([-4.0])}
    moved, _ = update.update(recipe, w, g, update.initial(recipe, w), 1.0, 1)
    assert moved == {"a": pytest.approx(np.array([[-3 / 70]])), "b": pytest.approx(np.array([4 / 70]))}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_every_optimizer_descends_a_bowl(kind):
    """f = ½‖w‖², g = w: in 1000 steps to less than 1 % of f, at a rate of each one's order of magnitude."""
    rates = {"lars": 100.0, "adadelta": 10.0, "lion": 0.02, "lbfgs": 0.5, "adagrad": 0.5}
    recipe, w = Recipe(kind(lr=rates.get(kind.spelling(), 0.05))), {"x": np.array([[2.0, -1.0], [0.5, 3.0]])}
    first, states = np.sum(w["x"] ** 2), update.initial(recipe, w)
    for t in range(1, 1001):
        w, states = update.update(recipe, w, w, states, 1.0, t)
    assert np.sum(update.evaluated_at(recipe, w, states)["x"] ** 2) < 0.01 * first
