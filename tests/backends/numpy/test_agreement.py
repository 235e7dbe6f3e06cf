"""The contender computes what the reference computes: every optimizer, and pairs of everything around it."""

import itertools

import msgspec
import numpy as np
import pytest
from allpairspy import AllPairs

from backends.numpy.trainer import NumpyTrainer
from backends.reference.trainer import ReferenceTrainer
from harness.problems import task
from harness.problems.catalogue import CATALOGUE
from harness.spec.cell import Budget, Cell
from harness.spec.layers import Dense, Elu, Flatten, LeakyRelu, Linear, Relu, Sigmoid, Tanh
from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, MeanSquaredError
from harness.spec.optimizers import SGD, AdaGrad, Adam, Momentum, RMSProp
from harness.spec.problem import Beale, DataSet, Network, NoisyQuadratic, Quadratic, RandomGradients, Rosenbrock
from harness.spec.recipe import (
    L1,
    L1L2,
    L2,
    ByValue,
    Coupled,
    Decoupled,
    GlobalNorm,
    NoClip,
    NoDecay,
    NoPenalty,
    PerTensor,
    Recipe,
)
from harness.spec.schedules import Constant, Cosine, Exponential, Step, WarmUp
from harness.spec.spellings import recipe_label

STEPS = 20
PLACES = ("inside", "outside")

OPTIMIZERS = [
    SGD(),
    *(
        Momentum(dampening=dampening, first=first, rate=rate)
        for (dampening, first), rate in itertools.product(
            [(0.0, "plain"), (0.3, "plain"), (0.3, "damped")], ("outside", "inside")
        )
    ),
    *(Momentum(nesterov=True, rate=rate) for rate in ("outside", "inside")),
    *(AdaGrad(eps_placement=place, initial_accumulator=h) for place, h in itertools.product(PLACES, (0.0, 0.1))),
    *(
        RMSProp(eps_placement=place, centred=centred, bias_correction=corrected, momentum=momentum, rate=rate)
        for place, (centred, corrected), (momentum, rate) in itertools.product(
            PLACES,
            [(False, False), (True, False), (False, True)],
            [(0.0, "outside"), (0.9, "outside"), (0.9, "inside")],
        )
    ),
    *(
        Adam(eps_placement=place, amsgrad=amsgrad)
        for place, amsgrad in itertools.product(("outside", "hat", "inside"), ("no", "raw", "corrected"))
    ),
    Adam(beta1=0.0, beta2=0.5, eps=1e-3),
]
CLIPS = [NoClip(), GlobalNorm(5.0), PerTensor(2.0), ByValue(-0.5, 1.0)]
PENALTIES = [NoPenalty(), L1(0.2), L2(0.2, on="all"), L2(0.2, scaling="per_sample"), L1L2(0.1, 0.2, on=("bias",))]
DECAYS = [NoDecay(), Coupled(0.3), Coupled(0.3, on="all"), Decoupled(0.3), Decoupled(0.003, "schedule", ("bias",))]
SCHEDULES = [
    Constant(),
    Step(every=5),
    Exponential(every=7),
    Cosine(floor=0.1),
    WarmUp(steps=6, start=0.1, then=Cosine(steps=10)),
]
RECIPES = [Recipe(*pieces) for pieces in AllPairs([OPTIMIZERS, CLIPS, PENALTIES, DECAYS, SCHEDULES])]


def scaled(recipe, scale):
    """The recipe for gradients of another size: what is measured against them shrinks with them."""
    replace, clip, penalty = msgspec.structs.replace, recipe.clip, recipe.penalty
    clip = replace(clip, **{name: scale * getattr(clip, name) for name in clip.__struct_fields__})
    match penalty:
        case L1():
            penalty = replace(penalty, rate=scale * penalty.rate)
        case L1L2():
            penalty = replace(penalty, l1=scale * penalty.l1)
    return replace(recipe, clip=clip, penalty=penalty)


def apart(a, b, start, eps):
    """The largest distance of two ends over how far its tensor moved, beyond the rounding of w in each step."""
    moved = {name: np.abs(b[name] - start[name]).max() for name in b}
    rounding = {name: STEPS * eps * np.abs(b[name]).max() for name in b}
    beyond = {name: np.maximum(np.abs(a[name] - b[name]).max() - rounding[name], 0) for name in b}
    return max(beyond[name] / moved[name] for name in b if moved[name] != 0)


def compare(problem, recipe, start, order, tolerances):
    """Run the reference once and the contender in each precision."""
    made = task.make(problem)
    cell = Cell(problem, recipe, Budget(steps=len(order)), "numpy", precision="float64")
    reference = ReferenceTrainer(cell, made, start, len(order), True)
    expected = reference.train(order)
    for precision, tolerance in tolerances.items():
        run = NumpyTrainer(msgspec.structs.replace(cell, precision=precision), made, start, len(order), True)
        steps = run.train(order)
        assert apart(run.parameters(), reference.parameters(), start, np.finfo(precision).eps) <= tolerance
        for name in ("loss", "penalty", "norms"):
            mine, true = getattr(steps, name), getattr(expected, name)
            np.testing.assert_allclose(mine, true, rtol=10 * tolerance, atol=10 * tolerance * np.abs(true).max())
        for part in made.parts:
            mine, true = run.evaluate(part), reference.evaluate(part)
            assert mine.loss == pytest.approx(true.loss, rel=10 * tolerance, abs=10 * tolerance)
            assert (mine.metric is None) == (true.metric is None)
            if true.metric is not None:  # in float32 a sample may change sides
                assert mine.metric == pytest.approx(true.metric, abs=1e-12 if precision == "float64" else 0.02)


@pytest.mark.parametrize("recipe", RECIPES, ids=recipe_label)
@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_recipes_on_shared_gradients(recipe, scale):
    problem = RandomGradients(scale=scale)
    made = task.make(problem)
    order = task.order(made.samples, Budget(steps=STEPS, batch=1), 0)
    compare(problem, scaled(recipe, scale), task.initial(made, 0), order, {"float64": 2e-13, "float32": 1e-4})


@pytest.mark.parametrize("name", CATALOGUE)
def test_catalogue(name):
    case = CATALOGUE[name]
    made = task.make(case.problem)
    order, start = task.order(made.samples, case.budget, 0), task.initial(made, 0)
    compare(case.problem, case.recipe, start, order[:100], {"float64": 1e-13})
    compare(case.problem, case.recipe, start, order[:20], {"float32": 1e-4})


IRIS, WINE, CUBE = DataSet("iris"), DataSet("wine"), DataSet("cube", scaling="none")
CANCER, REGRESSION = DataSet("breast_cancer"), DataSet("regression", scaling="none")
NETWORKS = [
    Network(IRIS, (Dense(3),), CrossEntropy()),
    Network(IRIS, (Dense(3, bias=False), Linear()), CrossEntropy()),
    Network(IRIS, (Tanh(), Dense(7), Elu(0.5), Dense(1), Elu(), Dense(3)), CrossEntropy()),
    Network(
        WINE,
        (Dense(6, bias=False), LeakyRelu(0.2), Linear(), Sigmoid(), Dense(4), LeakyRelu(1.5), Dense(3)),
        CrossEntropy(),
    ),
    Network(CANCER, (Sigmoid(), Relu(), Dense(5), Relu(), Dense(1)), BinaryCrossEntropy()),
    Network(CUBE, (Flatten(), Tanh(), Dense(5), Flatten(), Sigmoid(), Dense(2)), MeanSquaredError()),
    Network(CUBE, (Relu(), Flatten(), Dense(5), Tanh(), Dense(2), Sigmoid()), MeanSquaredError()),
    Network(REGRESSION, (Dense(1), Dense(2)), MeanSquaredError()),
]


@pytest.mark.parametrize("problem", NETWORKS, ids=str)
@pytest.mark.parametrize("batch", [1, 5])
def test_networks(problem, batch):
    made = task.make(problem)
    order = task.order(made.samples, Budget(steps=10, batch=batch), 0)
    compare(problem, Recipe(SGD(lr=0.1)), task.initial(made, 0), order, {"float64": 2e-13, "float32": 1e-4})


@pytest.mark.parametrize(
    "problem",
    [
        *NETWORKS,
        Rosenbrock(a=2.0, b=3.0),
        Beale(start=(0.4, -1.3)),
        Quadratic(dimension=7, rotated=True),
        NoisyQuadratic(dimension=1),
        NoisyQuadratic(dimension=6),
        RandomGradients(),
    ],
    ids=str,
)
@pytest.mark.parametrize("batch", [1, 9])
@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-13), ("float32", 1e-5)])
def test_gradients(problem, batch, precision, tolerance):
    made = task.make(problem)
    start = task.initial(made, 3)
    cell = Cell(problem, Recipe(SGD(), penalty=L2(0.1)), Budget(steps=1), "numpy", precision=precision)
    row = np.arange(batch, dtype=np.int32) % made.samples
    mine = NumpyTrainer(cell, made, start, 1, False).gradients(row)
    exact = ReferenceTrainer(cell, made, start, 1, False).gradients(row)
    assert list(mine) == list(exact)
    for name, g in exact.items():
        np.testing.assert_allclose(mine[name], g, rtol=0, atol=tolerance * np.abs(g).max())


@pytest.mark.parametrize(
    "problem",
    [Network(IRIS, (Dense(3),), CrossEntropy()), Network(CANCER, (Dense(1),), BinaryCrossEntropy())],
    ids=str,
)
@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-13), ("float32", 1e-5)])
def test_losses_far_out(problem, precision, tolerance):
    """Logits of some thousands, whose exponentials overflow."""
    made = task.make(problem)
    start = {name: 5000 * w for name, w in task.initial(made, 0).items()}
    cell = Cell(problem, Recipe(SGD()), Budget(steps=1), "numpy", precision=precision)
    mine = NumpyTrainer(cell, made, start, 1, False)
    exact = ReferenceTrainer(cell, made, start, 1, False)
    row = np.arange(50, dtype=np.int32)
    assert mine.evaluate("training").loss == pytest.approx(exact.evaluate("training").loss, rel=tolerance)
    for name, g in exact.gradients(row).items():
        np.testing.assert_allclose(mine.gradients(row)[name], g, rtol=0, atol=tolerance * np.abs(g).max())
