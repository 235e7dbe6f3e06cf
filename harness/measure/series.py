"""Named series of numbers: what measuring yields, as it travels from worker to parent."""

from collections.abc import Sequence

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


class Series(msgspec.Struct, frozen=True):
    """Values of one series (and tensor), with the step and the index of each; raw little-endian bytes."""

    name: str
    tensor: str
    step: bytes
    index: bytes
    value: bytes


def series(name: str, values: ArrayLike, steps: ArrayLike = 0, tensor: str = "") -> Series:
    """A series of ``values`` (flattened); ``steps`` is one step for all, or one for each."""
    flat = np.asarray(values, dtype="<f8").ravel()
    at = np.broadcast_to(np.asarray(steps, dtype="<i8"), flat.shape)
    counts = np.ndim(steps) == 0  # many values at one step are told apart by their index
    index = np.arange(flat.size, dtype="<i8") if counts else np.zeros(flat.size, dtype="<i8")
    return Series(name, tensor, np.ascontiguousarray(at).tobytes(), index.tobytes(), flat.tobytes())


def table(found: Sequence[Series]) -> pd.DataFrame:
    """The long table of a record: series, step, tensor, index, value."""
    sizes = [len(s.value) // 8 for s in found]
    return pd.DataFrame(
        {
            "series": _labels([s.name for s in found], sizes),
            "step": np.concatenate([np.frombuffer(s.step, "<i8") for s in found] or [np.zeros(0, "<i8")]),
            "tensor": _labels([s.tensor for s in found], sizes),
            "index": np.concatenate([np.frombuffer(s.index, "<i8") for s in found] or [np.zeros(0, "<i8")]),
            "value": np.concatenate([np.frombuffer(s.value, "<f8") for s in found] or [np.zeros(0)]),
        }
    )


def _labels(names: list[str], sizes: list[int]) -> "pd.Categorical[str]":
    categories = list(dict.fromkeys(names))
    codes = np.repeat(np.array([categories.index(name) for name in names], dtype=np.int32), sizes)
    return pd.Categorical.from_codes(codes, categories=pd.Index(categories, dtype=str))
