"""The best constant answer's loss, by hand and against a search."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize

from harness.findings.constant import constant_loss
from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, Huber, MeanAbsoluteError, MeanSquaredError

LABELS = np.array([0, 0, 0, 1])
NUMBERS = np.array([[0.0], [0.0], [4.0], [8.0]])


def test_entropy_of_the_classes_by_hand():
    """Three of one class, one of another: ¾ ln 4/3 + ¼ ln 4."""
    expected = 0.75 * math.log(4 / 3) + 0.25 * math.log(4)
    assert constant_loss(CrossEntropy(), LABELS, (3,), 4) == pytest.approx(expected)
    assert constant_loss(CrossEntropy(targets="one_hot"), np.eye(3)[LABELS], (3,), 4) == pytest.approx(expected)
    assert constant_loss(CrossEntropy(reduction="sum"), LABELS, (3,), 4) == pytest.approx(4 * expected)
    assert constant_loss(BinaryCrossEntropy(), LABELS[:, None], (1,), 4) == pytest.approx(expected)


def test_moments_and_medians_by_hand():
    """Of 0, 0, 4, 8: the variance is 11, the mean distance from any median 3."""
    assert constant_loss(MeanSquaredError(), NUMBERS, (1,), 2) == 11
    assert constant_loss(MeanSquaredError("sum"), NUMBERS, (1,), 2) == 22
    assert constant_loss(MeanAbsoluteError(), NUMBERS, (1,), 2) == 3


@pytest.mark.parametrize("delta", [0.5, 3.0, 100.0])
def test_hubers_is_the_least_of_any_answer(delta):
    def value(at):
        r = np.abs(NUMBERS - at)
        return np.where(r <= delta, r**2 / 2, delta * (r - delta / 2)).mean()

    least = min(minimize(value, start, method="Nelder-Mead").fun for start in (0.0, 2.0, 4.0))
    assert constant_loss(Huber(delta), NUMBERS, (1,), 1) == pytest.approx(least, abs=1e-6)
