"""What observed training says, against what it must say: planted death, planted NaN, rates and clips by hand."""

import numpy as np
import pytest

from harness import registry
from harness.errors import InvalidInput
from harness.measure import convergence, health
from harness.measure.run import Builder
from harness.measure.series import table
from harness.problems import task as tasks
from harness.problems.catalogue import case
from harness.spec.activations import Relu, Tanh
from harness.spec.base import from_json, to_json
from harness.spec.cell import Budget, Cell
from harness.spec.job import Convergence, Environment, Health, Job
from harness.spec.layers import BatchNorm, Dense
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import SGD, Adam
from harness.spec.problem import DataSet, Network, Quadratic, RandomGradients
from harness.spec.recipe import ByValue, Decoupled, GlobalNorm, PerTensor, Recipe
from harness.spec.schedules import Plateau
from harness.spec.stopping import AtTarget, ToTheEnd

NET = Network(DataSet("iris"), (Dense(6), Relu(), Dense(5), Tanh(), Dense(3)), CrossEntropy())
ENVIRONMENT = Environment("3.11", {}, "", "", "", 1, {})
EACH = Health(every=1, window=1)
STILL = SGD(1e-12)  # moves nothing that a test would see


@pytest.fixture(scope="module", params=["reference", "numpy"])
def train(request):
    """The outcome of a health measurement, its table and its run."""
    builder = Builder(registry.find(request.param).open(threads=1))

    def train(recipe, problem=NET, steps=6, batch=16, what=None, start=None, precision="float64", stop=None):
        if request.param == "reference" and precision != "float64":
            pytest.skip("computes in float64")
        budget = Budget(steps=steps, batch=batch, stop=stop or ToTheEnd())
        cell = Cell(problem, recipe, budget, request.param, precision=precision)
        task = tasks.make(problem)
        first = tasks.initial(task, 0)
        run = builder.open(cell, task, first | (start(first) if start else {}))
        outcome = health.measure(run, what or Health(every=1, window=2))
        return outcome, table(outcome.series), run

    return train


def values(found, name, tensor=""):
    rows = found[(found["series"] == name) & (found["tensor"] == tensor)]
    return rows.sort_values(["step", "index"])["value"].to_numpy()


def steps(found, name, tensor=""):
    return sorted(found[(found["series"] == name) & (found["tensor"] == tensor)]["step"])


def test_planted_dead_units_are_found_all_and_no_other(train):
    """A bias below −max Wx over all the data: the unit gives 0 on every sample, and its row of the gradient is 0."""
    x = tasks.make(NET).parts["training"].x
    dead = [1, 4]

    def plant(start):
        bias = 1.0 + np.abs(x @ start["dense1.weight"]).max(axis=0)
        bias[dead] *= -1
        return {"dense1.bias": bias}

    _, found, _ = train(Recipe(SGD(0.01)), steps=8, start=plant, what=Health(every=2, window=2))
    assert values(found, "dead", "relu1").tolist() == [2, 2]
    assert steps(found, "dead", "relu1") == [2, 6]
    assert values(found, "gradient_zeros", "dense1.weight") == pytest.approx([2 / 6] * 4)
    assert values(found, "gradient_zeros", "dense1.bias") == pytest.approx([2 / 6] * 4)
    assert values(found, "zeros", "relu1") == pytest.approx([2 / 6] * 2)
    assert not values(found, "frozen", "dense1.weight").any()  # they were not asked to move


def test_a_unit_that_one_batch_leaves_at_zero_is_not_dead(train):
    """Batches of one sample: on each some units are 0, of which most live in a window of sixty."""
    _, found, run = train(Recipe(STILL), steps=60, batch=1, what=EACH)
    of_one = values(found, "dead", "relu1")
    _, found, _ = train(Recipe(STILL), steps=60, batch=1, what=Health(every=1, window=60))
    x = run.task.parts["training"].x[run.order[:, 0]]
    active = x @ run.start["dense1.weight"] + run.start["dense1.bias"] > 0
    assert of_one.tolist() == (~active).sum(axis=1).tolist()
    assert values(found, "dead", "relu1").tolist() == [(~active).all(axis=0).sum()]
    assert (~active).sum(axis=1).min() > (~active).all(axis=0).sum()


def test_moments_of_a_window_are_those_of_all_its_samples(train):
    _, found, run = train(Recipe(STILL), steps=6, what=Health(every=1, window=3))
    x = run.task.parts["training"].x
    for window, rows in enumerate(np.split(run.order, 2)):
        z = x[rows.ravel()] @ run.start["dense1.weight"] + run.start["dense1.bias"]
        assert values(found, "mean", "dense1")[window] == pytest.approx(z.mean(), rel=1e-9)
        assert values(found, "spread", "dense1")[window] == pytest.approx(z.std(), rel=1e-9)


def test_saturation_is_a_slope_below_a_hundredth(train):
    def plant(start):
        return {"dense2.weight": 8 * start["dense2.weight"]}

    _, found, run = train(Recipe(STILL), steps=2, start=plant)
    x = run.task.parts["training"].x[run.order.ravel()]
    hidden = np.maximum(x @ run.start["dense1.weight"] + run.start["dense1.bias"], 0)
    y = np.tanh(hidden @ run.start["dense2.weight"] + run.start["dense2.bias"])
    share = np.mean(1 - y**2 < 0.01)
    assert 0.02 < share < 0.98
    assert values(found, "saturated", "tanh1") == pytest.approx([share])
    assert not values(found, "saturated", "relu1").size  # its zeros say it


def test_sgd_moves_by_its_rate_times_the_gradient(train):
    _, found, _ = train(Recipe(SGD(0.03)))
    for name in ("dense1.weight", "dense3.bias", ""):
        norms = values(found, "gradient_norm", name)
        assert values(found, "update_norm", name) == pytest.approx(0.03 * norms, rel=1e-12)
        moved, weights = values(found, "update_norm", name)[1:], values(found, "weight_norm", name)[1:]
        assert values(found, "update_ratio", name)[1:] == pytest.approx(moved / weights, rel=1e-14)
    assert values(found, "update_ratio", "dense3.bias")[0] == np.inf  # of a bias that starts at 0
    assert values(found, "clipped_norm", "") == pytest.approx(values(found, "gradient_norm", ""), rel=1e-14)
    assert not values(found, "clip_bound").any()


def test_adams_first_step_is_its_rate_in_every_place(train):
    """m̂/√v̂ = ±1 where ε is nothing beside |g|: ‖Δ‖ = η√n."""
    _, found, run = train(Recipe(Adam(0.01, eps=1e-300)), RandomGradients(samples=8), steps=2, batch=4)
    for name, shape in run.task.shapes.items():
        assert values(found, "update_norm", name)[0] == pytest.approx(0.01 * np.sqrt(np.prod(shape)), rel=1e-12)
        assert values(found, "update_max", name)[0] == pytest.approx(0.01, rel=1e-12)


def test_a_decoupled_decay_is_part_of_the_update(train):
    """Δw = −η(g + λw), w = 1 everywhere."""
    recipe = Recipe(SGD(0.1), decay=Decoupled(0.5, on="all"))
    _, found, run = train(recipe, Quadratic(dimension=4), steps=1, batch="full", what=EACH)
    g = run.task.constants["matrix"] @ np.ones(4)
    assert values(found, "update_norm", "x") == pytest.approx([0.1 * np.linalg.norm(g + 0.5)], rel=1e-12)


@pytest.mark.parametrize("c", [0.05, 0.3, 100.0])
def test_a_norm_clip_leaves_the_lesser_of_norm_and_limit(train, c):
    _, plain, _ = train(Recipe(STILL))
    _, found, _ = train(Recipe(STILL, GlobalNorm(c)))
    norms = values(plain, "gradient_norm")
    assert values(found, "gradient_norm") == pytest.approx(norms, rel=1e-9)
    assert values(found, "clipped_norm") == pytest.approx(np.minimum(norms, c), rel=1e-9)
    assert values(found, "clip_bound").tolist() == (norms > c).astype(float).tolist()
    _, found, run = train(Recipe(STILL, PerTensor(c)))
    each = np.array([values(plain, "gradient_norm", name) for name in run.task.parameters])
    clipped = np.array([values(found, "clipped_norm", name) for name in run.task.parameters])
    assert clipped == pytest.approx(np.minimum(each, c), rel=1e-9)
    assert values(found, "clip_bound").tolist() == (each > c).any(axis=0).astype(float).tolist()


def test_a_clip_by_value_is_seen_to_bind(train):
    for limit, binds in ((1e-3, 1.0), (1e3, 0.0)):
        _, found, _ = train(Recipe(STILL, ByValue(-limit, limit)))
        assert values(found, "clip_bound").tolist() == [binds] * 6


def test_an_update_below_half_an_ulp_is_frozen(train):
    """In float32 the number next below 1 is 1 − 2⁻²⁴: what takes at most half of that from 1 leaves it."""
    bowl = Quadratic(dimension=4, condition=8.0, rotated=False)  # g = 1, 2, 4, 8 at (1, 1, 1, 1)
    # Of 1, 2, 4, 8 times 2⁻²⁷ three are at most 2⁻²⁵; the fourth, 2⁻²⁴, is taken in full.
    for rate, frozen, moved in ((2.0**-30, 1.0, 0.0), (2.0**-27, 0.75, 2.0**-24), (2.0**-20, 0.0, 85**0.5 * 2.0**-20)):
        _, found, _ = train(Recipe(SGD(rate)), bowl, steps=1, batch="full", precision="float32", what=EACH)
        assert values(found, "frozen", "x").tolist() == [frozen]
        assert values(found, "gradient_max", "x") == pytest.approx([8.0], rel=1e-6)
        assert values(found, "update_norm", "x") == pytest.approx([moved], rel=1e-6, abs=0)


def test_the_angle_to_the_gradient_observed_before(train):
    """g = Aw on a diagonal bowl: w after a step is (1 − ηh)w, so both gradients are known."""
    bowl = Quadratic(dimension=3, condition=4.0, rotated=False)
    _, found, _ = train(Recipe(SGD(0.4)), bowl, steps=5, batch="full", what=Health(every=2, window=1))
    h = np.array([1.0, 2.0, 4.0])
    g = [h * (1 - 0.4 * h) ** t for t in (0, 2, 4)]
    expected = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(g[:-1], g[1:], strict=True)]
    for tensor in ("", "x"):
        assert np.isnan(values(found, "cosine", tensor)[0])
        assert values(found, "cosine", tensor)[1:] == pytest.approx(expected, rel=1e-12)


def test_a_planted_nan_shows_first_where_it_is(train):
    def plant(start):
        weight = start["dense2.weight"].copy()
        weight[2, 3] = np.nan
        return {"dense2.weight": weight}

    outcome, found, _ = train(Recipe(SGD(0.1)), start=plant, steps=8)
    assert outcome.diverged == 0
    counts = {name: values(found, "nonfinite", name)[0] for name in ("dense1", "relu1", "dense2", "tanh1", "dense3")}
    assert list(counts.values()) == [0, 0, 16, 16, 48]
    assert steps(found, "gradient_norm") == [0]  # nothing after the first loss that is not finite


@pytest.mark.parametrize("every", [1, 7])
def test_divergence_ends_it_as_it_ends_convergence(train, every):
    """On a bowl of curvature 100, η = 1 multiplies the error by −99 a step: the loss overflows at step 77."""
    bowl = Quadratic(dimension=3, condition=100.0, rotated=False)
    outcome, found, run = train(Recipe(SGD(1.0)), bowl, steps=300, batch="full", what=Health(every=every, window=1))
    assert outcome.diverged == convergence.measure(run, Convergence()).diverged == 77
    assert max(steps(found, "gradient_norm")) == 77 // every * every
    assert max(steps(found, "loss")) < 150


@pytest.mark.parametrize("every", [1, 2, 5])
@pytest.mark.parametrize("level", ["minimal", "standard"])
def test_observing_is_the_run_that_convergence_measures(train, every, level):
    problem = Network(DataSet("iris"), (Dense(6), BatchNorm(), Relu(), Dense(3)), CrossEntropy())
    recipe = Recipe(Adam(0.01), GlobalNorm(0.5), schedule=Plateau(every=4, patience=1))
    _, found, run = train(recipe, problem, steps=23, what=Health(level=level, every=every, window=1))
    plain = table(convergence.measure(run, Convergence(norms_every=every)).series)
    assert values(found, "loss").tolist() == values(plain, "loss").tolist()
    assert steps(found, "gradient_norm") == list(range(0, 23, every))
    for name in run.task.parameters:
        expected = values(plain, "gradient_norm", name)
        assert values(found, "gradient_norm", name) == pytest.approx(expected, rel=1e-12)


def test_a_rule_stops_it(train):
    stop, what = AtTarget(0.5, every=5), Health(every=10, window=1)
    outcome, found, _ = train(Recipe(Adam(0.05)), steps=200, stop=stop, what=what)
    assert outcome.diverged is None
    (stopped,) = values(found, "stopped")
    assert len(values(found, "loss")) == stopped < 200


def test_a_window_that_no_run_fills_is_refused(train):
    with pytest.raises(InvalidInput, match="health.window = 10: the run has 3 observed steps .* at most 3"):
        train(Recipe(SGD()), steps=30, what=Health(every=10))
    train(Recipe(SGD()), steps=30, what=Health(level="minimal", every=10))
    train(Recipe(SGD(1e-3)), Quadratic(), steps=5, batch="full", what=Health(every=10))  # has no layers


def test_minimal_says_less(train):
    _, found, _ = train(Recipe(SGD(0.01)), what=Health(level="minimal", every=1))
    evaluated = {f"{what}/{part}" for what in ("loss", "metric") for part in ("training", "validation", "test")}
    assert set(found["series"]) == {"loss", "gradient_norm", "clipped_norm", "clip_bound", *evaluated}


def test_a_job_goes_through_json():
    digits = case("digits-64-64-64-10")
    cell = Cell(digits.problem, digits.recipe, digits.budget, "numpy")
    job = Job(cell, Health(level="minimal", every=3), ENVIRONMENT)
    assert from_json(Job, to_json(job)) == job
