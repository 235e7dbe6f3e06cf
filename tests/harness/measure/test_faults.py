"""Faults are planted where and when they are asked for, and change nothing else."""

import math

import numpy as np
import pytest

from harness import registry
from harness.errors import InvalidInput
from harness.measure import health
from harness.measure.run import Builder
from harness.measure.series import table
from harness.problems import task as tasks
from harness.spec.activations import Relu
from harness.spec.cell import Budget, Cell
from harness.spec.fault import Put, Rate, Scale, Shift, Tie
from harness.spec.job import Health
from harness.spec.layers import Dense
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import SGD
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import Recipe
from harness.spec.schedules import Plateau

NET = Network(DataSet("iris"), (Dense(6), Relu(), Dense(3)), CrossEntropy())


@pytest.fixture(scope="module")
def train():
    builder = Builder(registry.find("reference").open(threads=1))

    def train(*faults, steps=6, recipe=None):
        cell = Cell(NET, recipe or Recipe(SGD(0.1)), Budget(steps=steps, batch=16), "reference", precision="float64")
        task = tasks.make(NET)
        run = builder.open(cell, task, tasks.initial(task, 0))
        outcome = health.measure(run, Health(every=1, window=1, evaluations=3, faults=faults))
        return outcome, table(outcome.series)

    return train


def values(found, name, tensor=""):
    rows = found[(found["series"] == name) & (found["tensor"] == tensor)]
    return rows.sort_values("step")["value"].to_numpy()


def test_a_scaled_parameter_is_so_from_its_step_on(train):
    (_, plain), (_, planted) = train(), train(Scale(4, "dense1.weight", 3.0))
    before, after = values(plain, "weight_norm", "dense1.weight"), values(planted, "weight_norm", "dense1.weight")
    assert after[:4].tolist() == before[:4].tolist()
    assert after[4] == pytest.approx(3 * before[4])
    other = "dense2.weight"
    assert values(planted, "weight_norm", other)[:5].tolist() == values(plain, "weight_norm", other)[:5].tolist()


def test_a_bias_shifted_far_down_kills_so_many_units(train):
    _, found = train(Shift(2, "dense1.bias", -100.0, units=2))
    assert values(found, "dead", "relu1").tolist() == [0, 0, 2, 2, 2, 2]


def test_a_planted_nan_ends_the_run_there(train):
    outcome, found = train(Put(3, "dense2.weight", "nan"))
    assert outcome.diverged == 3
    assert values(found, "nonfinite", "relu1").tolist() == [0, 0, 0, 0]
    assert values(found, "nonfinite", "dense2").tolist() == [0, 0, 0, 16]  # one of three outputs, of each sample


def test_tied_units_stay_copies_where_what_they_feed_is_tied_too(train):
    both = Tie(2, "dense1.weight"), Tie(2, "dense2.weight", along="inputs")
    _, found = train(*both, Tie(2, "dense1.bias"))
    assert values(found, "identical", "dense1").tolist() == [0, 0, 6, 6]  # after 0, 2, 4, 6 steps; planted after 2
    _, found = train(both[0], Tie(2, "dense1.bias"))
    assert values(found, "identical", "dense1").tolist() == [0, 0, 0, 0]  # what they feed differs, and so do they


def test_a_rate_is_multiplied_from_its_step_on(train):
    (_, plain), (_, planted) = train(), train(Rate(3, 10.0))
    ratio = values(planted, "update_norm") / values(plain, "update_norm")
    assert ratio[:4] == pytest.approx([1, 1, 1, 10])


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Scale(6, "dense1.weight", 2.0), "step 6 is beyond the run's 6 steps"),
        (Scale(1, "dense1.wieght", 2.0), "did you mean 'dense1.weight'"),
        (Put(1, "dense1.bias", math.pi, 6), "has 6 numbers, no index 6"),
        (Shift(1, "dense1.bias", 1.0, units=7), "has 6 units, not 7"),
        (Tie(1, "dense1.bias", along="inputs"), "no axis of inputs"),
    ],
)
def test_what_cannot_be_planted_is_refused(train, fault, message):
    with pytest.raises(InvalidInput, match=message):
        train(fault)


def test_a_plateau_sets_the_rate_itself(train):
    with pytest.raises(InvalidInput, match="sets the rate itself"):
        train(Rate(1, 2.0), recipe=Recipe(SGD(0.1), schedule=Plateau()))


def test_changed_by_leaves_what_it_is_given():
    w = {"w": np.ones((2, 2))}
    from harness.measure.faults import changed_by

    changed_by(Put(0, "w", "inf"), w)
    assert w["w"].tolist() == [[1, 1], [1, 1]]
