"""The dropout masks that all backends share."""

import numpy as np
import pytest

from harness.problems.masks import masks
from harness.spec.layers import Dense, Dropout, Reshape, Residual

MODEL = (Dropout(0.2), Dense(40), Residual((Dropout(0.5),)), Reshape((4, 10)), Dropout(0.5))


def test_each_layer_and_step_has_its_own():
    found, next_step = masks(MODEL, (30,), 0, 8), masks(MODEL, (30,), 1, 8)
    assert {name: mask.shape for name, mask in found.items()} == {
        "dropout1": (8, 30),
        "residual1.dropout1": (8, 40),
        "dropout2": (8, 4, 10),
    }
    assert not np.array_equal(found["residual1.dropout1"].ravel(), found["dropout2"].ravel())
    assert not np.array_equal(found["dropout1"], next_step["dropout1"])
    again = masks(MODEL, (30,), 0, 8)
    np.testing.assert_array_equal(found["dropout1"], again["dropout1"])


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_shares_and_scale(rate):
    """A share p of zeros, within four standard errors; the rest 1/(1 − p), which keeps the mean."""
    mask = masks((Dropout(rate),), (1000,), 3, 100)["dropout1"]
    assert set(np.unique(mask)) <= {0.0, 1 / (1 - rate)}
    assert (mask == 0).mean() == pytest.approx(rate, abs=4 * (rate * (1 - rate) / mask.size) ** 0.5 + 1e-12)
