"""What the suites are told by their surroundings, and what they tell of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from asv.runner import BENCHMARK_RUN_SCRIPT

from harness.errors import InvalidInput
from harness.measure import cores
from harness.measure.series import series, table
from harness.spec.base import to_json
from harness.spec.job import Environment, FirstCall, Job, Speed
from harness.store import Record
from suites import cold, contenders, everything, sidecar, timed


@pytest.mark.parametrize("asked", ["two", "0", "-1", "1.5", ""])
def test_a_number_of_threads_that_is_none_is_refused(asked):
    with pytest.raises(InvalidInput, match=f"GRADGAUGE_THREADS={asked}: must be a whole number, 1 or more"):
        contenders.threads(asked)
    assert contenders.threads("2") == 2


@pytest.mark.parametrize("asked", ["gpu", "cuda:0", "CPU", ""])
def test_a_device_that_no_backend_knows_is_refused(asked):
    """Else all would be skipped, and asv would end as if all were well."""
    with pytest.raises(InvalidInput, match=f"GRADGAUGE_DEVICE={asked}: must be one of cpu, cuda"):
        contenders.device(asked)
    assert contenders.device("cuda") == "cuda"


def test_a_size_that_there_is_not_is_refused():
    with pytest.raises(InvalidInput, match="GRADGAUGE_BENCH=ALL: must be all, or not be set"):
        everything.asked("ALL")
    assert everything.asked("all") and not everything.asked("")


@pytest.fixture
def beside_asv(tmp_path, monkeypatch):
    """A folder that asv was called in, for a commit and an environment."""
    (tmp_path / sidecar.RESULTS).mkdir(parents=True)
    monkeypatch.setenv("ASV_CONF_DIR", str(tmp_path))
    monkeypatch.setenv("ASV_COMMIT", "0123456789")
    monkeypatch.setenv("ASV_ENV_NAME", "some")
    return tmp_path


def test_facts_lie_beside_the_configuration_and_tell_the_cores_of_timed_blocks(beside_asv):
    cell = contenders.cell("numpy eager", contenders.parameters(1000), contenders.ADAM, 1)
    job = contenders.job(cell, Speed(blocks=1, block_seconds=0.001))
    timed._open(to_json(job))
    (told,) = (beside_asv / sidecar.RESULTS / "facts").iterdir()
    assert told.name == "01234567-some.facts"
    facts = json.loads(told.read_text())["numpy"]
    assert facts["threads"] == str(contenders.THREADS)
    assert facts.get("cores") == cores.Cores(contenders.THREADS).facts().get("cores")
    contenders.note(job, {"session": "1f", "BLAS": "a"})
    assert "session" not in json.loads(told.read_text())["numpy"]


ASVS = "from suites import sidecar; print(sidecar.path())"


def test_in_the_present_environment_facts_lie_where_asv_works(beside_asv, monkeypatch):
    """There asv sets no variable, and has each benchmark run in a folder that it makes for it."""
    assert Path(BENCHMARK_RUN_SCRIPT).parts[-2:] == sidecar.SCRIPT
    script = beside_asv.joinpath(*sidecar.SCRIPT)
    script.parent.mkdir()
    script.write_text(ASVS)
    elsewhere = beside_asv / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(beside_asv)
    here = {name: value for name, value in os.environ.items() if not name.startswith("ASV")}
    here["PYTHONPATH"] = str(Path(sidecar.__file__).resolve().parent.parent)
    told = subprocess.check_output([sys.executable, script, "run"], text=True, cwd=elsewhere, env=here)
    assert told.strip() == str(beside_asv / sidecar.RESULTS / "facts" / "present-existing.facts")


@pytest.mark.parametrize("left", ["", '{"numpy": {"a"', "[]", '{"jax": 1}', "\x00"])
def test_a_damaged_file_of_facts_stops_no_measurement(beside_asv, left, capsys):
    place = sidecar.path()
    place.parent.mkdir()
    place.write_text(left)
    sidecar.note("torch", {"threads": "2"}, {})
    sidecar.note("numpy", {"threads": "1"}, {})
    assert {who: told["threads"] for who, told in json.loads(place.read_text()).items()} == {"torch": "2", "numpy": "1"}
    assert capsys.readouterr().err.count(f"{place} is damaged") == 1


def test_without_asv_nothing_is_written(beside_asv, monkeypatch):
    monkeypatch.delenv("ASV_CONF_DIR")
    assert sidecar.path() is None


def test_a_first_call_is_the_median_over_its_processes():
    cell = contenders.cell("numpy eager", contenders.parameters(1000), contenders.ADAM, 1)
    rows = [series("import_seconds", [1.0, 9.0, 2.0]), series("build_seconds", [0.5, 0.25, 4.0])]
    job = Job(cell, FirstCall(processes=3), Environment("3", {}, "", "", "", 1, {}))
    assert cold.figures(Record(job, "ok", table=table(rows)), ()) == {"import_seconds": 2.0, "build_seconds": 0.5}
    failed = cold.figures(Record(job, "unsupported", "no GPU"), ("import_seconds",))
    assert failed == {"import_seconds": "unsupported: no GPU"}
