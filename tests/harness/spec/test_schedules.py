"""Schedules against values worked out by hand."""

import numpy as np
import pytest

from harness.spec.schedules import (
    Constant,
    Cosine,
    Exponential,
    InverseTime,
    OneCycle,
    Plateau,
    Polynomial,
    Step,
    WarmUp,
    factors,
)

BY_HAND = [
    (Constant(), [1, 1, 1, 1, 1]),
    (Step(every=2, rate=0.5), [1, 1, 0.5, 0.5, 0.25]),
    (Exponential(rate=0.25, every=2), [1, 0.5, 0.25, 0.125, 0.0625]),
    (Cosine(steps=4), [1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2, 0]),
    (Cosine(steps=2, floor=0.5), [1, 0.75, 0.5, 0.5, 0.5]),
    (Polynomial(steps=4, power=2.0, end=0.2), [1, 0.2 + 0.8 * 0.5625, 0.4, 0.25, 0.2]),
    (Polynomial(steps=2), [1, 0.5, 0, 0, 0]),
    (InverseTime(rate=1.0, every=2), [1, 2 / 3, 0.5, 0.4, 1 / 3]),
    (OneCycle(rise=0.6, start=0.2, end=0.1), [0.2, 0.6, 1, 0.55, 0.1]),  # the peak at t = 2, halfway each way
    (Plateau(), [1, 1, 1, 1, 1]),
    (WarmUp(steps=2, then=InverseTime(rate=1.0, every=1)), [0, 0.5, 1, 0.5, 1 / 3]),
    (WarmUp(steps=4), [0, 0.25, 0.5, 0.75, 1]),
    (WarmUp(steps=2, start=0.5, then=Step(every=1, rate=0.1)), [0.5, 0.75, 1, 0.1, 0.01]),
]


@pytest.mark.parametrize(("schedule", "expected"), BY_HAND)
def test_factors(schedule, expected):
    np.testing.assert_allclose(factors(schedule, 5), expected, rtol=1e-15, atol=1e-15)


def test_a_cycle_of_one_step_is_its_end():
    assert factors(OneCycle(end=0.1), 1) == pytest.approx([0.1])


def test_cosine_without_steps_spans_the_budget_that_is_left():
    np.testing.assert_allclose(factors(Cosine(), 4), factors(Cosine(steps=4), 4))
    np.testing.assert_allclose(factors(WarmUp(steps=2, then=Cosine()), 6)[2:], factors(Cosine(steps=4), 4))


def test_a_warm_up_longer_than_the_budget_is_cut():
    np.testing.assert_allclose(factors(WarmUp(steps=10), 3), [0, 0.1, 0.2])
