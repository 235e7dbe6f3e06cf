"""Derivatives to compare with that no formula went into."""

import numpy as np
import pytest


def differences(f, x):
    """∇f(x) by central differences; the step balances the h² of the formula with rounding of f."""
    x, slope = np.array(x, dtype=np.float64), np.empty(np.shape(x))
    for i in np.ndindex(x.shape):
        h = np.cbrt(np.finfo(np.float64).eps) * max(1.0, abs(x[i]))
        there, back = x.copy(), x.copy()
        there[i] += h
        back[i] -= h
        slope[i] = (f(there) - f(back)) / (there[i] - back[i])
    return slope


def is_close(exact, numeric, tolerance=1e-8):
    """In norm, relative, over the whole tensor; where it is small, absolute."""
    assert exact.shape == numeric.shape
    assert np.linalg.norm(exact - numeric) <= tolerance * max(np.linalg.norm(numeric), 0.1)


@pytest.fixture(scope="session")
def slopes():
    return differences


@pytest.fixture(scope="session")
def close():
    return is_close
