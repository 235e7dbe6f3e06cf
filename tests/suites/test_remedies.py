"""Whether remedies cure is asked as it is said to be, and counted right."""

import pytest
from msgspec.structs import replace
from rich.console import Console

from harness import running
from harness.execute.local import Settings
from harness.spec.activations import Relu
from harness.spec.cell import Budget, Cell
from harness.spec.initialisations import Scaled, Zeros
from harness.spec.job import Health
from harness.spec.layers import Dense
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import SGD
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import Recipe
from harness.store import Store
from harness.study import Selection
from suites.detection import jobs
from suites.labelled.healthy import Healthy
from suites.labelled.pairs import Pair
from suites.labelled.planted import Label
from suites.remedies import Case, Cured, counted, cure, left, table

NET = Network(DataSet("digits"), (Dense(32), Relu(), Dense(10)), CrossEntropy(), Scaled("he", "normal"))


def pair(problem, recipe, kind):
    """A pair that trains for 150 steps, and its run with another problem or recipe."""
    healthy = Cell(NET, Recipe(SGD(0.1)), Budget(steps=150), "numpy")
    twins = (healthy, replace(healthy, seed=1))
    faulty = replace(healthy, problem=problem, recipe=recipe)
    measure = Health(every=5, window=3, evaluations=10)
    return Pair(Healthy("mlp", 1, healthy), twins, faulty, (), Label(kind, frozenset({""}), 0), measure)


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """A start at zero, a rate that is far too small, and one whose fault costs nothing, tried; and what cured them."""
    drawn = [
        pair(replace(NET, initialisation=Zeros()), Recipe(SGD(0.1)), "identical_units"),
        pair(NET, Recipe(SGD(1e-4)), "step_too_small"),
        pair(NET, Recipe(SGD(0.11)), "step_too_large"),
    ]
    folder = tmp_path_factory.mktemp("pairs")
    with Store.create(folder, {}) as store:
        running.run("pairs", Selection(jobs(drawn), {}), store, Settings(), False, Console(stderr=True))
        found = [counted(folder, i, one) for i, one in enumerate(drawn)]
        return found, cure([case for case in found if case is not None], folder, store)


def test_what_costs_nothing_does_not_count(cases):
    found, _ = cases
    assert [case is not None for case in found] == [True, True, False]


def test_remedies_are_tried_in_turn_until_one_cures(cases):
    _, (zeros, slow) = cases
    assert zeros.remedy == "initialisation"
    assert list(zeros.ends) == ["initialisation"]
    assert slow.remedy in ("rate_times_1000", "rate_by_length")
    assert slow.ends[slow.remedy] == min(slow.ends.values()) < 0.3  # none before it was enough


def of(kind, remedy, ends):
    return Cured(Case(7, pair(NET, Recipe(SGD(0.1)), kind), ()), remedy, ends)


def test_the_table_by_hand():
    found = [
        of("vanishing", "restore", {}),
        of("vanishing", "rate_restored", {}),
        of("vanishing", "activation", {}),
        of("dead_units", None, {"restore": 0.71, "adam": 0.5}),
    ]
    lines = table(found).splitlines()
    assert lines[2].startswith("| all | 3/4 = 0.75 [")
    assert lines[2].endswith("| 2 | 1 | restore 1, rate restored 1, activation 1 |")
    assert lines[3].startswith("| vanishing | 3/3 = 1.00 [")
    assert lines[4].startswith("| dead units | 0/1 = 0.00 [")
    assert list(left(found)) == ["7 mlp dead_units@0: restore 0.71, adam 0.5 ()"]
