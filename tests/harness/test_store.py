"""Records on disk."""

import numpy as np
import pandas as pd
import pytest

from harness.backend import Origin
from harness.errors import InvalidInput
from harness.measure.series import series, table
from harness.problems.catalogue import CATALOGUE
from harness.spec.cell import Cell
from harness.spec.job import Convergence, Environment, Job
from harness.store import Record, Store

CASE = CATALOGUE["rosenbrock"]
HERE = Environment("3.11", {"numpy": "2"}, "c0de", "da7a", "a machine", 1, {"FLAG": "1"})


def job(seed=0):
    return Job(Cell(CASE.problem, CASE.recipe, CASE.budget, "numpy", seed=seed), Convergence(), HERE)


def record(seed=0):
    found = table(
        [series("loss", [3.0, np.nan, np.inf], [0, 1, 2]), series("gradient", [[1.0, 2.0]], tensor="dense1.weight")]
    )
    return Record(job(seed), "diverged", "why", {"clip": Origin("composed", "c/‖g‖", "lacks")}, {"BLAS": "x"}, found)


def test_a_record_comes_back_as_it_was_written(tmp_path):
    with Store.create(tmp_path, {"study": None}) as store:
        store.write(record())
    back = Store.open(tmp_path).read(record().key)
    assert (back.job, back.status, back.reason) == (job(), "diverged", "why")
    assert back.plan == {"clip": Origin("composed", "c/‖g‖", "lacks")}
    assert back.facts == {"BLAS": "x"}
    pd.testing.assert_frame_equal(back.table.astype({"series": str, "tensor": str}), pd.DataFrame({
        "series": ["loss", "loss", "loss", "gradient", "gradient"],
        "step": [0, 1, 2, 0, 0],
        "tensor": ["", "", "", "dense1.weight", "dense1.weight"],
        "index": [0, 0, 0, 0, 1],
        "value": [3.0, np.nan, np.inf, 1.0, 2.0],
    }))  # fmt: skip


def test_an_empty_table_is_kept(tmp_path):
    with Store.create(tmp_path, {}) as store:
        store.write(Record(job(), "unsupported", "no", table=table([])))
    assert Store.open(tmp_path).read(record().key).table.empty


def test_merging_runs_is_copying_files(tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        with Store.create(tmp_path / name, {}) as store:
            store.write(record(seed))
    for file in (tmp_path / "b" / "jobs").iterdir():
        (tmp_path / "a" / "jobs" / file.name).write_bytes(file.read_bytes())
    assert Store.open(tmp_path / "a").keys() == {record(0).key, record(1).key}


def test_two_writers_are_refused(tmp_path):
    second = Store.create(tmp_path, {})
    with Store.create(tmp_path, {}), pytest.raises(InvalidInput, match="another gradgauge is writing"), second:
        pass


def test_a_folder_that_is_no_run_is_neither_read_nor_written(tmp_path):
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(InvalidInput, match="is no run"):
        Store.open(tmp_path)
    with pytest.raises(InvalidInput, match="holds other things"), Store.create(tmp_path, {}):
        pass


def test_another_schema_is_refused(tmp_path):
    (tmp_path / "run.json").write_text('{"schema": 99}')
    with pytest.raises(InvalidInput, match="schema 99"):
        Store.open(tmp_path)


def test_left_over_parts_are_swept_away(tmp_path):
    with Store.create(tmp_path, {}) as store:
        (store.jobs / "half.part").write_bytes(b"PAR1 and then the power went")
    with Store.create(tmp_path, {}) as store:
        assert list(store.jobs.iterdir()) == []
