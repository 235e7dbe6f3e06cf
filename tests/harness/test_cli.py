"""The command line as its user meets it: a process, its exit code and what it says."""

import json
import os
import stat
import subprocess
import sys

import pytest

from harness.spec.base import from_toml
from harness.spec.cell import Case
from harness.study import Study

GRADGAUGE = [sys.executable, "-m", "harness.cli"]


def gradgauge(*arguments, **options):
    return subprocess.run([*GRADGAUGE, *map(str, arguments)], capture_output=True, text=True, timeout=120, **options)


QUICK = ("--problem", "rosenbrock", "--steps", "5", "--backend", "numpy", "--precision", "float64")

BAD = [
    (("run", "quickstrat"), "unknown study 'quickstrat': did you mean 'quickstart'"),
    (("run", "--problem", "digitz-64-10-l2"), "unknown problem 'digitz-64-10-l2': did you mean 'digits-64-10-l2'"),
    (("run", "--optimizer", "adma"), "unknown optimizer 'adma': did you mean 'adam'"),
    (("run", "--optimizer", "adam[lrate=1]"), "unknown field of optimizer adam 'lrate'"),
    (("run", "--optimizer", "adam[lr=-0.1]"), "adam.lr = -0.1: Expected `float` > 0.0"),
    (("run", "--optimizer", "adam[lr=high]"), "adam.lr = 'high': Expected `float`, got `str`"),
    (("run", "--clip", "globl_norm"), "unknown clip 'globl_norm': did you mean 'global_norm'"),
    (("run", "--backend", "pytorch"), "unknown backend 'pytorch': did you mean 'torch'"),
    (("run", "--backend", "no.such:THING"), "No module named 'no'"),
    (("run", "--device", "gpu"), "unknown device 'gpu'"),
    (("run", "--precision", "float16"), "grid.precisions"),
    (("run", "--mode", "eagre"), "unknown mode of"),
    (("run", "--seeds", "0"), "--seeds"),
    (("run", "--steps", "many"), "--steps"),
    (("run", "--backend", ","), "empty"),
    (("run", "no-such-file.toml"), "cannot read no-such-file.toml"),
    (("run", "--python", "torch=/no/such/python"), "there is no interpreter at /no/such/python"),
    (("run", "--python", "torch"), "write BACKEND=PATH"),
    (("run", "--python", f"pytorch={sys.executable}"), "unknown backend 'pytorch'"),
    (("run", "--backend", "tests.faulty:MISSING"), "a-framework-nobody-has not installed: pip install"),
    (("list", "optimisers"), "unknown kind 'optimisers': did you mean 'optimizers'"),
    (("show", "quickstrat"), "did you mean 'quickstart'"),
    (("agree", "--optimizer", "adagad"), "did you mean 'adagrad'"),
    (("explode",), "explode"),
]


@pytest.mark.parametrize(("arguments", "says"), BAD, ids=[" ".join(a) for a, _ in BAD])
def test_bad_input_is_one_line_with_exit_code_2_before_any_worker_starts(arguments, says, tmp_path):
    done = gradgauge(*arguments, cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.getcwd()})
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())  # nothing was run, nothing was written
    if done.stderr.startswith("error:"):
        assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("verb", ["report", "replay"])
def test_a_folder_that_is_no_run(verb, tmp_path):
    done = gradgauge(verb, tmp_path, *(["abc"] if verb == "replay" else []))
    assert done.returncode == 2
    assert "is no run: it has no run.json" in done.stderr


def test_a_study_file_with_a_misspelt_key(tmp_path):
    text = gradgauge("show", "quickstart").stdout
    (tmp_path / "study.toml").write_text(text.replace("optimizers = ", "optimisers = ", 1))
    done = gradgauge("run", tmp_path / "study.toml", "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "unknown field `optimisers`" in done.stderr
    assert "did you mean optimizers" in done.stderr


def test_an_interpreter_that_lacks_gradgauge(tmp_path):
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -I "$@"\n')  # no site-packages
    script.chmod(script.stat().st_mode | stat.S_IEXEC)
    done = gradgauge("run", "--python", f"torch={script}", "--out", tmp_path / "run", cwd=tmp_path)
    assert done.returncode == 2
    assert "lacks gradgauge" in done.stderr
    assert "-m pip install gradgauge" in done.stderr


def test_show_prints_what_every_verb_reads():
    assert from_toml(Study, gradgauge("show", "quickstart").stdout).name == "quickstart"
    assert from_toml(Case, gradgauge("show", "digits-64-10-l2").stdout).name == "digits-64-10-l2"


def test_list_in_json_has_a_versioned_schema():
    found = json.loads(gradgauge("list", "--format", "json").stdout)
    assert found["schema"] == 1
    assert [row["name"] for row in found["backends"]] == ["reference", "numpy", "torch", "tensorflow", "jax"]
    assert len(found["optimizers"]) == 9
    assert all(row["formula"] for row in found["optimizers"])


def test_dry_run_tells_jobs_and_time_and_runs_nothing(tmp_path):
    done = gradgauge("run", *QUICK, "--dry-run", cwd=tmp_path)
    assert done.returncode == 0
    assert "jobs, about" in done.stderr
    assert not list(tmp_path.iterdir())


def test_run_resume_replay_and_a_tampered_record(tmp_path):
    case = gradgauge("show", "rosenbrock").stdout
    (tmp_path / "mine.toml").write_text(case.replace('name = "rosenbrock"', 'name = "mine"'))
    arguments = ("functions", *QUICK, "--problem", "mine.toml", "--optimizer", "adam[lr=[0.1,0.2]]", "--out", "run")
    assert gradgauge("run", *arguments, cwd=tmp_path).returncode == 0
    assert (tmp_path / "run" / "report.html").is_file()
    again = gradgauge("run", *arguments, cwd=tmp_path)
    assert again.returncode == 0
    assert "(4 were done before)" in again.stderr or "(2 were done before)" in again.stderr
    key = next((tmp_path / "run" / "jobs").glob("*.parquet")).stem
    same = gradgauge("replay", "run", key[:8], cwd=tmp_path)
    assert same.returncode == 0, same.stderr
    _tamper(tmp_path / "run", key)
    different = gradgauge("replay", "run", key, "--format", "json", cwd=tmp_path)
    assert different.returncode == 1
    rows = {row["series"]: row["equal"] for row in json.loads(different.stdout)["replay"]}
    assert rows["loss"] == "no"
    assert rows["loss/training"] == "yes"


def test_trouble_is_told_and_the_exit_code_is_0_while_something_was_measured(tmp_path):
    backends = "reference,tests.faulty:RAISING,tests.faulty:REFUSING"
    arguments = ("run", "functions", *QUICK[:4], "--precision", "float64", "--backend", backends)
    done = gradgauge(*arguments, "--optimizer", "sgd[lr=[1e-4,1e300]]", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "1 jobs ok" in done.stderr
    for status in ("1 diverged", "2 failed", "2 unsupported"):
        assert status in done.stderr
    assert "ZeroDivisionError: a bug in a framework" in done.stderr


def test_nothing_measured_is_exit_code_3(tmp_path):
    done = gradgauge("run", "functions", *QUICK[:4], "--backend", "tests.faulty:RAISING", "--out", tmp_path / "run")
    assert done.returncode == 3
    assert "nothing was measured" in done.stderr


def test_agree_exits_1_where_a_backend_differs(tmp_path):
    arguments = ("agree", "--optimizer", "sgd", "--backend", "tests.faulty:LYING", "--out", tmp_path / "run")
    done = gradgauge(*arguments, "--format", "json")
    assert done.returncode == 1, done.stderr
    assert "differ by more than rounding explains" in done.stderr
    assert any("differ" in row["verdict"] for row in json.loads(done.stdout)["agreement"])


def _tamper(folder, key):
    """Change one recorded loss in its last digits."""
    from dataclasses import replace

    from harness.store import Store

    record = Store.open(folder).read(key)
    table = record.table.copy()
    first = table.index[table["series"] == "loss"][0]
    table.loc[first, "value"] *= 1 + 1e-9
    Store(folder).write(replace(record, table=table))
