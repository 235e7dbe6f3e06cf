"""A user's own data: a CSV table, or arrays in a NumPy ``.npz`` archive."""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from harness.errors import InvalidInput, unknown
from harness.spec.problem import DataSet

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def read(data: DataSet) -> tuple[Floats, np.ndarray]:
    """Inputs (n, …) and targets: float64 (n, outputs), or int64 codes (n,) of a column of words, in their sorted order.

    Raises ``InvalidInput`` naming the line and column, or the array and element, that cannot be used.
    """
    path = Path(data.name)
    if not path.is_file():
        raise InvalidInput(f"data {data.name}: there is no such file")
    x, y = _csv(path, data) if path.suffix == ".csv" else _npz(path, data)
    if len(x) < 2:
        raise InvalidInput(f"data {data.name}: {len(x)} samples are too few to split")
    return x, y


def _csv(path: Path, data: DataSet) -> tuple[Floats, np.ndarray]:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, skip_blank_lines=False, encoding="utf-8")
    except (ValueError, OSError, pd.errors.ParserError) as error:
        raise InvalidInput(f"data {path}: no CSV table: {' '.join(str(error).split())}") from None
    columns = [str(name) for name in table.columns]
    if len(columns) < 2:
        raise InvalidInput(f"data {path}: one column is not enough: inputs and a target are needed (comma-separated?)")
    for asked in (*data.inputs, *data.targets):
        if asked not in columns:
            raise unknown(f"column of {path}", asked, columns)
    targets = list(data.targets) or columns[-1:]
    inputs = list(data.inputs) or [name for name in columns if name not in targets]
    both = set(inputs) & set(targets)
    if both or not inputs:
        raise InvalidInput(f"data {path}: {', '.join(both) or 'no column'} is both an input and a target")
    x = np.stack([_numbers(path, table, name) for name in inputs], axis=1)
    if len(targets) == 1 and _words(table[targets[0]]):
        return x, np.unique(table[targets[0]].str.strip(), return_inverse=True)[1].astype(np.int64)
    return x, np.stack([_numbers(path, table, name) for name in targets], axis=1)


def _words(column: pd.Series) -> bool:
    """Whether no value of a column is a number, and none is missing: classes, not slips."""
    numbers = pd.to_numeric(column, errors="coerce")
    return bool(numbers.isna().all() and (column.str.strip() != "").all())


def _numbers(path: Path, table: pd.DataFrame, name: str) -> Floats:
    column = table[name]
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        line, text = int(bad[0]) + 2, str(column.iloc[int(bad[0])]).strip()
        what = f"{text!r} is not a finite number" if text else "the value is missing"
        raise InvalidInput(f"data {path}: line {line}, column {name}: {what}")
    return values


def _npz(path: Path, data: DataSet) -> tuple[Floats, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = dict(archive)
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise InvalidInput(f"data {path}: no archive of plain arrays: {error}") from None
    found = []
    for names, default in ((data.inputs, "x"), (data.targets, "y")):
        if len(names) > 1:
            raise InvalidInput(f"data {path}: name one array, not {', '.join(names)}")
        name = names[0] if names else default
        if name not in arrays:
            raise unknown(f"array of {path}", name, arrays)
        found.append(_array(path, name, arrays[name]))
    x, y = found
    if x.ndim < 2 or y.ndim not in (1, 2) or len(x) != len(y):
        raise InvalidInput(f"data {path}: inputs {x.shape} and targets {y.shape}: (n, …) and (n,) or (n, k) are needed")
    return x, y[:, None] if y.ndim == 1 else y


def _array(path: Path, name: str, values: np.ndarray) -> Floats:
    if values.dtype.kind not in "biuf":
        raise InvalidInput(f"data {path}: array {name} holds {values.dtype}, not numbers")
    numbers = values.astype(np.float64)
    bad = np.argwhere(~np.isfinite(numbers))
    if bad.size:
        raise InvalidInput(f"data {path}: array {name}, element {tuple(bad[0].tolist())} is not finite")
    return numbers
