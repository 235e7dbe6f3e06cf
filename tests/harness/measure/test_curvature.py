"""Level full against what is known: bowls, and gradients that were planted."""

import numpy as np
import pytest

from harness import registry
from harness.errors import InvalidInput
from harness.health.noise import estimate
from harness.measure import convergence, curvature, health
from harness.measure.run import Builder
from harness.measure.series import table
from harness.observation import EDGES
from harness.problems import task as tasks
from harness.spec.activations import Relu, Tanh
from harness.spec.cell import Budget, Cell
from harness.spec.fault import Put, Rate
from harness.spec.job import Convergence, Health
from harness.spec.layers import BatchNorm, Dense, Dropout, Residual
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import SGD, Adam, Momentum
from harness.spec.problem import DataSet, Network, NoisyQuadratic, Quadratic, RandomGradients
from harness.spec.recipe import L2, GlobalNorm, Recipe
from harness.spec.schedules import Cosine, Plateau

NET = Network(DataSet("iris"), (Dense(6), Relu(), Dropout(0.2), Dense(5), Tanh(), Dense(3)), CrossEntropy())
FULL = Health(level="full", every=1, window=1)
BOWL = Quadratic(dimension=4, condition=8.0, rotated=False)  # curvatures 1, 2, 4, 8; starts at (1, 1, 1, 1)


@pytest.fixture(scope="module", params=["reference", "numpy"])
def train(request):
    """The series of a health measurement, and its run."""
    builder = Builder(registry.find(request.param).open(threads=1))

    def train(recipe, problem=NET, steps=6, batch=16, what=FULL, start=None):
        cell = Cell(problem, recipe, Budget(steps=steps, batch=batch), request.param, precision="float64")
        task = tasks.make(problem)
        run = builder.open(cell, task, tasks.initial(task, 0) | (start or {}))
        return table(health.measure(run, what).series), run

    return train


def values(found, name, tensor=""):
    rows = found[(found["series"] == name) & (found["tensor"] == tensor)]
    return rows.sort_values(["step", "index"])["value"].to_numpy()


def test_of_a_bowl_the_sharpness_is_its_largest_curvature(train):
    for problem in (BOWL, Quadratic(dimension=30, condition=100.0)):
        found, run = train(Recipe(SGD(0.01)), problem, batch="full")
        top = np.linalg.eigvalsh(run.task.constants["matrix"])[-1]
        assert values(found, "sharpness") == pytest.approx([top] * 6, rel=2e-3)
        assert (values(found, "sharpness") <= top * (1 + 1e-12)).all()
        assert (values(found, "sharpness_residual") < 0.1).all()


def test_a_penalty_is_part_of_it(train):
    found, _ = train(Recipe(SGD(0.01), penalty=L2(0.5, on="all")), BOWL, batch="full")
    assert values(found, "sharpness") == pytest.approx([9] * 6, rel=2e-3)


@pytest.mark.parametrize("rate", [0.05, 0.125, 0.3])
def test_along_an_eigenvector_gradient_descent_overshoots_by_its_rate_times_the_curvature(train, rate):
    top = {"x": np.array([0.0, 0.0, 0.0, 1.0])}
    found, _ = train(Recipe(SGD(rate)), BOWL, steps=3, batch="full", start=top)
    if rate == 0.125:  # it is there in one step
        assert values(found, "overshoot")[0] == pytest.approx(1.0, rel=1e-12)
    else:
        assert values(found, "overshoot") == pytest.approx([8 * rate] * 3, rel=1e-9)


@pytest.mark.parametrize("optimizer", [SGD(0.3), Momentum(0.1), Adam(0.2)])
def test_overshoot_says_where_the_loss_goes(train, optimizer):
    """On a bowl the quadratic model is the loss: ΔL = −gᵀΔw·(r/2 − 1), so that r > 2 where it rises."""
    found, run = train(Recipe(optimizer), BOWL, steps=8, batch="full")
    losses, r = values(found, "loss"), values(found, "overshoot")
    trainer, slopes = run.trainer(), []
    for row in run.order:
        before = trainer.parameters()["x"]
        trainer.train(row[None])
        slopes.append(np.array([1, 2, 4, 8]) * before @ (trainer.parameters()["x"] - before))
    assert np.diff(losses) == pytest.approx(np.array(slopes[:-1]) * (1 - r[:-1] / 2), rel=1e-9)


def test_the_rate_is_that_of_the_step(train):
    found, run = train(Recipe(SGD(0.01), schedule=Cosine()), BOWL, batch="full")
    factors = (1 + np.cos(np.pi * np.arange(6) / 6)) / 2
    assert values(found, "sharpness_rate") == pytest.approx(values(found, "sharpness") * 0.01 * factors, rel=1e-12)
    what = Health(level="full", every=1, window=1, faults=(Rate(2, 3.0),))
    found, _ = train(Recipe(SGD(0.01)), BOWL, batch="full", what=what)
    cut = np.array([1, 1, 3, 3, 3, 3])
    assert values(found, "sharpness_rate") == pytest.approx(values(found, "sharpness") * 0.01 * cut, rel=1e-12)
    recipe = Recipe(SGD(1e-9), schedule=Plateau(factor=0.5, every=1, patience=1))
    found, _ = train(recipe, BOWL, batch="full")
    rates = values(found, "sharpness_rate") / values(found, "sharpness")
    assert rates / 1e-9 == pytest.approx([1, 1, 0.5, 0.25, 0.125, 0.0625])


def test_planted_noise_is_estimated(train):
    """Of gradients h(w − ξ), ξ ~ N(0, 1/h), the covariance is diag(h), whatever w: tr Σ = Σh and G = hw."""
    problem = NoisyQuadratic(dimension=20)
    found, run = train(Recipe(SGD(1e-12)), problem, steps=200, batch=11)
    small, large = values(found, "noise_small"), values(found, "noise_large")
    seen = estimate(small, large, 5, 10)
    each = run.task.constants["curvatures"] * (run.start["x"] - run.task.parts["training"].x)
    signal, variance = np.sum(each.mean(axis=0) ** 2), each.var(axis=0).sum()
    assert abs(seen.signal - signal) < 4 * seen.signal_error
    assert abs(seen.variance - variance) < 4 * seen.variance_error
    assert seen.variance_error < 0.1 * variance


def test_halves_by_hand(train):
    """Of random gradients the gradient is the mean of the samples."""
    found, run = train(Recipe(SGD(1e-12)), RandomGradients(samples=30), steps=2, batch=5)
    x = run.task.parts["training"].x[run.order]
    halves = np.stack([x[:, :2].mean(axis=1), x[:, 2:4].mean(axis=1)])
    assert values(found, "noise_small") == pytest.approx((halves**2).sum(axis=2).mean(axis=0), rel=1e-12)
    assert values(found, "noise_large") == pytest.approx((halves.mean(axis=0) ** 2).sum(axis=1), rel=1e-12)
    assert values(found, "sharpness").tolist() == values(found, "sharpness_residual").tolist() == [0, 0]
    assert values(found, "overshoot").tolist() == [0, 0]


def test_one_sample_has_no_noise(train):
    found, _ = train(Recipe(SGD(0.01)), batch=1)
    assert not {"noise_small", "noise_large"} & set(found["series"])
    assert len(values(found, "sharpness")) == 6


@pytest.mark.parametrize("every", [1, 4])
def test_observing_is_the_run_that_convergence_measures(train, every):
    recipe = Recipe(Adam(0.01), GlobalNorm(0.5), schedule=Plateau(every=4, patience=1))
    found, run = train(recipe, steps=11, what=Health(level="full", every=every, window=1))
    plain = table(convergence.measure(run, Convergence()).series)
    assert values(found, "loss").tolist() == values(plain, "loss").tolist()
    rows = found[found["series"] == "sharpness"]
    assert sorted(rows["step"]) == list(range(0, 11, every))
    standard, _ = train(recipe, steps=11, what=Health(level="standard", every=every, window=1))
    for name in set(standard["series"]):
        both = (one[one["series"] == name]["value"].to_numpy() for one in (found, standard))
        assert np.array_equal(*both, equal_nan=True), name


def test_all_backends_find_the_same(train):
    """The reference's and the contender's, of whose gradients no operation is shared."""
    found, run = train(Recipe(Adam(0.05)), steps=12)
    other = Builder(registry.find("numpy" if run.cell.backend == "reference" else "reference").open(threads=1))
    cell = Cell(NET, run.cell.recipe, run.cell.budget, "reference", precision="float64")
    theirs = table(health.measure(other.open(cell, run.task, run.start), FULL).series)
    for name in ("sharpness", "sharpness_residual", "overshoot", "noise_small", "noise_large"):
        assert values(found, name) == pytest.approx(values(theirs, name), rel=1e-6), name


def test_histograms_are_of_windows(train):
    found, run = train(Recipe(SGD(1e-12)), steps=6, what=Health(level="full", every=1, window=3))
    x = run.task.parts["training"].x
    for window, rows in enumerate(np.split(run.order, 2)):
        z = x[rows.ravel()] @ run.start["dense1.weight"] + run.start["dense1.bias"]
        shares = found[
            (found["series"] == "histogram") & (found["tensor"] == "dense1") & (found["step"] == 3 * window + 2)
        ].sort_values("index")
        expected = np.histogram(z, [-np.inf, *EDGES, np.inf])[0] / z.size
        assert shares["value"].to_numpy() == pytest.approx([*expected, 0, 0], abs=1e-12)


def test_what_is_not_finite_ends_it_and_is_seen(train):
    what = Health(level="full", every=2, window=1, faults=(Put(3, "dense1.weight", "nan"),))
    found, _ = train(Recipe(SGD(0.01)), steps=9, what=what)
    sharp = values(found, "sharpness")
    assert np.isfinite(sharp).tolist() == [True, True, False]  # steps 0, 2, and 3, where it breaks
    assert np.isnan(values(found, "overshoot")[-1])


def test_a_level_that_does_not_exist():
    with pytest.raises(InvalidInput, match="unknown health.level 'ful': did you mean 'full'"):
        Health(level="ful")


def test_vectors_come_apart_as_they_were():
    w = {"a": np.arange(6.0).reshape(2, 3), "b": np.arange(2.0)}
    back = curvature.apart(curvature.joined(w), w)
    assert all(np.array_equal(back[name], w[name]) for name in w)


@pytest.mark.parametrize(
    ("model", "loss", "separable"),
    [
        ((Dense(5), Tanh(), Dense(3)), CrossEntropy(), True),
        ((Dense(5), Tanh(), Dense(3)), CrossEntropy(reduction="sum"), False),
        ((Dense(5), BatchNorm(), Dense(3)), CrossEntropy(), False),
        ((Dense(5), Residual((Dense(5), Dropout(0.2))), Dense(3)), CrossEntropy(), False),
    ],
)
@pytest.mark.parametrize("batch", [15, 16])
def test_the_gradient_along_a_step_is_the_whole_batchs(train, model, loss, separable, batch):
    """r = ΔwᵀHΔw/(−gᵀΔw): of plain SGD −gᵀΔw = η|g|², with g of the step as it is observed."""
    recipe = Recipe(SGD(0.05), penalty=L2(0.1))
    found, run = train(recipe, Network(DataSet("iris"), model, loss), steps=1, batch=batch)
    assert curvature.separable(run.task) is separable
    trainer = run.trainer()
    g = curvature.joined(trainer.gradients(run.order[0]))
    hg = curvature.joined(trainer.curvature(run.order[0], curvature.apart(g, run.start)))
    if not any(isinstance(layer, Residual) for layer in model):  # under dropout H is of the masks to come
        assert values(found, "overshoot") == pytest.approx([0.05 * (g @ hg) / (g @ g)], rel=1e-9)
