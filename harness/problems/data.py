"""Real data from scikit-learn's bundled sets, the small made sets of the worked cases, and a user's own files."""

import functools
import itertools
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from harness.problems import files, sequences
from harness.spec.problem import SEQUENCES, DataSet

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Rows = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
Targets = np.ndarray  # int64 labels (n,), or float64 (n, outputs)

# The shape of each set's inputs, known without loading it.
SHAPES: dict[str, tuple[int, ...]] = {
    "digits": (1797, 64),
    "breast_cancer": (569, 30),
    "wine": (178, 13),
    "iris": (150, 4),
    "diabetes": (442, 10),
    "cube": (256, 2, 2, 2),
    "regression": (100, 10),
    "line": (100, 1),
}


class Part(NamedTuple):
    """Inputs (n, …) float64 and targets: int64 labels (n, …) or float64 (n, outputs)."""

    x: Floats
    y: Targets


def load(data: DataSet) -> dict[str, Part]:
    """The training, validation and test parts of a data set; parts with no samples are left out.

    The split is stratified by nothing and depends on ``split_seed`` alone; the scaling is fitted on the
    training part.
    """
    x, y = _raw(data)
    rows = split(data)
    shift, scale = _scaling(data.scaling, x[rows.get("training", [])])
    return {name: Part((x[i] - shift) / scale, y[i]) for name, i in rows.items()}


def shape(data: DataSet) -> tuple[int, ...]:
    """The shape of a set's inputs, samples first."""
    if data.name in SEQUENCES:
        return _samples(data), _length(data), *sequences.WAYS[data.name]
    return _raw(data)[0].shape if data.is_file else SHAPES[data.name]


def split(data: DataSet) -> dict[str, Rows]:
    """The samples of each part that has any, by their places in the set."""
    samples = shape(data)[0]
    shuffled = np.random.default_rng(data.split_seed).permutation(samples)
    n_test, n_validation = round(samples * data.test), round(samples * data.validation)
    test, rest = np.split(shuffled, [n_test])
    if data.fold is None:
        validation, training = np.split(rest, [n_validation])
    else:
        pieces = np.array_split(rest, data.folds)
        validation = pieces.pop(data.fold)
        training = np.concatenate(pieces)
    parts = {"training": training[: data.training], "validation": validation, "test": test}
    return {name: rows for name, rows in parts.items() if len(rows)}


def _scaling(how: str, x: Floats) -> tuple[Floats, Floats]:
    """Shift and scale per feature; a constant feature is shifted only."""
    match how:
        case "standard":
            shift, scale = x.mean(axis=0), x.std(axis=0)
        case "min_max":
            shift, scale = x.min(axis=0), x.max(axis=0) - x.min(axis=0)
        case _:
            shift, scale = np.zeros(x.shape[1:]), np.ones(x.shape[1:])
    return shift, np.where(scale > 0, scale, 1.0)


def _raw(data: DataSet) -> tuple[Floats, Targets]:
    if data.name in SEQUENCES:
        return sequences.made(data.name, _length(data), _samples(data))
    return files.read(data) if data.is_file else _known(data.name)


def _length(data: DataSet) -> int:
    return data.length or 50


def _samples(data: DataSet) -> int:
    return data.samples or 6000


@functools.cache
def _known(name: str) -> tuple[Floats, Targets]:
    match name:
        case "cube":
            return _cube()
        case "regression":
            rng = np.random.default_rng(0)
            return rng.standard_normal((100, 10)), rng.standard_normal((100, 2))
        case "line":
            rng = np.random.default_rng(0)
            x = rng.uniform(-1, 1, (100, 1))
            return x, 2 * x + 1 + 0.05 * rng.standard_normal((100, 1))
        case _:
            return _bundled(name)


# scikit-learn's files: inputs and target in the last column, or the target in a file of its own; lines before them.
_FILES = {
    "digits": (("digits.csv.gz",), 0),
    "iris": (("iris.csv",), 1),
    "wine": (("wine_data.csv",), 1),
    "breast_cancer": (("breast_cancer.csv",), 1),
    "diabetes": (("diabetes_data_raw.csv.gz", "diabetes_target.csv.gz"), 0),
}


def _bundled(name: str) -> tuple[Floats, Targets]:
    """A set from the files that scikit-learn brings; to import it takes two seconds, in every worker.

    The diabetes set is the raw one: scikit-learn's own scaling of it looks at all samples.
    """
    package = find_spec("sklearn")
    assert package is not None and package.origin is not None
    folder, (files_of, header) = Path(package.origin).parent / "datasets" / "data", _FILES[name]
    delimiters = [None if file.startswith("diabetes") else "," for file in files_of]
    columns = [
        np.loadtxt(folder / file, delimiter=delimiter, skiprows=header, ndmin=2)
        for file, delimiter in zip(files_of, delimiters, strict=True)
    ]
    table = np.concatenate(columns, axis=1)
    x, y = table[:, :-1], table[:, -1]
    return x, y[:, None] if name in ("diabetes", "breast_cancer") else y.astype(np.int64)


def _cube() -> tuple[Floats, Targets]:
    """All 256 binary 2×2×2 volumes; targets: ones/8 and face-adjacent pairs of ones/12."""
    x = np.array(list(itertools.product((0.0, 1.0), repeat=8))).reshape(-1, 2, 2, 2)
    pairs = sum((x.take(0, axis=axis) * x.take(1, axis=axis)).reshape(len(x), -1).sum(axis=1) for axis in (1, 2, 3))
    ones = x.reshape(len(x), -1).sum(axis=1)
    return x, np.stack([ones / 8, pairs / 12], axis=1)
