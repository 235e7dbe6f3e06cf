"""Records on disk."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
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


@pytest.mark.parametrize(
    ("mark", "says"),
    [
        ('{"schema": 99}', "schema 99, this gradgauge reads and writes 2"),
        ("{", "cannot use .*run.json: Input data was truncated"),
        ("[]", "cannot use .*run.json: Expected `object`, got `array`"),
        ("{}", "cannot use .*run.json: .*missing required field `schema`"),
        ('{"schema": 2, "study": []}', r"cannot use .*run.json: .*`\$.study`"),
        ("\xff", "cannot use .*run.json"),
    ],
)
@pytest.mark.parametrize("fresh", [False, True])
def test_a_mark_that_does_not_say_what_this_is_is_neither_read_nor_replaced(mark, says, fresh, tmp_path):
    (tmp_path / "run.json").write_text(mark, encoding="latin-1")
    with pytest.raises(InvalidInput, match=says):
        Store.open(tmp_path)
    with pytest.raises(InvalidInput, match=says), Store.create(tmp_path, {}, fresh):
        pass
    assert (tmp_path / "run.json").read_text(encoding="latin-1") == mark


def test_left_over_parts_are_swept_away(tmp_path):
    with Store.create(tmp_path, {}) as store:
        (store.jobs / "half.part").write_bytes(b"PAR1 and then the power went")
        (tmp_path / "run.json.123.part").write_bytes(b"{")
    with Store.create(tmp_path, {}) as store:
        assert list(store.jobs.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jobs", "lock", "run.json"]


BEGINNINGS = [(), ("lock",), ("lock", "run.json.123.part"), ("jobs/", "lock"), ("jobs/", "lock", "run.json.123.part")]


@pytest.mark.parametrize("begun", BEGINNINGS)
@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_that_a_writer_only_began_is_taken_over(begun, fresh, tmp_path):
    for name in begun:
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).touch()
    with Store.create(tmp_path, {}, fresh) as store:
        store.write(record())
    assert Store.open(tmp_path).keys() == {record().key}


def test_fresh_forgets_all_that_a_run_holds(tmp_path):
    with Store.create(tmp_path / "run", {"study": {"name": "a", "grids": [1]}}) as store:
        store.write(record())
    (tmp_path / "run" / "report.html").write_text("of what was forgotten")
    (tmp_path / "link").symlink_to("run")
    with Store.create(tmp_path / "link", {"study": {"name": "b", "grids": [2]}}, fresh=True) as store:
        assert store.keys() == set()
        assert store.about()["study"] == {"name": "b", "grids": [2]}
    assert (tmp_path / "link").is_symlink()
    assert not (tmp_path / "run" / "report.html").exists()


def test_fresh_waits_for_no_other_writer_and_deletes_nothing_of_its(tmp_path):
    second = Store.create(tmp_path, {}, fresh=True)
    with Store.create(tmp_path, {}) as store:
        store.write(record())
        with pytest.raises(InvalidInput, match="another gradgauge is writing"), second:
            pass
        assert store.keys() == {record().key}


HELD = {"name": "quickstart", "grids": [{"seeds": 3}]}


@pytest.mark.parametrize(
    ("asked", "taken"),
    [
        (HELD, True),
        ({**HELD, "about": "in other words"}, True),
        (None, True),
        ({**HELD, "grids": [{"seeds": 4}]}, False),
    ],
)
def test_a_folder_holds_one_study(asked, taken, tmp_path):
    with Store.create(tmp_path, {"study": HELD}) as store:
        store.write(record())
    again = Store.create(tmp_path, {"study": asked})
    if taken:
        with again as store:
            assert store.keys() == {record().key}
    else:
        with pytest.raises(InvalidInput, match="holds a run of quickstart with other grids: .*--out.*--fresh"), again:
            pass
        assert Store.open(tmp_path).about()["study"] == HELD


def _truncated(path):
    path.write_bytes(path.read_bytes()[:200])


def _without_head(path):
    pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)


def _of_another_schema(path):
    table = pq.read_table(path)
    head = table.schema.metadata[b"gradgauge"].replace(b'"schema":2', b'"schema":3')
    pq.write_table(table.replace_schema_metadata({"gradgauge": head}), path)


DAMAGES = [
    (_truncated, "not a parquet file"),
    (lambda path: path.write_bytes(b""), "size is 0 bytes"),
    (_without_head, "truncated"),
    (_of_another_schema, "it has schema 3, this gradgauge reads 2"),
]


@pytest.mark.parametrize(("damage", "says"), DAMAGES)
@pytest.mark.parametrize("use", [Store.read, Store.status])
def test_a_damaged_record_is_named_with_the_cure(damage, says, use, tmp_path):
    with Store.create(tmp_path, {}) as store:
        store.write(record())
    damage(store.jobs / f"{record().key}.parquet")
    with pytest.raises(InvalidInput, match=f"cannot use .*{record().key}.parquet: .*{says}.*delete it"):
        use(store, record().key)


def test_a_record_under_the_key_of_another_job_is_refused(tmp_path):
    with Store.create(tmp_path, {}) as store:
        store.write(record(0))
    (store.jobs / f"{record(0).key}.parquet").rename(store.jobs / f"{record(1).key}.parquet")
    with pytest.raises(InvalidInput, match=f"{record(1).key}.parquet: it is the record of job {record(0).key}"):
        store.read(record(1).key)


def test_what_the_system_refuses_to_write_is_the_users_to_correct(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "broken").symlink_to("nowhere")
    for folder in (tmp_path / "file", tmp_path / "file" / "run", tmp_path / "broken", tmp_path / ("x" * 300)):
        with pytest.raises(InvalidInput, match="cannot write to .*choose another --out"), Store.create(folder, {}):
            pass
