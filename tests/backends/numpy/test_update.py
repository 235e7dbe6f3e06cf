"""One update after another on tensors of every shape, against the reference, and at the edges of the formulas."""

import numpy as np
import pytest

from backends.numpy.flat import Flat
from backends.numpy.update import Update
from backends.reference import update as reference
from harness.spec.optimizers import LBFGS, OPTIMIZERS, SGD, Adafactor, Lion, Muon, Rprop, ScheduleFree, Yogi
from harness.spec.recipe import Adaptive, Coupled, Decoupled, Recipe
from harness.spec.spellings import recipe_label, short
from harness.spec.variants import variants

SHAPES = {
    "tall.weight": (7, 3),
    "tall.bias": (3,),
    "wide.weight": (2, 5),
    "square.weight": (4, 4),
    "kernel.weight": (3, 5, 2),
    "one.weight": (1, 1),
    "one.bias": (1,),
}
VARIANTS = [variant for kind in OPTIMIZERS for variant in variants(kind)]
DECAYS = [Decoupled(0.1), Decoupled(0.1, scaled_by="schedule", on=("tall.bias", "wide.weight")), Coupled(0.1, on="all")]
RATES = [1.0, 0.5, 0.0, 2.0] * 5


def bowl(shapes=SHAPES, seed=0):
    """A start, and curvatures h: the gradients of ½Σhw² are hw, so that what is computed leads back into it."""
    rng = np.random.default_rng(seed)
    start = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    return start, {name: rng.uniform(0.5, 2, shape) for name, shape in shapes.items()}


def contender(recipe, start, precision="float64"):
    w, g = (Flat({name: np.shape(values) for name, values in start.items()}, np.dtype(precision)) for _ in range(2))
    for name, values in start.items():
        w.views[name][...] = values
    return w, g, Update(recipe, w, g, len(RATES))


@np.errstate(all="ignore")
def steps(recipe, start, gradients, precision="float64", rates=RATES):
    """The weights after updates by gradients that are a function of (weights, step)."""
    w, g, update = contender(recipe, start, precision)
    for t, update.scale in enumerate(rates):
        for name, values in gradients(w.views, t).items():
            g.views[name][...] = values
        update()
    return w.views


@np.errstate(all="ignore")
def expected(recipe, start, gradients, rates=RATES):
    w, states = start, reference.initial(recipe, start)
    for t, factor in enumerate(rates):
        w, states = reference.update(recipe, w, gradients(w, t), states, factor, t + 1)
    return w


@pytest.mark.parametrize("optimizer", [*VARIANTS, LBFGS(curvature=0.1, memory=2), Adafactor(eps1=0.1)], ids=short)
@pytest.mark.parametrize("decay", DECAYS, ids=short)
def test_every_shape(optimizer, decay):
    """Tall, wide and square matrices, three axes, single numbers; the rate goes up, down and to 0."""
    recipe = Recipe(optimizer, decay=decay)
    start, h = bowl()

    def gradients(w, t):
        return {name: h[name] * w[name] for name in w}

    mine, theirs = steps(recipe, start, gradients), expected(recipe, start, gradients)
    for name, w in theirs.items():
        assert np.abs(mine[name] - w).max() <= 1e-12 * np.abs(w - start[name]).max(), name


@pytest.mark.parametrize("optimizer", VARIANTS, ids=short)
def test_float32_throughout(optimizer):
    recipe = Recipe(optimizer, Adaptive(), decay=Decoupled(0.1))
    start, h = bowl()
    w, g, update = contender(recipe, start, "float32")
    for _ in range(3):
        for name, view in g.views.items():
            view[...] = h[name] * w.views[name]
        update()
    found, seen = [], set()
    _arrays(update, found, seen)
    assert {array.dtype for array in found if array.dtype != np.bool_} == {np.dtype("float32")}


def _arrays(thing, found, seen):
    """All arrays within the attributes of a thing."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, np.ndarray):
        found.append(thing)
    elif isinstance(thing, list | tuple | dict):
        for part in thing.values() if isinstance(thing, dict) else thing:
            _arrays(part, found, seen)
    elif type(thing).__module__.startswith("backends.numpy"):
        for part in vars(thing).values():
            _arrays(part, found, seen)


@pytest.mark.parametrize("optimizer", VARIANTS, ids=short)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_nothing_stops_at_what_is_not_finite(optimizer, precision):
    recipe = Recipe(optimizer, Adaptive(), decay=Decoupled(0.1))
    start, _ = bowl()
    for bad in (0.0, np.inf, np.nan):
        steps(recipe, start, lambda w, t, bad=bad: {name: np.full(np.shape(w[name]), bad) for name in w}, precision)
    end = steps(recipe, start, lambda w, t: {name: np.full(np.shape(w[name]), np.nan) for name in w}, precision)
    assert all(np.isnan(w).all() for w in end.values())


@pytest.mark.parametrize(
    ("lr", "signs", "moved"),
    [
        (100.0, [1, 0, 1], 100 + 0 + 100),
        (100.0, [1, 1, 1], 100 + 50 + 50),
        (1e-8, [1, 0, 1], 1e-8 + 0 + 1e-8),
        (1e-8, [1, 1, 1], 1e-8 + 1e-6 + 1e-6),
    ],
)
def test_rprop_limits_only_sizes_that_it_changes(lr, signs, moved):
    """A first size beyond the limits 1e-6 and 50 lasts until a sign has been compared with one before."""
    recipe, start = Recipe(Rprop(lr=lr, grow=1.0)), {"x": np.zeros(1)}
    w = steps(recipe, start, lambda w, t: {"x": np.array([signs[t]])}, rates=[1.0] * 3)
    assert -w["x"] == pytest.approx(moved, rel=1e-15)


def test_rprop_compares_the_signs_of_gradients_whose_product_is_0_in_float32():
    g, spec = np.array([1e-30]), Rprop(lr=1.0, grow=1.25)
    w = steps(Recipe(spec), {"x": np.zeros(1)}, lambda w, t: {"x": g}, "float32", rates=[1.0, 1.0])
    assert w["x"] == -2.25


def test_lion_stands_still_where_nothing_moves_it():
    w = steps(Recipe(Lion(lr=0.5)), {"x": np.ones(3)}, lambda w, t: {"x": np.array([0.0, -2.0, 3.0])}, rates=[1.0])
    assert w["x"].tolist() == [1.0, 1.5, 0.5]


def test_yogi_leaves_v_where_it_is_the_square():
    """v₀ = g²: sign 0, hence Δ = ηm/(√v₀ + ε) with m = (1 − β₁)g + β₁v₀."""
    spec = Yogi(lr=1.0, beta1=0.5, beta2=0.5, eps=0.0, initial_accumulator=0.25, bias_correction=False)
    w = steps(Recipe(spec), {"x": np.zeros(1)}, lambda w, t: {"x": np.array([0.5])}, rates=[1.0])
    assert w["x"] == -(0.5 * 0.5 + 0.5 * 0.25) / 0.5


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (1, 3)])
def test_muon_makes_the_singular_values_alike(shape):
    """The quintic ends between 0.68 and 1.13 (Jordan et al. 2024), whatever the singular values were."""
    g, spec = np.random.default_rng(3).standard_normal(shape), Muon(lr=1.0, scale="none", iterations=10)
    delta = -steps(Recipe(spec), {"weight": np.zeros(shape)}, lambda w, t: {"weight": g}, rates=[1.0])["weight"]
    values = np.linalg.svd(delta, compute_uv=False)
    assert values.min() > 0.6
    assert values.max() < 1.3
    u, _, v = np.linalg.svd(g, full_matrices=False)
    assert np.abs(u.T @ delta @ v.T - np.diag(np.diag(u.T @ delta @ v.T))).max() < 1e-9


def test_adafactor_of_rank_one_squares_is_exact():
    """g² = rcᵀ: the factored V is g² itself, u = sign(g), and Δ = η sign(g) where nothing is relative or capped."""
    rng = np.random.default_rng(0)
    r, c = rng.uniform(0.1, 10, (4, 1)), rng.uniform(0.1, 10, (1, 3))
    g = np.sqrt(r * c) * rng.choice([-1, 1], (4, 3))
    spec = Adafactor(lr=0.5, rate="plain", relative=False)
    w = steps(Recipe(spec), {"weight": np.zeros((4, 3))}, lambda w, t: {"weight": g}, rates=[1.0])["weight"]
    np.testing.assert_allclose(w, -0.5 * np.sign(g), rtol=1e-14)


def test_schedule_free_is_evaluated_at_its_mean():
    """With weights equal and g = 1, zₜ = −ηt, xₜ their mean, wₜ = (1 − β)zₜ + βxₜ."""
    spec = ScheduleFree(lr=0.5, beta=0.75, base="sgd", weights="equal")
    w, g, update = contender(Recipe(spec), {"x": np.zeros(1)})
    for _ in range(3):
        g.vector[...] = 1
        update()
    assert update.evaluated_at() == pytest.approx(-1.0, rel=1e-15)
    assert w.vector == pytest.approx(0.25 * -1.5 + 0.75 * -1.0, rel=1e-15)


@pytest.mark.parametrize("optimizer", [kind() for kind in OPTIMIZERS if kind is not ScheduleFree], ids=short)
def test_all_others_are_evaluated_where_they_are(optimizer):
    w, _, update = contender(Recipe(optimizer), bowl()[0])
    assert update.evaluated_at() is w.vector


def test_adaptive_clip_of_units():
    """c·max(‖w‖, ε) = 0.5·5, 0.5·1, 0.5·3: the first column is within it, to the bit, and the vector is one unit."""
    start = {"weight": np.array([[3.0, 0.0], [4.0, 0.5]]), "bias": np.array([0.0, 3.0])}
    g = {"weight": np.array([[1.5, 3.0], [2.0, 4.0]]), "bias": np.array([4.0, 3.0])}
    clipped = {"weight": np.array([[1.5, 0.3], [2.0, 0.4]]), "bias": np.array([1.2, 0.9])}
    w = steps(Recipe(SGD(lr=1.0), Adaptive(0.5, eps=1.0)), start, lambda w, t: g, rates=[1.0])
    for name, values in clipped.items():
        np.testing.assert_allclose(start[name] - w[name], values, rtol=1e-14)
    assert np.array_equal(w["weight"][:, 0], start["weight"][:, 0] - g["weight"][:, 0])


def test_adaptive_clip_lets_a_zero_be_and_spoils_only_the_unit_of_a_nan():
    start = {"weight": np.ones((2, 3)), "bias": np.zeros(2)}
    g = {"weight": np.array([[0.0, np.nan, 9.0], [0.0, 1.0, 0.0]]), "bias": np.zeros(2)}
    w = steps(Recipe(SGD(lr=1.0), Adaptive(1.0)), start, lambda w, t: g, rates=[1.0])
    assert np.isnan(w["weight"]).tolist() == [[False, True, False]] * 2
    np.testing.assert_allclose(w["weight"][:, 2], [1 - np.sqrt(2), 1])
    assert w["bias"].tolist() == [0, 0]


@pytest.mark.parametrize(
    "recipe",
    [Recipe(optimizer, decay=decay) for optimizer in (kind() for kind in OPTIMIZERS) for decay in DECAYS[:2]],
    ids=recipe_label,
)
def test_one_tensor_alone_is_that_tensor_among_others(recipe):
    """Each tensor goes its own way, but under LBFGS, which takes all of them as one vector."""
    start, h = bowl()
    alone = {name: start[name] for name in ("tall.bias", "wide.weight")}

    def gradients(w, t):
        return {name: h[name] * w[name] for name in w}

    among, apart = steps(recipe, start, gradients), steps(recipe, alone, gradients)
    same = [np.abs(among[name] - w).max() <= 1e-12 * np.abs(w - start[name]).max() for name, w in apart.items()]
    assert all(same) == (recipe.optimizer.spelling() != "lbfgs")
