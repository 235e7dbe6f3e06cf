"""The cost of observation is measured of every level, in every turn, as a ratio to plain steps."""

from typing import get_args

from harness.spec.job import Level
from suites import observation


def test_every_level_has_its_ratios():
    found = observation.apart("numpy", "cnn", threads=1, turns=2)
    assert set(observation.OBSERVED) == set(get_args(Level))
    assert found.keys() == {"plain", *observation.OBSERVED}
    assert all(len(each) == 2 and min(each) > 0 for each in found.values())


def test_the_interval_holds_the_median():
    assert observation.interval([1.0, 1.0, 1.0]) == "1.000 [1.000, 1.000]"
    assert observation.interval([1.1, 1.2, 1.3] * 20).startswith("1.200 [1.")
