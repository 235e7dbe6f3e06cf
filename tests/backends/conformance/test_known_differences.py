"""The known differences of a backend are still what the reviewed file says, and there are no others of their kind."""

import pytest

from harness.errors import Unsupported
from harness.judge.differences import Difference, reviewed
from harness.spec.cell import Budget, Cell
from harness.spec.optimizers import LBFGS, OPTIMIZERS
from harness.spec.problem import RandomGradients
from harness.spec.recipe import Recipe
from harness.spec.spellings import optimizer_name

STEPS = Budget(steps=20, batch=1)
RECIPES = {optimizer_name(Recipe(kind())): Recipe(kind()) for kind in OPTIMIZERS if kind is not LBFGS}


@pytest.fixture(scope="module")
def distances(run, backend, name):
    """How far each optimizer that the framework ships is from the reference, at its default fields."""
    found = {}
    for optimizer, recipe in RECIPES.items():
        cell = Cell(RandomGradients(), recipe, STEPS, name, "shipped", precision="float64")
        try:
            native = backend.plan(cell, ("weight", "bias"))["optimizer"].how == "native"
        except Unsupported:
            continue
        if native:
            mine = run(RandomGradients(), recipe, STEPS, implementation="shipped")
            found[optimizer] = mine.distance(run(RandomGradients(), recipe, STEPS, on="reference"))
    return found


def test_each_entry_is_still_true(distances, name):
    """Within a factor of two of the size that was measured."""
    assert not untrue(distances, [entry for entry in reviewed() if entry.backend == name])


def untrue(distances, entries):
    """What is no longer so of some entries, in words."""
    found = []
    for entry in entries:
        if entry.optimizer not in distances:
            ships = ", ".join(distances) or "none"
            found.append(
                f"{entry.optimizer} has an entry, but the framework ships no such optimizer here (it has {ships})"
            )
        elif not entry.size / 2 <= distances[entry.optimizer] <= 2 * entry.size:
            found.append(f"{entry.optimizer} is {distances[entry.optimizer]:.3g} off; its entry says {entry.size:.3g}")
    return found


def test_an_entry_that_is_not_true_is_told_in_words():
    entry = Difference("torch", 1e-6, "a cause", "a place", "shipped", "adagrad")
    assert untrue({"adagrad": 1.9e-6}, [entry]) == []
    assert untrue({"adagrad": 2.1e-6}, [entry]) == ["adagrad is 2.1e-06 off; its entry says 1e-06"]
    (gone,) = untrue({"sgd": 0.0, "adam": 1e-7}, [entry])
    assert gone == "adagrad has an entry, but the framework ships no such optimizer here (it has sgd, adam)"


def test_none_is_missing(distances, name):
    """All that is more than 1e-9 off has an entry."""
    entries = {entry.optimizer for entry in reviewed() if entry.backend == name and entry.implementation == "shipped"}
    assert {optimizer for optimizer, distance in distances.items() if distance > 1e-9} == entries
