"""The largest eigenvalue against NumPy's own, and what it says of itself."""

import numpy as np
import pytest

from harness.measure.lanczos import largest

RANDOM = np.random.default_rng(0)
Q, _ = np.linalg.qr(RANDOM.standard_normal((30, 30)))
START = RANDOM.standard_normal(30)


def matrix(*spectrum):
    """Of these eigenvalues, and zeros."""
    return Q * np.pad(np.array(spectrum, dtype=float), (0, 30 - len(spectrum))) @ Q.T


@pytest.mark.parametrize("spectrum", [(5, 4, 3), (7,), (2, -9), (1e-9, 3e-10), (1e12, 1e3), range(1, 31)])
def test_it_is_the_largest(spectrum):
    a = matrix(*spectrum)
    found = largest(lambda v: a @ v, START, 1e-9, 30)
    assert found.value == pytest.approx(max(spectrum), rel=1e-9)
    assert found.residual <= 1e-8
    assert abs(found.vector @ Q[:, np.argmax(spectrum)]) == pytest.approx(1, rel=1e-9)


def test_where_all_are_negative_it_is_the_nearest_to_zero():
    a = -matrix(*range(3, 33))
    assert largest(lambda v: a @ v, START, 1e-9, 30).value == pytest.approx(-3, rel=1e-9)


@pytest.mark.parametrize("most", [1, 2, 4, 8])
def test_what_is_not_found_yet_shows(most):
    """The residual is that of its vector; an eigenvalue is so near; and θ is never above the largest."""
    spectrum = np.arange(1.0, 31.0)
    a = matrix(*spectrum)
    found = largest(lambda v: a @ v, START, 1e-9, most)
    assert np.linalg.norm(a @ found.vector - found.value * found.vector) == pytest.approx(
        found.residual * found.value, rel=1e-9
    )
    assert np.abs(spectrum - found.value).min() <= found.residual * found.value
    assert found.value < 30


def test_a_start_that_is_near_needs_few_products():
    a, count = matrix(9, 3, 2, 1), []

    def product(v):
        count.append(v)
        return a @ v

    found = largest(product, Q[:, 0] + 0.1 * START / np.linalg.norm(START), 0.02, 12)
    assert found.value == pytest.approx(9, rel=1e-3)
    assert len(count) <= 2


def test_of_nothing_it_is_nothing_and_of_what_is_not_finite_not_a_number():
    assert largest(np.zeros_like, START, 0.02, 12)[:2] == (0.0, 0.0)
    assert np.isnan(largest(lambda v: v * np.inf, START, 0.02, 12).value)
