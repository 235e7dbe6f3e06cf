"""Update rules against steps worked out by hand, and against what theory says of them."""

import itertools
import math

import numpy as np
import pytest

from backends.reference import optimizers
from backends.reference.optimizers.step import At
from harness.spec.optimizers import SGD, AdaGrad, Adam, Momentum, RMSProp
from harness.spec.spellings import averaged_momentum

sqrt = math.sqrt


def run(spec, gradients, etas=None):
    """Δ of each step, for gradients that are given."""
    state, deltas = optimizers.initial(spec, np.zeros(np.shape(gradients[0]))), []
    for t, (g, eta) in enumerate(zip(gradients, etas or itertools.repeat(0.1), strict=False), start=1):
        delta, state = optimizers.delta(spec, At(np.asarray(g, dtype=np.float64), np.zeros(np.shape(g)), eta, t), state)
        deltas.append(delta)
    return deltas


def descend(spec, gradient, w, eta, steps):
    """The iterates on a function of this gradient, the start included."""
    w = np.asarray(w, dtype=np.float64)
    state, path = optimizers.initial(spec, w), [w]
    for t in range(1, steps + 1):
        delta, state = optimizers.delta(spec, At(gradient(w), w, eta, t), state)
        path.append(w := w - delta)
    return np.array(path)


HEAVY = {"momentum": 0.5}
RMS = {"beta": 0.75, "eps": 12.0}
ADAM = {"beta1": 0.5, "beta2": 0.75}

# Two steps each, at η = 0.1 unless two rates are given.
BY_HAND = [
    # Δ = ηg
    (SGD(), [2, 3], [0.1, 0.1], [0.2, 0.3]),
    # v₁ = 2, v₂ = ½·2 + 3 = 4
    (Momentum(**HEAVY), [2, 3], [0.1, 0.1], [0.2, 0.4]),
    # the rate outside scales the whole buffer: Δ₂ = 0.2·4
    (Momentum(**HEAVY), [2, 3], [0.1, 0.2], [0.2, 0.8]),
    # inside, each gradient has the rate of its own step: v₁ = 0.1·2, v₂ = ½·0.2 + 0.2·3
    (Momentum(**HEAVY, rate="inside"), [2, 3], [0.1, 0.2], [0.2, 0.7]),
    # v₁ = 2 undamped, v₂ = ½·2 + ¾·3 = 3.25
    (Momentum(**HEAVY, dampening=0.25), [2, 3], [0.1, 0.1], [0.2, 0.325]),
    # v₁ = ¾·2 = 1.5, v₂ = ½·1.5 + ¾·3 = 3
    (Momentum(**HEAVY, dampening=0.25, first="damped"), [2, 3], [0.1, 0.1], [0.15, 0.3]),
    # v₁ = 0.1·2, v₂ = ½·0.2 + 0.2·¾·3
    (Momentum(**HEAVY, dampening=0.25, rate="inside"), [2, 3], [0.1, 0.2], [0.2, 0.55]),
    # v₁ = 0.1·¾·2 = 0.15, v₂ = ½·0.15 + 0.2·¾·3
    (Momentum(**HEAVY, dampening=0.25, first="damped", rate="inside"), [2, 3], [0.1, 0.2], [0.15, 0.525]),
    # v = 2, 4: Δ = 0.1(2 + ½·2), 0.1(3 + ½·4)
    (Momentum(**HEAVY, nesterov=True), [2, 3], [0.1, 0.1], [0.3, 0.5]),
    # v = 0.2, 0.7: Δ = 0.1·2 + ½·0.2, 0.2·3 + ½·0.7
    (Momentum(**HEAVY, nesterov=True, rate="inside"), [2, 3], [0.1, 0.2], [0.3, 0.95]),
    # v₁ = ½·2 = 1, v₂ = ½·1 + ½·3 = 2
    (averaged_momentum(momentum=0.5), [2, 3], [0.1, 0.1], [0.1, 0.2]),
    # h = 4, 13: Δ = 0.1·2/√16, 0.1·3/√25
    (AdaGrad(eps=12.0), [2, 3], [0.1, 0.1], [0.05, 0.06]),
    # h = 9, 25: Δ = 0.1·3/(3 + 1), 0.1·4/(5 + 1)
    (AdaGrad(eps=1.0, eps_placement="outside"), [3, 4], [0.1, 0.1], [0.075, 0.4 / 6]),
    # h = 7 + 9, 16 + 9: Δ = 0.1·3/4, 0.1·3/5
    (AdaGrad(eps=0.0, initial_accumulator=7.0), [3, 3], [0.1, 0.1], [0.075, 0.06]),
    # h₁ = ¼·16 = 4, h₂ = ¾·4 + ¼·4 = 4: Δ = 0.1·4/√16, 0.1·2/√16
    (RMSProp(**RMS), [4, 2], [0.1, 0.1], [0.1, 0.05]),
    # Δ = 0.1·4/(2 + ½), 0.1·2/(2 + ½)
    (RMSProp(beta=0.75, eps=0.5, eps_placement="outside"), [4, 2], [0.1, 0.1], [0.16, 0.08]),
    # m₁ = 1, m₂ = ¾ + ½ = 1.25: h − m² = 3, 2.4375; Δ = 0.1·4/√(3 + 1), 0.1·2/√3.4375
    (RMSProp(beta=0.75, eps=1.0, centred=True), [4, 2], [0.1, 0.1], [0.2, 0.2 / sqrt(3.4375)]),
    # ĥ = 4/¼ = 16, 4/(7/16) = 64/7: Δ = 0.1·4/√(16 + 9), 0.1·2/√(64/7 + 9)
    (RMSProp(beta=0.75, eps=9.0, bias_correction=True), [4, 2], [0.1, 0.1], [0.08, 0.2 / sqrt(127 / 7)]),
    # u = 1, ½; v₁ = 1, v₂ = ½ + ½ = 1: Δ = 0.1·1, 0.2·1
    (RMSProp(**RMS, momentum=0.5), [4, 2], [0.1, 0.2], [0.1, 0.2]),
    # v₁ = 0.1·1, v₂ = ½·0.1 + 0.2·½
    (RMSProp(**RMS, momentum=0.5, rate="inside"), [4, 2], [0.1, 0.2], [0.1, 0.15]),
    # m = 2, 2; v = 4, 4; m̂ = 4, 2/¾ = 8/3; v̂ = 16, 64/7: Δ = 0.1·4/(4 + 1), 0.1·(8/3)/(√(64/7) + 1)
    (Adam(**ADAM, eps=1.0), [4, 2], [0.1, 0.1], [0.08, 0.8 / 3 / (sqrt(64 / 7) + 1)]),
    # Δ = 0.1·4/√(16 + 9), 0.1·(8/3)/√(64/7 + 9)
    (Adam(**ADAM, eps=9.0, eps_placement="inside"), [4, 2], [0.1, 0.1], [0.08, 0.8 / 3 / sqrt(127 / 7)]),
    # √(1 − β₂ᵗ)/(1 − β₁ᵗ) = ½/½, √(7/16)/¾ = √7/3: Δ = 0.1·1·2/(2 + 1), 0.1·√7/3·2/(2 + 1)
    (Adam(**ADAM, eps=1.0, eps_placement="hat"), [4, 2], [0.1, 0.1], [0.2 / 3, 0.2 * sqrt(7) / 9]),
    # g₂ = 0: m = 2, 1; v = 4, 3; m̂ = 4, 4/3; v̂ = 16, 48/7
    (Adam(**ADAM, eps=1.0), [4, 0], [0.1, 0.1], [0.08, 0.4 / 3 / (sqrt(48 / 7) + 1)]),
    # the greatest v is 4, corrected 64/7
    (Adam(**ADAM, eps=1.0, amsgrad="raw"), [4, 0], [0.1, 0.1], [0.08, 0.4 / 3 / (sqrt(64 / 7) + 1)]),
    # the greatest v̂ is 16
    (Adam(**ADAM, eps=1.0, amsgrad="corrected"), [4, 0], [0.1, 0.1], [0.08, 0.4 / 3 / (4 + 1)]),
    # Δ₂ = 0.1·√7/3·1/(√4 + 1)
    (Adam(**ADAM, eps=1.0, eps_placement="hat", amsgrad="raw"), [4, 0], [0.1, 0.1], [0.2 / 3, 0.1 * sqrt(7) / 9]),
    # v̂ = 16 stands for v = (7/16)·16 = 7: Δ₂ = 0.1·√7/3·1/(√7 + 1)
    (
        Adam(**ADAM, eps=1.0, eps_placement="hat", amsgrad="corrected"),
        [4, 0],
        [0.1, 0.1],
        [0.2 / 3, 0.1 * sqrt(7) / 3 / (sqrt(7) + 1)],
    ),
    # Δ₂ = 0.1·(4/3)/√(64/7 + 9) and 0.1·(4/3)/√(16 + 9)
    (
        Adam(**ADAM, eps=9.0, eps_placement="inside", amsgrad="raw"),
        [4, 0],
        [0.1, 0.1],
        [0.08, 0.4 / 3 / sqrt(127 / 7)],
    ),
    (Adam(**ADAM, eps=9.0, eps_placement="inside", amsgrad="corrected"), [4, 0], [0.1, 0.1], [0.08, 0.4 / 3 / 5]),
]


@pytest.mark.parametrize(("spec", "gradients", "etas", "expected"), BY_HAND, ids=str)
def test_two_steps_by_hand(spec, gradients, etas, expected):
    assert run(spec, gradients, etas) == pytest.approx(expected, rel=1e-15, abs=0)


@pytest.mark.parametrize("spec", [row[0] for row in BY_HAND], ids=str)
def test_pure_and_elementwise(spec):
    g = np.random.default_rng(0).standard_normal((6, 2, 3))
    together = run(spec, list(g))
    for i in np.ndindex(2, 3):
        assert run(spec, [step[i] for step in g]) == [delta[i] for delta in together]
    state = optimizers.initial(spec, g[0])
    before = {name: value.copy() for name, value in state.items()}
    first = optimizers.delta(spec, At(g[0], g[0], 0.1, 1), state)[0]
    assert all((state[name] == before[name]).all() for name in before)
    assert (optimizers.delta(spec, At(g[0], g[0], 0.1, 1), state)[0] == first).all()


def test_gradient_descent_contracts_each_mode_of_a_quadratic():
    eigenvalues, eta, start = np.array([0.5, 2.0, 9.0]), 0.1, np.array([1.0, -2.0, 3.0])
    path = descend(SGD(), lambda w: eigenvalues * w, start, eta, 30)
    expected = start * (1 - eta * eigenvalues) ** np.arange(31)[:, None]
    np.testing.assert_allclose(path, expected, rtol=1e-13)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("eigenvalue", [0.3, 5.0])
def test_heavy_ball_follows_its_companion_matrix(momentum, eigenvalue):
    """w₊ = (1 + μ − ηλ)w − μw₋ on ½λw²."""
    eta, start = 0.1, 1.5
    path = descend(Momentum(momentum=momentum), lambda w: eigenvalue * w, [start], eta, 30)[:, 0]
    companion = np.array([[1 + momentum - eta * eigenvalue, -momentum], [1.0, 0.0]])
    expected = [(np.linalg.matrix_power(companion, t) @ [start, start])[0] for t in range(31)]
    np.testing.assert_allclose(path, expected, rtol=1e-12, atol=1e-14)


def test_heavy_ball_diverges_beyond_its_bound():
    """On ½λw² the bound is ηλ < 2(1 + μ)."""
    for factor, bounded in ((0.99, True), (1.01, False)):
        path = descend(Momentum(momentum=0.9), lambda w: w, [1.0], factor * 3.8, 2000)
        assert (np.abs(path[-1]) < 1).all() == bounded


def test_nesterov_is_the_look_ahead():
    """With the gradient at θ − ημv, as first written: v ← μv + ∇f(θ − ημv); θ ← θ − ηv; w stands for θ − ημv."""
    mu, eta, matrix = 0.8, 0.05, np.array([[3.0, 1.0], [1.0, 2.0]])
    theta, v, expected = np.array([1.0, -2.0]), np.zeros(2), []
    for _ in range(31):
        expected.append(theta - eta * mu * v)
        v = mu * v + matrix @ (theta - eta * mu * v)
        theta = theta - eta * v
    for rate in ("outside", "inside"):
        path = descend(Momentum(momentum=mu, nesterov=True, rate=rate), lambda w: matrix @ w, [1.0, -2.0], eta, 30)
        np.testing.assert_allclose(path, expected, rtol=1e-12, atol=1e-14)


def test_nesterov_follows_its_companion_matrix():
    """w₊ = (1 + μ)(1 − ηλ)w − μ(1 − ηλ)w₋ on ½λw²."""
    mu, eta, eigenvalue = 0.9, 0.1, 4.0
    w = descend(Momentum(momentum=mu, nesterov=True), lambda w: eigenvalue * w, [1.0], eta, 30)[:, 0]
    expected = (1 - eta * eigenvalue) * ((1 + mu) * w[1:-1] - mu * w[:-2])
    np.testing.assert_allclose(w[2:], expected, rtol=1e-12, atol=1e-15)


GRADIENTS = list(np.random.default_rng(1).standard_normal((12, 7)))


def test_averaged_momentum_is_heavy_ball_at_a_smaller_rate():
    averaged = run(averaged_momentum(momentum=0.9), GRADIENTS, [0.1] * 12)
    heavy = run(Momentum(momentum=0.9), GRADIENTS, [0.1 * (1 - 0.9)] * 12)
    np.testing.assert_allclose(averaged, heavy, rtol=1e-14, atol=1e-16)


def test_damped_first_step_fades_away():
    """The two first steps differ by dμᵗ⁻¹g₁ in the buffer."""
    plain = run(Momentum(momentum=0.5, dampening=0.25), GRADIENTS)
    damped = run(Momentum(momentum=0.5, dampening=0.25, first="damped"), GRADIENTS)
    for t, (a, b) in enumerate(zip(plain, damped, strict=True)):
        np.testing.assert_allclose(a - b, 0.1 * 0.25 * 0.5**t * GRADIENTS[0], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("outside", "inside"),
    [
        (Momentum(), Momentum(rate="inside")),
        (Momentum(dampening=0.3), Momentum(dampening=0.3, rate="inside")),
        (Momentum(nesterov=True), Momentum(nesterov=True, rate="inside")),
        (RMSProp(momentum=0.9), RMSProp(momentum=0.9, rate="inside")),
    ],
    ids=str,
)
def test_rate_inside_is_the_same_until_it_changes(outside, inside):
    np.testing.assert_allclose(run(outside, GRADIENTS), run(inside, GRADIENTS), rtol=1e-13)
    changing = [0.1] * 6 + [0.01] * 6
    a, b = run(outside, GRADIENTS, changing), run(inside, GRADIENTS, changing)
    np.testing.assert_allclose(a[:6], b[:6], rtol=1e-13)
    assert all(np.abs(x - y).max() > 1e-3 * np.abs(x).max() for x, y in zip(a[6:], b[6:], strict=True))


@pytest.mark.parametrize("beta1", [0.0, 0.9, 0.99])
@pytest.mark.parametrize("beta2", [0.9, 0.999])
def test_first_step_of_adam(beta1, beta2):
    g = np.array([1e-12, -1e-8, 1e-4, -1.0, 1e6])
    (delta,) = run(Adam(beta1=beta1, beta2=beta2, eps=1e-8), [g])
    np.testing.assert_allclose(delta, 0.1 * g / (np.abs(g) + 1e-8), rtol=1e-13)


@pytest.mark.parametrize("spec", [Adam(eps=0.0), RMSProp(eps=0.0, bias_correction=True)], ids=str)
def test_a_constant_gradient_is_followed_at_the_rate(spec):
    """Bias-corrected averages of a constant are that constant."""
    np.testing.assert_allclose(run(spec, [np.array([3.0, -1e-3])] * 20), [[0.1, -0.1]] * 20, rtol=1e-12)


def test_adagrad_slows_down_as_the_root_of_the_step():
    deltas = run(AdaGrad(eps=0.0), [np.array([5.0])] * 20)
    np.testing.assert_allclose(np.ravel(deltas), 0.1 / np.sqrt(np.arange(1, 21)), rtol=1e-14)


@pytest.mark.parametrize(
    "spec",
    [
        AdaGrad(eps=0.0),
        RMSProp(eps=0.0),
        RMSProp(eps=0.0, centred=True),
        RMSProp(eps=0.0, momentum=0.9),
        *(Adam(eps=0.0, amsgrad=amsgrad) for amsgrad in ("no", "raw", "corrected")),
    ],
    ids=str,
)
def test_without_eps_the_scale_of_the_gradient_does_not_matter(spec):
    scaled = [1000 * g for g in GRADIENTS]
    np.testing.assert_allclose(run(spec, scaled), run(spec, GRADIENTS), rtol=1e-11)


@pytest.mark.parametrize("amsgrad", ["no", "raw", "corrected"])
def test_hat_is_outside_with_an_eps_that_falls(amsgrad):
    """ε̂ beside √v is ε̂/√(1 − β₂ᵗ) beside √v̂."""
    eps, beta2 = 0.3, 0.9
    hat = run(Adam(beta2=beta2, eps=eps, eps_placement="hat", amsgrad=amsgrad), GRADIENTS)
    for t in range(1, 13):
        outside = Adam(beta2=beta2, eps=eps / sqrt(1 - beta2**t), amsgrad=amsgrad)
        np.testing.assert_allclose(hat[t - 1], run(outside, GRADIENTS[:t])[-1], rtol=1e-13)


def test_eps_placements_differ_where_the_gradient_is_small():
    """First step, |g| = ε: outside g/(|g| + ε) = ½; hat g/(|g| + ε/√(1 − β₂)); inside g/√(g² + ε)."""
    eps, beta2 = 1e-8, 0.999
    g = np.array([eps])
    steps = {p: run(Adam(beta2=beta2, eps=eps, eps_placement=p), [g])[0][0] for p in ("outside", "hat", "inside")}
    assert steps["outside"] == pytest.approx(0.05, rel=1e-12)
    assert steps["hat"] == pytest.approx(0.1 / (1 + 1 / sqrt(1 - beta2)), rel=1e-12)
    assert steps["inside"] == pytest.approx(0.1 * eps / sqrt(eps**2 + eps), rel=1e-12)


def test_amsgrad_is_adam_while_gradients_grow():
    growing = [np.array([1.5**t]) for t in range(12)]
    adam = run(Adam(beta2=0.9), growing)
    np.testing.assert_allclose(run(Adam(beta2=0.9, amsgrad="raw"), growing), adam, rtol=1e-14)
    np.testing.assert_allclose(run(Adam(beta2=0.9, amsgrad="corrected"), growing), adam, rtol=1e-14)


def test_amsgrad_never_forgets_a_large_gradient():
    """After one large gradient: corrected divides by |g₁| for ever; raw by less, since v̂₁ was corrected upwards."""
    g1, beta1, beta2 = 10.0, 0.9, 0.99
    gradients = [np.array([g1])] + [np.zeros(1)] * 11
    corrected = np.ravel(run(Adam(beta1=beta1, beta2=beta2, eps=0.0, amsgrad="corrected"), gradients))
    raw = np.ravel(run(Adam(beta1=beta1, beta2=beta2, eps=0.0, amsgrad="raw"), gradients))
    t = np.arange(1, 13)
    m_hat = (1 - beta1) * beta1 ** (t - 1) * g1 / (1 - beta1**t)
    np.testing.assert_allclose(corrected, 0.1 * m_hat / g1, rtol=1e-12)
    np.testing.assert_allclose(raw, 0.1 * m_hat / np.sqrt((1 - beta2) * g1**2 / (1 - beta2**t)), rtol=1e-12)


@pytest.mark.parametrize("placement", ["inside", "outside"])
def test_adam_without_first_moment_is_corrected_rmsprop(placement):
    adam = run(Adam(beta1=0.0, beta2=0.9, eps=0.1, eps_placement=placement), GRADIENTS)
    rmsprop = run(RMSProp(beta=0.9, eps=0.1, eps_placement=placement, bias_correction=True), GRADIENTS)
    np.testing.assert_allclose(adam, rmsprop, rtol=1e-14)


def test_centred_rmsprop_divides_by_the_deviation():
    """Gradients c ± s in turn have mean c and deviation s: Δ tends to η(c ± s)/s."""
    c, s = 5.0, 0.5
    gradients = [np.array([c + s * (-1) ** t]) for t in range(4000)]
    plain, centred = (run(RMSProp(beta=0.99, eps=0.0, centred=centred), gradients)[-1] for centred in (False, True))
    assert plain == pytest.approx(0.1 * (c - s) / sqrt(c**2 + s**2), rel=1e-2)
    assert centred == pytest.approx(0.1 * (c - s) / s, rel=1e-2)


def test_momentum_zero_is_gradient_descent():
    for spec in (Momentum(momentum=0.0), Momentum(momentum=0.0, nesterov=True), Momentum(momentum=0.0, rate="inside")):
        assert np.array_equal(run(spec, GRADIENTS), run(SGD(), GRADIENTS))
