"""What a run could have learned, and whether its rate and its schedule have let it."""

import pytest
from msgspec.structs import replace

from harness.findings.diagnose import diagnose
from harness.findings.seen import Seen
from harness.spec.activations import Relu
from harness.spec.initialisations import Scaled, Zeros
from harness.spec.layers import Dense
from harness.spec.losses import CrossEntropy, MeanSquaredError
from harness.spec.optimizers import SGD, Adam
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import Recipe
from harness.spec.schedules import Exponential, Step

HE = Scaled(scheme="he", distribution="normal")
NET = Network(DataSet("digits"), (*(Dense(48), Relu()) * 3, Dense(10)), CrossEntropy(), HE)
LINE = Network(DataSet("diabetes"), (Dense(1),), MeanSquaredError())


def alarms(record):
    return [finding for finding in diagnose(record).findings if finding.alarms]


def test_a_linear_model_at_its_least_is_healthy(observe):
    """Half of what the best constant answer loses is noise: nothing is left to learn."""
    record = observe(LINE, Recipe(SGD(0.2)), 600, batch="full")
    assert Seen(record).left() == pytest.approx(0.48, abs=0.01)
    assert Seen(record).unlearned() < 0.01
    assert not alarms(record)


@pytest.mark.parametrize("optimizer", [SGD(0.0004), Adam(0.01)])
def test_targets_far_from_0_that_are_not_reached_are_small_steps(observe, optimizer):
    """However far the weights have come, and though medians of few losses of 4 samples go up and down."""
    finding = alarms(observe(LINE, Recipe(optimizer), 600, batch=4))[0]
    assert finding.kind == "step_too_small"
    assert "times what the best constant answer loses" in finding.why


def test_a_schedule_that_leaves_no_rate_is_named(observe):
    found = alarms(observe(NET, Recipe(SGD(0.1), schedule=Exponential(rate=0.1, every=5))))
    assert {finding.kind for finding in found} == {"frozen", "step_too_small"}
    for finding in found:
        assert "the schedule leaves 0.01" in finding.why  # Σ 0.1^(t/5) = 1/(1 − 0.1^0.2) = 2.7 of 200 steps
        assert finding.remedies[0] == "no_schedule"


def test_steps_that_a_schedule_makes_as_small_as_rounding_are_no_change_of_the_rate(observe):
    record = observe(NET, Recipe(Adam(0.003), schedule=Step(every=60, rate=0.1)), 480)
    assert max(Seen(record).track("frozen", "dense3.weight").values) > 0.5
    assert not alarms(record)


def test_weights_that_start_at_0_are_not_made_long_by_their_first_steps(observe):
    found = alarms(observe(replace(NET, initialisation=Zeros()), Recipe(SGD(0.1))))
    assert found[0].kind == "identical_units"
    assert "step_too_large" not in {finding.kind for finding in found}
