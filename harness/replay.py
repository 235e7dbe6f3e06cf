"""Runs one recorded job again and compares what it gives with the record."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from msgspec.structs import replace

from harness import environment
from harness.errors import InvalidInput
from harness.execute.local import Local, Settings
from harness.judge.agreement import FLOAT32, FLOAT64
from harness.spec.job import TIMED
from harness.store import Record, Store
from harness.study import interpreter


@dataclass(frozen=True)
class Comparison:
    """How a series of the replay compares with the recorded one."""

    series: str
    values: int
    difference: float  # largest, relative to the largest recorded value; for seconds the ratio of medians − 1
    tolerance: float | None  # None: told, not judged (seconds)

    @property
    def equal(self) -> bool:
        """Whether the series is as recorded, as far as it is judged."""
        return self.tolerance is None or self.difference <= self.tolerance


@dataclass(frozen=True)
class Replay:
    """The outcome of a replay."""

    record: Record
    again: Record
    changed: dict[str, tuple[str, str]]  # what of the environment is not as recorded: (then, now)
    comparisons: list[Comparison]

    @property
    def equal(self) -> bool:
        """Whether status and all judged series are as recorded."""
        return self.record.status == self.again.status and all(c.equal for c in self.comparisons)


def replay(folder: Path, prefix: str, pythons: Mapping[str, str], limit: float) -> Replay:
    """Run the job whose key begins with ``prefix`` again.

    Where environment is as recorded and one thread is used, numbers must be equal to the last bit; else within
    1e-12 (float64) or 1e-4 (float32) of the largest recorded value. Seconds are told, not judged.
    """
    record = Store.open(folder).read(_full_key(folder, prefix))
    cell, then = record.job.cell, record.job.environment
    python = interpreter(cell.backend, pythons)
    now = environment.fingerprint(python, cell.backend, cell.problem, then.threads, cell.device)
    changed = {
        name: (str(getattr(then, name)), str(getattr(now, name)))
        for name in then.__struct_fields__
        if getattr(then, name) != getattr(now, name)
    }
    found: list[Record] = []
    settings = Settings(then.threads, limit, pythons)
    with (
        TemporaryDirectory() as scratch,
        Store.create(Path(scratch) / "run", {"study": None}) as store,
        Local(store, settings, found.append) as local,
    ):
        local.run([replace(record.job, environment=now)])
    to_the_bit = not changed and then.threads == 1
    tolerance = 0.0 if to_the_bit else FLOAT64 if cell.precision == "float64" else FLOAT32
    return Replay(record, found[0], changed, _compare(record, found[0], tolerance))


def _compare(record: Record, again: Record, tolerance: float) -> list[Comparison]:
    timed = isinstance(record.job.measure, TIMED)
    names = sorted({str(name) for table in (record.table, again.table) for name in table["series"].unique()})
    return [
        _seconds(name, record.series(name), again.series(name))
        if timed
        else _series(name, record.series(name), again.series(name), tolerance)
        for name in names
    ]


def _seconds(name: str, then: pd.DataFrame, now: pd.DataFrame) -> Comparison:
    ratio = float(now["value"].median() / then["value"].median()) if len(then) and len(now) else np.inf
    return Comparison(name, len(then), ratio - 1, None)


def _series(name: str, then: pd.DataFrame, now: pd.DataFrame, tolerance: float) -> Comparison:
    place = ["step", "tensor", "index"]
    old, new = (table[place].astype({"tensor": str}).reset_index(drop=True) for table in (then, now))
    if not old.equals(new):
        return Comparison(name, len(then), np.inf, tolerance)
    a, b = then["value"].to_numpy(), now["value"].to_numpy()
    if not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return Comparison(name, len(then), np.inf, tolerance)
    finite = np.isfinite(a)
    gap = np.abs(a[finite] - b[finite]).max(initial=0.0)
    scale = np.abs(a[finite]).max(initial=0.0)
    return Comparison(name, len(then), float(gap / scale) if scale else float(gap), tolerance)


def _full_key(folder: Path, prefix: str) -> str:
    keys = sorted(Store.open(folder).keys())
    matching = [k for k in keys if k.startswith(prefix)]
    if len(matching) != 1:
        which = f"{len(matching)} jobs begin with" if matching else "no job begins with"
        near = ", ".join((matching or keys)[:3])
        raise InvalidInput(f"{folder}: {which} {prefix!r}; for example {near}")
    return matching[0]
