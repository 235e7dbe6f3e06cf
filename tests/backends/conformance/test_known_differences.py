"""The known differences of a backend are still what the reviewed file says, and there are no others of their kind."""

import pytest

from harness.errors import Unsupported
from harness.judge.differences import reviewed
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
    entries = {entry.optimizer: entry for entry in reviewed() if entry.backend == name}
    assert all(entry.size / 2 <= distances[optimizer] <= 2 * entry.size for optimizer, entry in entries.items()), (
        distances
    )


def test_none_is_missing(distances, name):
    """All that is more than 1e-9 off has an entry."""
    entries = {entry.optimizer for entry in reviewed() if entry.backend == name and entry.implementation == "shipped"}
    assert {optimizer for optimizer, distance in distances.items() if distance > 1e-9} == entries
