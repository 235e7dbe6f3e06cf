"""A step in every mode is the same step, and each phase of it is that part of it, and no more."""

import numpy as np
import pytest
from msgspec.structs import replace

from harness import registry
from harness.errors import Unsupported
from harness.problems.catalogue import case
from harness.spec.activations import Relu
from harness.spec.cell import Budget, Cell
from harness.spec.layers import Dense, Dropout
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import SGD, Adam, Momentum, RMSProp
from harness.spec.problem import DataSet, Network, RandomGradients
from harness.spec.recipe import L2, ByValue, Decoupled, GlobalNorm, NoClip, Recipe
from harness.spec.schedules import Cosine

RECIPES = {
    "adam": Recipe(Adam()),
    "sgd": Recipe(SGD()),
    "heavy ball": Recipe(Momentum()),
    "nesterov": Recipe(Momentum(nesterov=True)),
    "rmsprop": Recipe(RMSProp()),
    "adamw": Recipe(Adam(), decay=Decoupled()),
}
DIGITS = case("digits-64-64-64-10").problem
SHARED, REAL = Budget(steps=20, batch=1), Budget(steps=20, batch=32)
UPDATED = {
    "sgd": Recipe(SGD()),
    "adam": Recipe(Adam()),
    "adamw": Recipe(Adam(), decay=Decoupled(0.1), schedule=Cosine()),
    "clipped": Recipe(Adam(), GlobalNorm(0.1)),
}
NOISY = Network(DataSet("iris"), (Dense(5), Relu(), Dropout(0.3), Dense(3)), CrossEntropy())
WHOLE = [Recipe(Adam(), GlobalNorm(0.1), L2(0.01)), Recipe(Adam(), ByValue(-0.1, 0.1), L2(0.01))]


def pytest_generate_tests(metafunc):
    """Every mode of the backend; one that takes ten seconds for each network, with Adam only."""
    if "mode" not in metafunc.fixturenames:
        return
    modes = registry.find(metafunc.config.getoption("--backend")).modes
    if "label" in metafunc.fixturenames:
        labels = UPDATED if "implementation" in metafunc.fixturenames else RECIPES
        pairs = [(mode, label) for mode in modes for label in labels if mode != "compile" or label == "adam"]
        metafunc.parametrize(("mode", "label"), pairs)
    else:
        metafunc.parametrize("mode", modes)


@pytest.fixture(autouse=True)
def timed(name):
    if name == "reference":
        pytest.skip("the reference is read, not timed")


@pytest.fixture
def runs(backend, name, device):
    """Whether a backend runs a cell in a mode; else it says why, and its default runs."""

    def runs(problem, recipe, budget, mode, implementation="exact"):
        cell = Cell(problem, recipe, budget, name, implementation, device, "float64", mode)
        try:
            backend.plan(cell, ("weight", "bias"))
        except Unsupported as refused:
            assert mode != registry.find(name).modes[0]
            assert str(refused).startswith(f"mode {mode}: ")
            return False
        return True

    return runs


def same(left, right):
    return list(left) == list(right) and all(np.array_equal(left[name], right[name]) for name in right)


def test_a_mode_is_for_something(runs, mode):
    assert runs(DIGITS, RECIPES["adam"], REAL, mode)


def test_a_mode_computes_the_formula(run, runs, rounding, mode, label):
    cell = RandomGradients(), RECIPES[label], SHARED
    if runs(*cell, mode):
        assert rounding(run(*cell, mode=mode).distance(run(*cell, on="reference")), *cell)


def test_a_mode_trains_the_network(run, runs, rounding, mode, label):
    cell = DIGITS, RECIPES[label], REAL
    if runs(*cell, mode):
        assert rounding(run(*cell, mode=mode).distance(run(*cell, on="reference")), *cell)


@pytest.mark.parametrize("implementation", ["exact", "shipped"])
def test_updates_are_those_of_training(make, runs, mode, label, implementation):
    """By the one gradient that there is, unclipped, at any step.

    To rounding: what is compiled apart is fused apart, and a shipped schedule may be computed in float32.
    """
    tolerance = {"exact": 1e-12, "shipped": 1e-7}[implementation]
    cell, words = (RandomGradients(samples=1), UPDATED[label], SHARED), {"implementation": implementation, "mode": mode}
    if not runs(*cell, mode, implementation):
        return
    unclipped = replace(UPDATED[label], clip=NoClip())
    whole, start, order = make(cell[0], unclipped, SHARED, **words)
    whole.train(order)
    parts, _, _ = make(*cell, **words)
    for rows in np.split(order, 4):
        parts.phase("update", rows)()
    mixed, _, _ = make(cell[0], unclipped, SHARED, **words)
    before, now, after = np.split(order, [5, 11])
    mixed.train(before)
    mixed.phase("update", now)()
    mixed.train(after)
    for found in (parts.parameters(), mixed.parameters()):
        for parameter, w in whole.parameters().items():
            moved = np.abs(w - start[parameter]).max()
            np.testing.assert_allclose(found[parameter], w, rtol=0, atol=tolerance * moved)


@pytest.mark.parametrize("recipe", WHOLE, ids=["by norm", "by value"])
def test_looking_at_a_phase_changes_nothing(make, runs, mode, recipe):
    cell = NOISY, recipe, Budget(steps=8, batch=16)
    if not runs(*cell, mode):
        return
    fresh, _, order = make(*cell, mode=mode)
    expected = [fresh.train(rows) for rows in np.split(order, 2)]
    trainer, _, _ = make(*cell, mode=mode)
    for rows, steps in zip(np.split(order, 2), expected, strict=True):
        before = trainer.parameters()
        for phase in ("forward", "gradient", "penalty", "clip"):
            trainer.phase(phase, rows)()
            assert same(trainer.parameters(), before)
        found = trainer.train(rows)
        assert all(np.array_equal(a, b) for a, b in zip(found, steps, strict=True))
    assert same(trainer.parameters(), fresh.parameters())


def test_a_whole_step_is_training(make, runs, mode):
    cell = NOISY, WHOLE[0], Budget(steps=8, batch=16)
    if not runs(*cell, mode):
        return
    trained, _, order = make(*cell, mode=mode)
    trained.train(order)
    stepped, _, _ = make(*cell, mode=mode)
    stepped.phase("step", order)()
    assert same(stepped.parameters(), trained.parameters())


@pytest.mark.parametrize("implementation", ["exact", "shipped"])
@pytest.mark.parametrize(("optimizer", "bytes_each"), [(SGD(), 0), (Momentum(), 4), (Adam(), 8)])
def test_state_has_its_size(make, precisions, optimizer, bytes_each, implementation):
    """In float32 a buffer is 4 bytes a parameter; beside them stand a few scalars."""
    count, precision = 20_000, precisions[-1]
    problem = RandomGradients(samples=1, parameters=count, tensors=2)
    words = {"precision": precision, "implementation": implementation}
    trainer, _, order = make(problem, Recipe(optimizer), Budget(steps=2, batch=1), **words)
    trainer.train(order)
    expected = bytes_each * count * np.dtype(precision).itemsize // 4
    assert expected <= trainer.state_bytes() <= expected + 100
