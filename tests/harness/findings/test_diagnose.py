"""One planted fault at a time, and what is said of it first; healthy runs, of which nothing is said."""

import dataclasses
import math

import numpy as np
import pytest
from msgspec.structs import replace

from harness.findings.diagnose import diagnose
from harness.findings.seen import Seen
from harness.problems.catalogue import CATALOGUE
from harness.spec.activations import Gelu, Mish, Relu, Sigmoid, Tanh
from harness.spec.fault import Rate, Scale, Shift, Tie
from harness.spec.initialisations import Scaled, SmallNormal, Zeros
from harness.spec.layers import Dense
from harness.spec.losses import CrossEntropy, MeanSquaredError
from harness.spec.optimizers import SGD, Adam, Momentum
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import L2, Coupled, Decoupled, GlobalNorm, Recipe
from harness.spec.schedules import Cosine, Plateau, WarmUp

HE = Scaled(scheme="he", distribution="normal")
DIGITS = DataSet("digits")
NET = Network(DIGITS, (*(Dense(48), Relu()) * 4, Dense(10)), CrossEntropy(), HE)
TANH = Network(DIGITS, (*(Dense(32), Tanh()) * 8, Dense(10)), CrossEntropy())
SIGMOIDS = replace(NET, model=tuple(Sigmoid() if isinstance(layer, Relu) else layer for layer in NET.model))
IRIS = Network(DataSet("iris"), (Dense(65), Relu(), Dense(65), Mish(), Dense(7), Gelu(), Dense(3)), CrossEntropy(), HE)
GOOD = Recipe(SGD(0.1))


def first(record):
    """Kind, layer and step of what is said first, or None."""
    alarms = [finding for finding in diagnose(record).findings if finding.alarms]
    return (alarms[0].kind, alarms[0].layer, alarms[0].step) if alarms else None


@pytest.mark.parametrize(
    ("problem", "recipe", "faults", "expected"),
    [
        (NET, GOOD, (), None),
        (TANH, Recipe(Adam(0.002)), (), None),
        (NET, GOOD, (Scale(0, "dense3.weight", 10.0),), ("poor_initialisation", "dense3", 0)),
        (NET, GOOD, (Scale(101, "dense3.weight", 10.0),), ("exploding", "dense3", 101)),
        (NET, GOOD, (Scale(101, "dense3.weight", 0.1),), ("vanishing", "dense3", 101)),
        (replace(NET, initialisation=SmallNormal(0.01)), GOOD, (), ("poor_initialisation", "", 0)),
        (replace(NET, initialisation=SmallNormal(1.0)), GOOD, (), ("poor_initialisation", "", 0)),
        (replace(NET, initialisation=Zeros()), GOOD, (), ("identical_units", "dense1", 0)),
        (SIGMOIDS, GOOD, (), ("vanishing", "dense1", 0)),
        (NET, GOOD, (Shift(101, "dense2.bias", -30.0),), ("dead_units", "dense2", 101)),
        (TANH, Recipe(Adam(0.002)), (Scale(101, "dense4.weight", 30.0),), ("saturation", "dense4", 101)),
        (NET, Recipe(SGD(3.0)), (), ("step_too_large", "", 1)),
        (NET, GOOD, (Rate(100, 0.01),), ("step_too_small", "", 100)),
        (TANH, Recipe(Adam(0.002)), (Rate(100, 30.0),), ("step_too_large", "", 100)),
        (NET, Recipe(SGD(0.01)), (), ("step_too_small", "", 0)),
        (NET, Recipe(SGD(1e-7)), (), ("frozen", "", 0)),
        (NET, Recipe(SGD(0.1), clip=GlobalNorm(0.01)), (), ("clip_always_binds", "", 0)),
        (NET, Recipe(SGD(0.1), penalty=L2(0.3)), (), ("penalty_dominates", "", 0)),
        (
            NET,
            Recipe(SGD(0.1), decay=Coupled(0.3)),
            (),
            ("penalty_dominates", "", 20),
        ),  # 0.97¹⁷ < 0.6, and every fourth is seen
        (NET, Recipe(Adam(0.001), decay=Decoupled(30.0)), (), ("penalty_dominates", "", 20)),
        (NET, Recipe(SGD(0.1), decay=Coupled(1e-4)), (), None),
        (NET, Recipe(Adam(0.001), decay=Decoupled(0.1)), (), None),
    ],
)
def test_what_was_planted_is_said_first(observe, problem, recipe, faults, expected):
    assert first(observe(problem, recipe, faults=faults)) == expected


def test_what_a_plateau_cuts_is_no_change_of_the_rate(observe):
    """With a threshold that no loss reaches, the second evaluation cuts, down to the floor."""
    plateau = Plateau(0.01, patience=1, every=50, threshold=0.99, floor=0.01)
    record = observe(NET, replace(GOOD, schedule=plateau), every=1)
    assert Seen(record).track("plateau_factor").steps.tolist() == [100]
    assert Seen(record).factors.tolist() == [1.0] * 100 + [0.01] * 100
    assert first(record) is None
    unknown = dataclasses.replace(record, table=record.table[record.table["series"] != "plateau_factor"])
    assert first(unknown) == ("step_too_small", "", 100)


def test_one_gradient_makes_many_of_momentum_s_steps(observe):
    """So that steps stay longer for a while at a rate that is what its schedule says."""
    recipe = Recipe(Momentum(0.0075), decay=Decoupled(0.01), schedule=WarmUp(48, then=Cosine()))
    found = diagnose(observe(IRIS, recipe, 480, batch=4, every=2)).findings
    assert not [finding for finding in found if "no schedule" in finding.why]


def test_tied_units_are_found(observe):
    tied = Tie(100, "dense2.weight"), Tie(100, "dense2.bias"), Tie(100, "dense3.weight", along="inputs")
    kind, layer, step = first(observe(NET, GOOD, faults=tied))
    assert (kind, layer) == ("identical_units", "dense2")
    assert step == 100


def test_over_fitting_is_found(observe):
    kind, layer, step = first(observe(replace(NET, data=replace(DIGITS, training=60)), GOOD, 300))
    assert (kind, layer) == ("over_fitting", "")
    assert 0 < step < 300


@pytest.mark.parametrize("loss", [CrossEntropy(), MeanSquaredError()], ids=["labels", "targets"])
def test_targets_that_never_change_are_no_crash(observe, loss, tmp_path):
    """A constant answers all of them: there is no loss to hold anything against."""
    y = np.zeros(300, np.int64) if isinstance(loss, CrossEntropy) else np.full(300, 3.0)
    np.savez(tmp_path / "own.npz", x=np.random.default_rng(0).normal(size=(300, 5)), y=y)
    outputs = 2 if isinstance(loss, CrossEntropy) else 1
    problem = Network(DataSet(str(tmp_path / "own.npz")), (Dense(8), Relu(), Dense(outputs)), loss, HE)
    assert first(observe(problem, GOOD)) is None


def test_of_targets_that_have_nothing_to_do_with_the_inputs_gradients_are_noise(observe, tmp_path):
    """With their own, batches of the same inputs have much in common, also where steps are too small to learn it."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12000, 20))
    theirs = x @ rng.normal(size=(20, 6))
    kinds = {"theirs": theirs.argmax(axis=1), "dealt": rng.integers(6, size=len(x))}
    said = {}
    for name, y in kinds.items():
        np.savez(tmp_path / f"{name}.npz", x=x, y=y)
        problem = Network(DataSet(str(tmp_path / f"{name}.npz")), (Dense(32), Relu(), Dense(6)), CrossEntropy(), HE)
        for rate in (0.05, 1e-4):
            found = diagnose(observe(problem, Recipe(SGD(rate)), level="full")).findings
            said[name, rate] = {finding.kind for finding in found if finding.alarms}
    assert said["theirs", 0.05] == set()
    assert said["theirs", 1e-4] == {"step_too_small"}
    assert "lost_in_noise" in said["dealt", 0.05]


def test_what_was_not_observed_is_told_and_no_verdict(observe):
    """Without layers nothing is known of units; of one observed step nothing of what changes."""
    zeros = replace(NET, initialisation=Zeros())
    unseen = {one.kind for one in diagnose(observe(zeros, GOOD, level="minimal")).unjudged}
    assert {"identical_units", "step_too_large", "vanishing"} <= unseen
    whole = diagnose(observe(NET, GOOD)).unjudged
    assert [one.kind for one in whole] == ["lost_in_noise"]
    once = {one.kind: one.why for one in diagnose(observe(NET, GOOD, every=1000, window=1)).unjudged}
    assert once["step_too_small"] == "of what changes within a run: needs 8 observed steps, there are 1"


def test_a_loss_that_does_not_fall_is_not_said_to(observe):
    """At a rate of 1e-6 the loss of a batch tells of the batch alone; nothing is judged by its fall."""
    for seed in range(3):
        findings = diagnose(observe(NET, Recipe(SGD(1e-6)), precision="float64", seed=seed)).findings
        assert findings
        for finding in findings:
            falls = [one.observed for one in finding.evidence if "fall" in one.quantity]
            assert finding.kind == "step_too_small" and not falls
            assert "falls: -" not in finding.why and "falls: −" not in finding.why


def test_a_gap_that_did_not_open_by_rising_is_not_said_to_rise(observe):
    small = replace(NET, data=replace(DIGITS, training=60))
    for seed in range(3):
        findings = diagnose(observe(small, GOOD, 300, seed=seed)).findings
        assert [finding.kind for finding in findings] == ["over_fitting"]
        for finding in findings:
            rose = [one.observed for one in finding.evidence if "over its least" in one.quantity]
            assert ("has risen" in finding.why) == bool(rose) and all(one > 1.1 for one in rose)


def test_a_penalty_is_no_fault_where_all_was_learned(observe):
    """What is left of the loss is next to nothing, and the penalty is many times that, as it is meant to be."""
    record = observe(NET, Recipe(Adam(0.002), penalty=L2(1e-5)), 1200)
    table = record.table.set_index("series")
    assert table.loc["penalty", "value"].iloc[-1] > 5 * table.loc["loss", "value"].iloc[-1]
    assert not any(finding.kind == "penalty_dominates" for finding in diagnose(record).findings)


def test_a_loss_below_0_has_no_multiples(observe):
    case = CATALOGUE["random-gradients"]
    assert not any("times what it was" in one.why for one in diagnose(observe(case.problem, case.recipe)).findings)


def test_an_initialisation_is_not_cured_by_itself(observe):
    """He's weights, under inputs a thousand times too large: another start of the same kind would do no better."""
    loud = replace(NET, data=replace(DIGITS, scaling="none"), initialisation=HE)
    for finding in diagnose(observe(loud, Recipe(SGD(1e-3)))).findings:
        assert "He's would" not in finding.why


def test_a_clip_that_never_binds_is_a_note(observe):
    diagnosis = diagnose(observe(NET, Recipe(SGD(0.1), clip=GlobalNorm(1e3))))
    assert diagnosis.healthy
    assert [finding.kind for finding in diagnosis.findings] == ["clip_never_binds"]


def test_a_clip_that_an_optimizer_undoes_is_no_fault(observe):
    assert diagnose(observe(TANH, Recipe(Adam(0.002), clip=GlobalNorm(0.01)))).healthy


@pytest.mark.parametrize("name", ["digits-64-64-64-10", "digits-cnn", "digits-rows-lstm", "digits-transformer"])
def test_the_catalogues_networks_are_healthy(observe, name):
    case = CATALOGUE[name]
    assert first(observe(case.problem, case.recipe, steps=200)) is None


@pytest.mark.parametrize(
    ("name", "kind", "layer"),
    [
        ("deep-sigmoid", "vanishing", "dense7"),
        ("deep-relu-bad-init", "poor_initialisation", ""),
        ("rnn-long", "vanishing", "rnn1"),
        ("rnn-long-exploding", "exploding", "rnn1"),
    ],
)
def test_the_failing_cases_are_found(observe, name, kind, layer):
    case = CATALOGUE[name]
    assert first(observe(case.problem, case.recipe, steps=200))[:2] == (kind, layer)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_scale_of_the_loss_is_no_fault(observe, reduction):
    """A sum over 32 samples is 32 times the mean: with a rate as much smaller it is the same run."""
    problem = replace(NET, loss=CrossEntropy(reduction=reduction))
    rate = 0.1 if reduction == "mean" else 0.1 / 32
    assert first(observe(problem, Recipe(SGD(rate)))) is None


def test_batches_of_one_are_no_fault(observe):
    assert first(observe(NET, Recipe(SGD(0.005)), steps=600, batch=1, window=50)) is None


def test_tiny_gradients_at_the_end_of_a_good_run_are_no_fault(observe):
    record = observe(replace(NET, data=DataSet("wine")), Recipe(Momentum(0.05)), steps=1000)
    gradient = record.series("gradient_norm")
    assert gradient[(gradient["tensor"] == "") & (gradient["step"] > 900)]["value"].max() < 1e-3
    assert first(record) is None


def test_what_was_not_observed_is_no_verdict(observe):
    diagnosis = diagnose(observe(SIGMOIDS, GOOD, level="minimal"))
    assert not {"vanishing", "dead_units", "saturation", "frozen"} & {finding.kind for finding in diagnosis.findings}
    assert {"vanishing", "dead_units", "frozen", "poor_initialisation"} <= {one.kind for one in diagnosis.unjudged}


def test_evidence_stands_beyond_its_threshold(observe):
    for recipe, faults in ((GOOD, (Scale(101, "dense3.weight", 10.0),)), (Recipe(SGD(0.001)), ())):
        for finding in diagnose(observe(NET, recipe, faults=faults)).findings:
            assert any(one.observed < one.low or one.observed > one.high for one in finding.evidence)
            assert not math.isnan(finding.evidence[0].observed)


@pytest.mark.parametrize("optimizer", [Momentum(0.5), Adam(0.3)])
def test_first_steps_beyond_the_quadratic_are_the_cause_of_what_dies_of_them(observe, optimizer):
    """No loss is thrown up for long: what is left of the network gives the best constant answer."""
    found = diagnose(observe(NET, Recipe(optimizer), level="full", every=2)).findings
    assert [finding.kind for finding in found][:2] == ["step_too_large", "dead_units"]
    assert "lost_in_noise" not in {finding.kind for finding in found}
    assert found[0].evidence[0].observed > 2.0


def test_sharpness_stands_beside_the_limit_of_the_optimizer(observe):
    """2(1 + μ) for the heavy ball (Polyak 1964), of the largest eigenvalue times the rate."""
    found = diagnose(observe(NET, Recipe(Momentum(0.5)), level="full", every=2)).findings[0]
    assert found.evidence[1].high == pytest.approx(2 * 1.9)
    assert found.evidence[1].observed > 3.8


def test_a_run_that_breaks_before_a_window_is_full_has_no_histograms(observe):
    record = observe(NET, Recipe(SGD(1e6)), level="full", window=8)
    assert record.status == "diverged"
    assert not len(record.series("histogram"))
