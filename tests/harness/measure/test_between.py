"""The steps between two observed ones: looked at where a norm changed by more than those around make likely."""

import numpy as np
import pytest

from harness import registry
from harness.measure import between, health
from harness.measure.run import Builder
from harness.measure.series import table
from harness.observation import Layout, Observed
from harness.problems import task as tasks
from harness.spec.activations import Tanh
from harness.spec.cell import Budget, Cell
from harness.spec.fault import Scale
from harness.spec.job import Health
from harness.spec.layers import Dense
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import Adam
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import Recipe

NET = Network(DataSet("iris"), (Dense(6), Tanh(), Dense(3)), CrossEntropy())
LAYOUT = Layout(tasks.make(NET), "standard")  # dense1.bias, dense1.weight, dense2.bias, dense2.weight in some order


def seen(norms, moves):
    """What was seen of a run whose dense1.weight has these norms and steps; the others stand at 1."""
    at = LAYOUT.parameters.index("dense1.weight")
    shape = len(norms), 4
    tensors = {"weight_norm": np.ones(shape), "update_norm": np.zeros(shape)}
    tensors |= {"clipped_norm": np.ones(shape), "frozen": np.zeros(shape)}
    tensors["weight_norm"][:, at], tensors["update_norm"][:, at] = norms, moves
    return Observed(np.zeros(len(norms)), np.zeros(len(norms)), tensors, {}, {}, {})


def steps(norms, moves, every=5):
    at = np.arange(len(norms)) * every
    return sorted(between.unlikely(at, seen(norms, moves), LAYOUT, np.ones(at[-1] + 1)))


@pytest.mark.parametrize(
    ("after", "expected"),
    # A step of 0.1, four unobserved ones of at most 0.4 each, 5 % of the norm and half a percent of the layer's: 2.25.
    [(12.2, []), (12.3, [5, 6, 7, 8, 9, 10]), (7.8, []), (7.7, [5, 6, 7, 8, 9, 10]), (np.inf, []), (np.nan, [])],
)
def test_a_gap_is_looked_into_where_its_steps_would_be_four_times_as_long(after, expected):
    assert steps([10.0, 10.0, after], [0.1, 0.1, 0.1]) == expected


def test_the_longest_step_around_counts_the_five_before_and_the_one_after():
    norms = [10.0] * 7 + [13.0]
    assert steps(norms, [0.1] * 8) == list(range(30, 36))
    assert steps(norms, [0.1] * 7 + [0.2]) == []
    assert steps(norms, [0.1, 0.1, 0.2] + [0.1] * 5) == []
    assert steps(norms, [0.1, 0.2] + [0.1] * 6) == list(range(30, 36))


def test_what_is_no_gap_is_not_looked_into_and_of_many_the_first():
    norms = [1.0, 10.0] * 20
    assert steps(norms, [0.0] * 40, every=1) == []
    assert steps(norms, [0.0] * 40, every=2) == list(range(2 * between.GAPS + 1))
    minimal = Observed(np.zeros(9), np.zeros(9), {"gradient_norm": np.ones((9, 4))}, {}, {}, {})
    assert between.unlikely(np.arange(9) * 2, minimal, LAYOUT, np.ones(17)) == frozenset()


@pytest.mark.parametrize(("times", "expected"), [(1.9, []), (2.1, list(range(25, 31))), (1 / 2.1, list(range(25, 31)))])
def test_a_gap_is_looked_into_where_all_steps_are_twice_as_long_from_then_on(times, expected):
    """Between the sixth and the seventh that was observed; no norm of weights moves."""
    run = seen([1.0] * 12, [0.0] * 12)
    run.tensors["update_norm"][:] = np.where(np.arange(12) < 6, 0.01, 0.01 * times)[:, None]
    assert sorted(between.unlikely(np.arange(12) * 5, run, LAYOUT, np.ones(56))) == expected
    scheduled = np.where(np.arange(56) < 30, 1.0, times)
    assert between.unlikely(np.arange(12) * 5, run, LAYOUT, scheduled) == frozenset()


@pytest.mark.parametrize("level", ["standard", "full"])
def test_looking_changes_nothing_else_and_sees_what_observing_every_step_sees(monkeypatch, level):
    builder = Builder(registry.find("numpy").open(threads=1))

    def measured(every):
        what = Health(level, every=every, window=1, evaluations=3, faults=(Scale(17, "dense2.weight", 9.0),))
        cell = Cell(NET, Recipe(Adam(0.01)), Budget(steps=40, batch=16), "numpy")
        task = tasks.make(NET)
        return table(health.measure(builder.open(cell, task, tasks.initial(task, 0)), what).series)

    def of(found, name):
        rows = found[(found["series"] == name) & (found["tensor"] == "dense2.weight")]
        return dict(zip(rows["step"], rows["value"], strict=True))

    looked, each = measured(5), measured(1)
    for quantity in between.OF_STEPS:
        there = of(looked, f"{quantity}_between")
        assert sorted(there) == list(range(15, 21))
        assert there == {step: value for step, value in of(each, quantity).items() if step in there}
        assert of(each, f"{quantity}_between") == {}
    monkeypatch.setattr(between, "unlikely", lambda *_: frozenset())
    rest = looked[~looked["series"].str.endswith("_between")].reset_index(drop=True)
    assert rest.astype({"series": str, "tensor": str}).equals(measured(5).astype({"series": str, "tensor": str}))
