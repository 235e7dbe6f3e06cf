"""What is said of a machine, on made-up measurements."""

import pytest

from harness.clock import Machine, Noise, Sleeps, examine
from harness.judge import clock
from harness.judge.clock import Finding

SLEEPS = Sleeps(0.05, (0.0501,) * 5, (0.0501,) * 5, busy=0.01, stolen=0.0)
NOISE = Noise((1.0, 1.01) * 10, (1.01, 1.0) * 10, stolen=0.0)
QUIET = Machine(1e-7, SLEEPS, NOISE, load=0.1, governor="performance")


def trusts(machine):
    return {finding.about: finding.trust for finding in clock.of_machine(machine)}


def test_a_quiet_machine_is_trusted():
    assert set(trusts(QUIET).values()) == {"trusted"}
    assert clock.verdict(clock.of_machine(QUIET)).trust == "trusted"


LYING = {
    "slow": Sleeps(0.05, (0.0499,) * 5, (0.0499,) * 5, 0.0, 0.0),  # 0.2 % short of what was asked
    "apart": Sleeps(0.05, (0.0501,) * 5, (0.0511,) * 5, 0.0, 0.0),  # 2 % from the raw clock
}


@pytest.mark.parametrize("sleeps", LYING.values(), ids=LYING)
def test_a_clock_that_lies_about_a_known_sleep_is_not_trusted(sleeps):
    machine = QUIET._replace(sleeps=sleeps)
    assert trusts(machine)["sleep"] == "not trusted"
    assert clock.verdict(clock.of_machine(machine))[2:] == ("not trusted", "because of: sleep")


CARE = {
    "resolution": QUIET._replace(step=1e-3),
    "sleep": QUIET._replace(sleeps=SLEEPS._replace(measured=(0.06,) * 5, raw=(0.06,) * 5)),
    "others": QUIET._replace(sleeps=SLEEPS._replace(busy=0.5)),
    "noise": QUIET._replace(noise=Noise((1.0, 2.0) * 10, (2.0, 1.0) * 10, 0.0)),
}


@pytest.mark.parametrize("about", CARE)
def test_a_machine_that_is_disturbed_is_used_with_care(about):
    assert [name for name, trust in trusts(CARE[about]).items() if trust == "with care"] == [about]


@pytest.mark.parametrize(
    "machine", [QUIET._replace(governor="powersave"), QUIET._replace(noise=NOISE._replace(stolen=0.1))]
)
def test_a_frequency_that_follows_the_load_and_stolen_time_ask_for_care(machine):
    assert trusts(machine)["others"] == "with care"


def test_noise_says_how_long_to_measure_for_five_percent():
    # ln 1.01 every time: the median absolute deviation is 0.00995, σ = 0.01475; six blocks of 20 ms are the fewest.
    says = {f.about: f.says for f in clock.of_machine(QUIET)}["noise"]
    assert says == "5% shows in 6 blocks a side: 0.3 s with warming up, without starting processes (90% of the time)"


def test_where_others_compute_a_lie_may_be_theirs():
    """Whoever runs on right after a phase waits its turn like anybody: seen as 25 % left, on a core that was full."""
    lie = Finding("jax cpu: our clock", "", "not trusted", "our clock stops before update is done")
    assert "Others compute here" not in clock.verdict([*clock.of_machine(QUIET), lie]).says
    said = clock.verdict([*clock.of_machine(CARE["others"]), lie])
    assert said.trust == "not trusted" and "Others compute here" in said.says


def test_what_is_left_out_changes_no_verdict():
    left = Finding("jax", "", "left out", "not installed")
    assert clock.verdict([left, *clock.of_machine(QUIET)]).trust == "trusted"


def test_this_machine_can_be_examined():
    found = examine()
    assert len(found.sleeps.measured) == 10 and min(found.sleeps.measured) > 0
    assert len(found.noise.first) == len(found.noise.second) == 40
    assert 0 <= found.sleeps.stolen <= 1 and -0.01 <= found.sleeps.busy <= 1.01
    assert all(f.says for f in clock.of_machine(found))
