"""The cost of observation is measured of every level, in every turn, as a ratio to plain steps."""

from typing import get_args

from harness.spec.job import Level
from suites import observation


def test_every_level_has_its_ratios():
    found = observation.apart("numpy", "cnn", threads=1, turns=2)
    assert set(observation.OBSERVED) == set(get_args(Level))
    assert found.keys() == {"plain", *observation.OBSERVED}
    assert all(len(each) == 2 and min(each) > 0 for each in found.values())


def test_a_row_tells_the_least_and_the_most_of_the_processes():
    assert observation.spread([1.3, 1.1, 1.2]) == "1.200 [1.100, 1.300]"
