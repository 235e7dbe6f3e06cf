"""Data: parts that do not overlap, scaling fitted on the training part, targets worked out by hand."""

import numpy as np
import pytest
from msgspec.structs import replace
from sklearn import datasets

from harness.errors import InvalidInput
from harness.problems.catalogue import CATALOGUE
from harness.problems.data import SHAPES, _known, load, split
from harness.spec.problem import DataSet

NETWORKS = [case.problem.data for case in CATALOGUE.values() if case.problem.spelling() == "network"]


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "wine", "iris", "diabetes"])
def test_parts_are_a_partition_of_the_real_data(name):
    parts = load(DataSet(name, scaling="none"))
    rows = np.concatenate([part.x for part in parts.values()])
    real = getattr(datasets, f"load_{name}")(**({"scaled": False} if name == "diabetes" else {})).data
    assert {part: len(p.x) for part, p in parts.items()} == {
        "training": len(real) - round(0.2 * len(real)) - round(0.15 * len(real)),
        "validation": round(0.15 * len(real)),
        "test": round(0.2 * len(real)),
    }
    np.testing.assert_array_equal(np.sort(rows, axis=0), np.sort(real, axis=0))


@pytest.mark.parametrize("name", SHAPES)
def test_sizes_are_known_without_loading(name):
    parts = load(DataSet(name, training=50))
    assert {part: len(rows) for part, rows in split(DataSet(name, training=50)).items()} == {
        part: len(p.x) for part, p in parts.items()
    }
    whole = load(DataSet(name)).values()
    assert SHAPES[name] == (sum(len(part.x) for part in whole), *parts["training"].x.shape[1:])


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "wine", "iris", "diabetes"])
def test_every_sample_keeps_its_target(name):
    """What scikit-learn's own loader gives, in its order."""
    loader = getattr(datasets, f"load_{name}")
    x, y = loader(return_X_y=True, **({"scaled": False} if name == "diabetes" else {}))
    found = _known(name)
    np.testing.assert_array_equal(found[0], x)
    np.testing.assert_array_equal(found[1].ravel(), y)


def test_standardisation_is_fitted_on_the_training_part_only():
    raw, scaled = load(DataSet("wine", scaling="none")), load(DataSet("wine"))
    mean, std = raw["training"].x.mean(axis=0), raw["training"].x.std(axis=0)
    np.testing.assert_allclose(scaled["test"].x, (raw["test"].x - mean) / std)
    np.testing.assert_allclose(scaled["training"].x.mean(axis=0), 0, atol=1e-12)
    assert np.abs(scaled["test"].x.mean(axis=0)).max() > 1e-3


def test_constant_pixels_stay_finite():
    assert all(np.isfinite(part.x).all() for part in load(DataSet("digits")).values())


def test_min_max_maps_the_training_part_to_the_unit_interval():
    x = load(DataSet("iris", scaling="min_max"))["training"].x
    assert x.min() == 0
    assert x.max() == 1


def test_the_split_does_not_change_with_the_size_of_the_training_part():
    small, large = load(DataSet("digits", training=100, scaling="none")), load(DataSet("digits", scaling="none"))
    np.testing.assert_array_equal(small["test"].x, large["test"].x)
    np.testing.assert_array_equal(small["training"].x, large["training"].x[:100])


def test_cube_targets_by_hand():
    parts = load(DataSet("cube", scaling="none", validation=0.0, test=0.0))
    volumes, targets = parts["training"]
    assert len({volume.tobytes() for volume in volumes}) == 256
    by_hand = {  # volume with these ones → (ones/8, face-adjacent pairs/12)
        (): (0, 0),
        ((0, 0, 0),): (1 / 8, 0),
        ((0, 0, 0), (0, 0, 1)): (2 / 8, 1 / 12),
        ((0, 0, 0), (1, 1, 1)): (2 / 8, 0),
        ((0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1)): (4 / 8, 4 / 12),
    }
    for ones, expected in by_hand.items():
        volume = np.zeros((2, 2, 2))
        for place in ones:
            volume[place] = 1
        row = next(i for i, v in enumerate(volumes) if np.array_equal(v, volume))
        np.testing.assert_allclose(targets[row], expected)
    full = next(i for i, v in enumerate(volumes) if v.all())
    np.testing.assert_allclose(targets[full], (1, 1))


def test_folds_are_the_validation_parts_of_each_other_and_leave_the_test_part_alone():
    one = DataSet("iris", test=0.2)
    every = [split(replace(one, fold=fold)) for fold in range(5)]
    assert all((parts["test"] == split(one)["test"]).all() for parts in every)
    validated = np.concatenate([parts["validation"] for parts in every])
    assert sorted([*validated, *every[0]["test"]]) == list(range(150))
    for parts in every:
        assert len(parts["validation"]) == 24  # 150 − 30, a fifth
        assert not set(parts["validation"]) & set(parts["training"])
        assert len(parts["training"]) == 96


def test_a_fold_that_does_not_exist_is_refused():
    with pytest.raises(InvalidInput, match="fold 5 of 5: the first is 0"):
        DataSet("iris", fold=5).check()
