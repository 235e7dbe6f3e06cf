"""Weights that no step made: found to the step, and never where only steps were made."""

import dataclasses

import pytest
from msgspec.structs import replace

from harness.findings.changes import changes
from harness.findings.diagnose import diagnose
from harness.findings.seen import Seen
from harness.problems.catalogue import CATALOGUE
from harness.spec.activations import Relu
from harness.spec.fault import Put, Scale, Shift, Tie
from harness.spec.initialisations import Orthogonal, Scaled, SmallNormal
from harness.spec.layers import LSTM, Dense
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import OPTIMIZERS, SGD, Adam
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import Recipe

HE = Scaled(scheme="he", distribution="normal")
NET = Network(DataSet("digits"), (Dense(32), Relu(), Dense(32), Relu(), Dense(10)), CrossEntropy(), HE)

WIDE = replace(NET, model=(Dense(64), Relu(), Dense(64), Relu(), Dense(10)))


def found(record):
    return [(change.parameter, change.step) for change in changes(Seen(record))]


@pytest.mark.parametrize("step", [0, 50, 51, 52])
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_scaled_weight_is_found_at_the_first_step_that_shows_it(observe, step, factor):
    record = observe(NET, Recipe(Adam(0.001)), 80, faults=(Scale(step, "dense2.weight", factor),))
    assert found(record) == [("dense2.weight", step)]
    (change,) = changes(Seen(record))
    assert change.ratio == pytest.approx(factor, rel=0.1)


def test_shifts_single_numbers_and_ties_are_changes_too(observe):
    faults = (Shift(8, "dense1.bias", -3.0), Put(16, "dense2.weight", 40.0), Tie(24, "dense3.weight", along="inputs"))
    record = observe(NET, Recipe(SGD(0.01)), 40, every=1, faults=faults)
    assert found(record) == [("dense1.bias", 8), ("dense2.weight", 16), ("dense3.weight", 24)]


@pytest.mark.parametrize("kind", OPTIMIZERS, ids=lambda kind: kind.spelling())
def test_no_optimizer_makes_a_change_that_steps_do_not(observe, kind):
    """Each at a rate that is too high for comfort."""
    optimizer = kind() if kind.spelling() == "lbfgs" else replace(kind(), lr=10 * kind().lr)
    assert found(observe(NET, Recipe(optimizer), 120)) == []


@pytest.mark.parametrize("every", [3, 7])
def test_steps_that_nobody_observed_may_be_as_long_as_they_like(observe, every):
    """At a rate of 3 the weights grow a hundredfold within a few steps, and by nothing else than those steps."""
    record = observe(WIDE, Recipe(SGD(3.0)), 60, every=every)
    looked = [series for series in set(record.table["series"]) if series.endswith("_between")]
    assert sorted(looked) == ["clipped_norm_between", "update_norm_between", "weight_norm_between"]
    assert found(record) == []
    assert "step_too_large" in {finding.kind for finding in diagnose(record).findings}


def test_a_change_is_found_where_steps_alone_take_weights_far_too(observe):
    record = observe(WIDE, Recipe(SGD(3.0)), 60, every=7, faults=(Scale(45, "dense3.weight", 0.5),))
    assert found(record) == [("dense3.weight", 45)]


def test_across_a_gap_that_was_not_looked_into_nothing_is_said(observe):
    record = observe(NET, Recipe(Adam(0.001)), 40, faults=(Scale(21, "dense2.weight", 2.0),))
    assert found(record) == [("dense2.weight", 21)]
    table = record.table[~record.table["series"].str.endswith("_between")]
    assert found(dataclasses.replace(record, table=table)) == []


@pytest.mark.parametrize(
    "initialisation", [HE, Scaled(), Scaled("lecun", "truncated"), SmallNormal(0.3), Orthogonal(2.0)]
)
def test_weights_that_are_as_they_are_said_to_be(observe, initialisation):
    for seed in range(5):
        assert (
            found(observe(replace(NET, initialisation=initialisation), Recipe(SGD(1e-3)), 4, seed=seed, window=1)) == []
        )


def test_a_forget_bias_is_as_said(observe):
    record = observe(CATALOGUE["temporal-order"].problem, Recipe(Adam(0.001)), 8, window=1)
    assert isinstance(record.job.cell.problem.model[1], LSTM)
    assert found(record) == []


def test_norms_that_float32_rounds_are_no_change(observe):
    """A weight that a step has made 10⁷ times as large: ‖w after‖ and ‖Δw‖ are the same but for rounding."""
    record = observe(NET, Recipe(SGD(0.01)), 4, every=1, window=1)
    table, name = record.table.copy(), "dense2.weight"
    rows = (table["tensor"] == name) & table["step"].isin([1, 2])
    for series, step, value in (("update_norm", 1, 2.69026864e11), ("weight_norm", 2, 2.69026881e11)):
        table.loc[rows & (table["series"] == series) & (table["step"] == step), "value"] = value
    later = [step for _, step in found(dataclasses.replace(record, table=table))]
    assert 2 not in later
