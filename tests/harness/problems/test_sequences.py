"""The long-memory tasks hold what they say, and who cannot remember does as badly as stated."""

import numpy as np
import pytest

from harness.errors import InvalidInput
from harness.problems.data import load, shape, split
from harness.problems.sequences import BLANK, MARKS, RECALL, made
from harness.spec.problem import SEQUENCES, DataSet


@pytest.mark.parametrize("length", [20, 50, 101])
def test_adding(length):
    x, y = made("adding", length, 4000)
    assert x.shape == (4000, length, 2)
    assert (x[:, : length // 2, 1].sum(axis=1) == 1).all()
    assert (x[:, length // 2 :, 1].sum(axis=1) == 1).all()
    np.testing.assert_allclose((x[:, :, 0] * x[:, :, 1]).sum(axis=1), y[:, 0], rtol=1e-15)
    # Var of a sum of two uniforms: 2/12. The standard error of its estimate is √((μ₄ − σ⁴)/n) = 0.0030.
    assert np.mean((y - 1) ** 2) == pytest.approx(1 / 6, abs=4 * 0.0031)


@pytest.mark.parametrize("length", [20, 37])
def test_copy(length):
    x, y = made("copy", length, 500)
    np.testing.assert_array_equal(x[:, :5], y[:, -5:])
    assert (y[:, :-5] == BLANK).all()
    assert (x[:, -6] == RECALL).all()
    assert (np.delete(x, length - 6, axis=1)[:, 5:] == BLANK).all()
    assert set(np.unique(x[:, :5])) == set(range(8))


@pytest.mark.parametrize("length", [20, 50, 99])
def test_temporal_order(length):
    x, y = made("temporal_order", length, 2000)
    marked = np.isin(x, MARKS)
    assert (marked.sum(axis=1) == 2).all()
    places = np.argwhere(marked)[:, 1].reshape(-1, 2)
    assert length // 10 <= places[:, 0].min() <= places[:, 0].max() < 2 * (length // 10)
    assert 5 * (length // 10) <= places[:, 1].min() <= places[:, 1].max() < 6 * (length // 10)
    symbols = x[marked].reshape(-1, 2) - MARKS[0]
    np.testing.assert_array_equal(2 * symbols[:, 0] + symbols[:, 1], y)
    assert np.bincount(y).min() > 2000 / 4 - 4 * (2000 * 3 / 16) ** 0.5


@pytest.mark.parametrize("name", SEQUENCES)
def test_lengths_and_parts(name):
    data = DataSet(name, scaling="none", length=30, samples=100)
    parts = load(data)
    assert shape(data)[:2] == (100, 30)
    assert {part: len(p.x) for part, p in parts.items()} == {part: len(rows) for part, rows in split(data).items()}
    assert parts["training"].x.shape[1:] == shape(data)[1:]
    np.testing.assert_array_equal(load(data)["test"].x, parts["test"].x)


def test_length_and_samples_belong_to_made_sequences():
    with pytest.raises(InvalidInput, match="length and samples belong to adding, copy, temporal_order"):
        DataSet("digits", length=30)
    with pytest.raises(InvalidInput, match=">= 20"):
        DataSet("copy", length=12)
