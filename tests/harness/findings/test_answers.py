"""What the best constant and the best linear answer lose: by hand, and against other searches."""

import math

import numpy as np
import pytest
from scipy.optimize import linprog, minimize
from sklearn.linear_model import LogisticRegression

from harness.findings import answers
from harness.problems import task as tasks
from harness.spec.layers import Dense
from harness.spec.losses import BinaryCrossEntropy, CrossEntropy, Huber, MeanAbsoluteError, MeanSquaredError
from harness.spec.problem import DataSet, Network

LABELS = np.array([0, 0, 0, 1])
NUMBERS = np.array([[0.0], [0.0], [4.0], [8.0]])


def constant(loss, targets, outputs, batch=None):
    each = answers.losses(loss, answers.constant(loss, targets, outputs), targets)
    return answers.of_all(loss, each, outputs) if batch is None else answers.of_a_batch(loss, each, outputs, batch)


def linear(loss, x, y, outputs):
    return answers.of_all(loss, answers.losses(loss, answers.linear(loss, x, y, outputs), y), outputs)


def training(name, loss, units):
    return tasks.make(Network(DataSet(name), (Dense(units),), loss)).parts["training"]


def test_entropy_of_the_classes_by_hand():
    """Three of one class, one of another: ¾ ln 4/3 + ¼ ln 4."""
    expected = 0.75 * math.log(4 / 3) + 0.25 * math.log(4)
    assert constant(CrossEntropy(), LABELS, (3,)) == pytest.approx(expected)
    assert constant(CrossEntropy(targets="one_hot"), np.eye(3)[LABELS], (3,)) == pytest.approx(expected)
    assert constant(CrossEntropy(reduction="sum"), LABELS, (3,)) == pytest.approx(4 * expected)
    assert constant(BinaryCrossEntropy(), LABELS[:, None], (1,)) == pytest.approx(expected)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_where_all_labels_are_one_a_constant_loses_nothing_at_all(label):
    targets = np.full((4, 1), label)
    assert constant(BinaryCrossEntropy(), targets, (1,)) == 0
    assert constant(CrossEntropy(), targets.astype(int)[:, 0], (2,)) == 0


def test_moments_and_medians_by_hand():
    """Of 0, 0, 4, 8: the variance is 11, the mean distance from any median 3."""
    assert constant(MeanSquaredError(), NUMBERS, (1,)) == 11
    assert constant(MeanSquaredError("sum"), NUMBERS, (1,)) == 44
    assert constant(MeanAbsoluteError(), NUMBERS, (1,)) == 3


def test_the_median_of_batches_by_hand():
    """Around the mean 3 the squares are 9, 9, 1, 25: median 9, mean 11. Around the median, most of 0, 0, 0, 8 lose
    nothing: what there is to learn is the mean, 2."""
    assert constant(MeanSquaredError(), NUMBERS, (1,), batch=1) == 9
    assert constant(MeanSquaredError("sum"), NUMBERS, (1,), batch=4) == 44
    assert constant(MeanAbsoluteError(), np.array([[0.0], [0.0], [0.0], [8.0]]), (1,), batch=1) == 2


def test_of_larger_batches_the_median_is_nearer_the_mean():
    """Squares of a normal distribution: median 0.455, mean 1; of means of 64, χ²₆₄/64, 0.99."""
    each = np.random.default_rng(0).normal(size=20_000) ** 2
    one, many = (answers.of_a_batch(MeanSquaredError(), each, (1,), batch) for batch in (1, 64))
    assert one == pytest.approx(0.455, abs=0.02)
    assert many == pytest.approx(0.99, abs=0.02)


@pytest.mark.parametrize("delta", [0.5, 3.0, 100.0])
def test_hubers_is_the_least_of_any_answer(delta):
    def value(at):
        r = np.abs(NUMBERS - at)
        return np.where(r <= delta, r**2 / 2, delta * (r - delta / 2)).mean()

    least = min(minimize(value, start, method="Nelder-Mead").fun for start in (0.0, 2.0, 4.0))
    assert constant(Huber(delta), NUMBERS, (1,)) == pytest.approx(least, abs=1e-6)


def test_a_line_through_three_points_by_hand():
    """Through (0, 0), (1, 1), (2, 0) the least squares' line is ⅓: residuals −⅓, ⅔, −⅓, mean square 2/9."""
    x, y = np.array([[0.0], [1.0], [2.0]]), np.array([[0.0], [1.0], [0.0]])
    assert linear(MeanSquaredError(), x, y, (1,)) == pytest.approx(2 / 9)


def test_the_least_distances_are_those_of_a_linear_program():
    """min Σ e with −e ≤ Xw + b − y ≤ e."""
    x, y = training("diabetes", MeanAbsoluteError(), 1)
    n, features = x.shape
    lines = np.concatenate([x, np.ones((n, 1))], axis=1)
    bounds = np.block([[lines, -np.eye(n)], [-lines, -np.eye(n)]])
    cost = np.concatenate([np.zeros(features + 1), np.full(n, 1 / n)])
    free = [(None, None)] * (features + 1) + [(0, None)] * n
    program = linprog(cost, bounds, np.concatenate([y.ravel(), -y.ravel()]), bounds=free)
    assert linear(MeanAbsoluteError(), x, y, (1,)) == pytest.approx(program.fun, rel=1e-4)


def test_classes_that_overlap_are_fitted_as_another_library_does():
    x, y = training("iris", CrossEntropy(), 3)
    other = LogisticRegression(C=1e8, tol=1e-10, max_iter=10_000).fit(x, y).predict_log_proba(x)
    assert linear(CrossEntropy(), x, y, (3,)) == pytest.approx(-other[np.arange(len(y)), y].mean(), rel=1e-3)
    binary = (y == 2).astype(float)[:, None]
    found = linear(BinaryCrossEntropy(), x, binary, (1,))
    other = LogisticRegression(C=1e8, tol=1e-10, max_iter=10_000).fit(x, binary[:, 0]).predict_log_proba(x)
    assert found == pytest.approx(-other[np.arange(len(y)), binary[:, 0].astype(int)].mean(), rel=1e-3)


def test_classes_that_a_plane_separates_cost_a_linear_answer_nothing():
    x, y = training("digits", CrossEntropy(), 10)
    assert linear(CrossEntropy(), x, y, (10,)) < 1e-3


@pytest.mark.parametrize("loss", [Huber(50.0), MeanAbsoluteError(), MeanSquaredError()])
def test_a_linear_answer_loses_no_more_than_a_constant_one(loss):
    x, y = training("diabetes", loss, 1)
    assert linear(loss, x, y, (1,)) < 0.8 * constant(loss, y, (1,))


def test_what_is_no_number_or_too_many_has_no_linear_answer():
    tokens, labels = np.array([[0], [1]]), np.array([0, 1])
    assert answers.linear(CrossEntropy(), tokens, labels, (2,)) is None
    assert answers.linear(CrossEntropy(), np.zeros((2, 1_000_000)), labels, (2,)) is None
