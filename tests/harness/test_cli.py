"""The command line as its user meets it: a process, its exit code and what it says."""

import csv
import dataclasses
import functools
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from harness import cli
from harness.problems.catalogue import CATALOGUE
from harness.spec.base import from_toml
from harness.spec.cell import Case
from harness.spec.job import Agreement
from harness.spec.toml import to_toml
from harness.store import Store
from harness.studies import STUDIES
from harness.study import Grid, Study, overridden

GRADGAUGE = [sys.executable, "-m", "harness.cli"]


def gradgauge(*arguments, **options):
    return subprocess.run([*GRADGAUGE, *map(str, arguments)], capture_output=True, text=True, timeout=120, **options)


QUICK = ("--problem", "rosenbrock", "--steps", "5", "--backend", "numpy", "--precision", "float64")

BAD = [
    (("run", "quickstrat"), "unknown study 'quickstrat': did you mean 'quickstart'"),
    (("run", "--problem", "digitz-64-10-l2"), "unknown problem 'digitz-64-10-l2': did you mean 'digits-64-10-l2'"),
    (("run", "--optimizer", "adma"), "unknown optimizer 'adma': did you mean 'adamax'"),
    (("run", "--optimizer", "adam[lrate=1]"), "unknown field of optimizer adam 'lrate'"),
    (("run", "--optimizer", "adam[lr=-0.1]"), "adam.lr = -0.1: Expected `float` > 0.0"),
    (("run", "--optimizer", "adam[lr=high]"), "adam.lr = 'high': Expected `float`, got `str`"),
    (("run", "--clip", "globl_norm"), "unknown clip 'globl_norm': did you mean 'global_norm'"),
    (("run", "--backend", "pytorch"), "unknown backend 'pytorch': did you mean 'torch'"),
    (("run", "--backend", "no.such:THING"), "No module named 'no'"),
    (("run", "--device", "gpu"), "unknown device 'gpu'"),
    (("run", "--precision", "float16"), "unknown grid.precisions 'float16': did you mean 'float64' or 'float32'"),
    (("run", "--penalty", "l2[0.1,on=dense1.weight]"), "unknown l2.on 'dense1.weight': did you mean '(dense1.weight)'"),
    (("run", "--schedule", "warm_up[then=warm_up]"), "unknown warm_up.then 'warm_up'. Allowed: constant, step"),
    (("run", "--mode", "eagre"), "unknown mode of"),
    (("run", "--seeds", "0"), "--seeds"),
    (("run", "--steps", "many"), "--steps"),
    (("run", "--limit", "nan"), "--limit"),
    (("run", "--sed", "1"), "--seeds"),
    (("run", "--backend", ","), "empty"),
    (("run", "no-such-file.toml"), "cannot read no-such-file.toml"),
    (("run", "--python", "torch=/no/such/python"), "there is no interpreter at /no/such/python"),
    (("run", "--python", "torch"), "write BACKEND=PATH"),
    (("run", "--python", "numpy=/bin/echo"), "this is no Python interpreter with gradgauge"),
    (("doctor", "--python", "numpy=/bin/true"), "this is no Python interpreter with gradgauge"),
    (("doctor", "--python", f"nump={sys.executable}"), "unknown backend 'nump': did you mean 'numpy'"),
    (("doctor", "--clock", "--python", f"nump={sys.executable}"), "unknown backend 'nump': did you mean 'numpy'"),
    (("run", *QUICK, "--out", "/proc/foo"), "cannot write to /proc/foo"),
    (("run", *QUICK, "--out", f"{__file__}/run"), "cannot write to"),
    (("run", "--python", f"pytorch={sys.executable}"), "unknown backend 'pytorch'"),
    (("run", "--backend", "tests.faulty:MISSING"), "a-framework-nobody-has not installed: pip install"),
    (("list", "optimisers"), "unknown kind 'optimisers': did you mean 'optimizers'"),
    (("show", "quickstrat"), "unknown problem or study 'quickstrat': did you mean 'quickstart'"),
    (("show", "roosenbrock"), "did you mean 'rosenbrock'"),
    (("diagnose", "deep-sigmod"), "unknown problem 'deep-sigmod': did you mean 'deep-sigmoid'"),
    (("diagnose", "rosenbrock,beale"), "diagnose takes one problem, not 2: rosenbrock, beale"),
    (("diagnose", "rosenbrock", "--steps", "0"), "--steps"),
    (("diagnose", "rosenbrock", "--epochs", "0"), "--epochs"),
    (("diagnose", "rosenbrock", "--every", "0"), "--every"),
    (("diagnose", "rosenbrock", "--steps", "20", "--window", "30"), "--window 30: the run has 20 observed steps"),
    (("diagnose", "rosenbrock", "--steps", "20", "--every", "9", "--window", "4"), "3 observed steps (20, every 9)"),
    (("diagnose", "digits-64-10-l2", "--epochs", "1", "--window", "99"), "--window 99: the run has 36 observed steps"),
    (
        ("run", "health", "--steps", "3"),
        "in deep-sigmoid: health.window = 4: the run has 1 observed steps (3, every 5)",
    ),
    (("diagnose", "digits-64-10-l2", "--penalty", "l2[on=(relu1.weight)]"), "unknown parameter 'relu1.weight'"),
    (("diagnose", "rosenbrock", "--level", "standart"), "unknown health.level 'standart': did you mean 'standard'"),
    (("diagnose", "rosenbrock", "--backend", "tests.faulty:MISSING"), "a-framework-nobody-has not installed"),
    (("diagnose", "no-such-file.toml"), "cannot read no-such-file.toml"),
    (("agree", "--optimizer", "adagad"), "did you mean 'adagrad'"),
    (("explode",), "explode"),
    (("rnu",), "Did you mean 'run'"),
]


@pytest.mark.parametrize(("arguments", "says"), BAD, ids=[" ".join(a) for a, _ in BAD])
def test_bad_input_is_one_line_with_exit_code_2_before_any_worker_starts(arguments, says, tmp_path):
    done = gradgauge(*arguments, cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.getcwd()})
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())  # nothing was run, nothing was written
    *planned, last = done.stderr.splitlines()
    assert last.startswith("error: ")
    assert not [line for line in planned if "jobs, about" not in line]


@pytest.mark.parametrize("verb", ["report", "replay", "diagnose"])
def test_a_folder_that_is_no_run(verb, tmp_path):
    done = gradgauge(verb, tmp_path, *(["abc"] if verb == "replay" else []))
    assert done.returncode == 2
    assert "is no run: it has no run.json" in done.stderr


FILES = [
    ("quickstart", ("optimizers = ", "optimisers = "), "run {}", ("`optimisers`", "did you mean optimizers")),
    ("quickstart", ('"convergence"', '"convergense"'), "run {}", ("'convergense'", "did you mean convergence")),
    ("quickstart", ('"float32"', '"float23"'), "run {}", ("'float23'", "did you mean float32")),
    ("quickstart", ('"quickstart"', '"../../x"'), "run {}", ("study.name = '../../x': it names a folder",)),
    ("quickstart", ("", ""), "run --problem {}", ("is a study: gradgauge run",)),
    ("rosenbrock", ("", ""), "run {}", ("is a problem: gradgauge run --problem",)),
    ("rosenbrock", ("rosenbrock", "\xff"), "run --problem {}", ("it is no UTF-8 text",)),
    ("rosenbrock", ("rosenbrock", "\xff"), "run {}", ("it is no UTF-8 text",)),
]


@pytest.mark.parametrize(("name", "change", "line", "says"), FILES)
def test_a_file_that_is_not_what_it_should_be_is_one_line_that_names_it(name, change, line, says, tmp_path):
    shown = STUDIES[name] if name in STUDIES else CATALOGUE[name]
    (tmp_path / "given.toml").write_text(to_toml(shown).replace(*change, 1), encoding="latin-1")
    done = gradgauge(*line.format("given.toml").split(), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert all(words in done.stderr for words in ("given.toml", *says))
    assert [path.name for path in tmp_path.iterdir()] == ["given.toml"]


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
    assert {"adam", "nesterov", "lion"} <= {row["name"] for row in found["optimizers"]}
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
    assert "(4 done before)" in again.stderr or "(2 done before)" in again.stderr
    key = next((tmp_path / "run" / "jobs").glob("*.parquet")).stem
    same = gradgauge("replay", "run", key[:8], cwd=tmp_path)
    assert same.returncode == 0, same.stderr
    assert re.search(r"adam\[lr=0\.[12]\]: then ok, now ok", same.stderr)
    _tamper(tmp_path / "run", key)
    different = gradgauge("replay", "run", key, "--format", "json", cwd=tmp_path)
    assert different.returncode == 1
    rows = {row["series"]: row["equal"] for row in json.loads(different.stdout)["replay"]}
    assert rows["loss"] == "no"
    assert rows["loss/training"] == "yes"


def test_a_users_own_name_and_target_are_the_reports_and_a_new_target_trains_nothing_again(tmp_path):
    case = CATALOGUE["rosenbrock"]
    own = replace(case, name="mine", problem=replace(case.problem, b=50.0))
    arguments = (
        "run",
        "functions",
        "--problem",
        "mine.toml",
        *QUICK[2:],
        "--optimizer",
        "sgd[lr=1e-4]",
        "--out",
        "run",
    )
    for target, reached, done_before in ((20.0, "1", 0), (1e-9, "0", 1)):
        (tmp_path / "mine.toml").write_text(to_toml(replace(own, target=target)))
        done = gradgauge(*arguments, cwd=tmp_path)
        assert f"({done_before} done before)" in done.stderr
        (row,) = csv.DictReader((tmp_path / "run" / "time-to-target.csv").read_text().splitlines())
        assert (row["problem"], row["target"]) == ("mine", f"training loss ≤ {target:g}")
        assert row["reached"] == reached
        assert "Time to target, mine" in (tmp_path / "run" / "report.html").read_text()
    other = replace(own, name="other", target=3.0)
    (tmp_path / "other.toml").write_text(to_toml(other))
    refused = gradgauge(*arguments, "--problem", "other.toml", cwd=tmp_path)
    assert refused.returncode == 2
    assert "mine and other are one problem with two targets, 1e-09 and 3" in refused.stderr


def test_trouble_is_told_and_the_exit_code_is_0_while_something_was_measured(tmp_path):
    backends = "reference,tests.faulty:RAISING,tests.faulty:REFUSING"
    arguments = ("run", "functions", *QUICK[:4], "--precision", "float64", "--backend", backends)
    done = gradgauge(*arguments, "--optimizer", "sgd[lr=[1e-4,1e300]]", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "1 job ok" in done.stderr
    for status in ("1 diverged", "2 failed", "2 unsupported"):
        assert status in done.stderr
    troubles = [line for line in done.stderr.splitlines() if line.startswith("  failed: ")]
    assert len(troubles) == 2
    assert all(re.search(r"ZeroDivisionError: a bug in a framework .*\[job \w+\]$", line) for line in troubles)


@pytest.mark.parametrize(("fault", "was"), [("RAISING", "9 failed"), ("REFUSING", "9 unsupported")])
def test_nothing_measured_is_exit_code_3_and_says_what_was(fault, was, tmp_path):
    done = gradgauge("run", "functions", *QUICK[:4], "--backend", f"tests.faulty:{fault}", "--out", tmp_path / "run")
    assert done.returncode == 3
    assert f"nothing was measured: {was}, see" in done.stderr


def test_what_others_are_compared_with_is_no_measurement_of_theirs(tmp_path):
    """As where nothing runs on a GPU: the reference does, on the host."""
    (tmp_path / "same.toml").write_text(
        to_toml(Study("same", "", (Grid(Agreement(), ("rosenbrock",), precisions=("float64",), steps=5),)))
    )
    for backends, code in (("reference,tests.faulty:REFUSING", 3), ("reference", 0)):
        folder = tmp_path / str(code)
        done = gradgauge("run", tmp_path / "same.toml", "--backend", backends, "--out", folder)
        assert done.returncode == code, done.stderr
        assert "1 job ok" in done.stderr
    assert (folder / "report.html").is_file()


def test_of_many_troubles_the_first_are_told_and_how_many_more_there_are(tmp_path):
    arguments = ("run", "functions", "--steps", "2", "--backend", "tests.faulty:REFUSING", "--out", tmp_path / "run")
    done = gradgauge(*arguments)
    assert done.stderr.count("  unsupported: ") == 20
    assert "  and 16 more\n" in done.stderr


def test_replay_of_a_job_that_gave_and_gives_no_numbers_says_so(tmp_path):
    hanging = ("--backend", "tests.faulty:HANGING", "--optimizer", "sgd", "--limit", "1", "--out", "run")
    place = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": os.getcwd()}}
    assert gradgauge("run", "functions", *QUICK[:4], *hanging, **place).returncode == 3
    key = next((tmp_path / "run" / "jobs").iterdir()).stem
    done = gradgauge("replay", "run", key, "--limit", "1", **place)
    assert done.returncode == 0
    assert "then timeout, now timeout" in done.stderr
    assert "no numbers to compare, then or now: no answer within 1 s" in done.stderr
    assert done.stdout == ""


def test_an_interrupt_says_how_to_go_on(tmp_path):
    arguments = ("run", "functions", *QUICK[:4], "--backend", "tests.faulty:HANGING", "--out", tmp_path / "run")
    line = [*GRADGAUGE, *map(str, arguments)]
    # Where the tests run in the background, interrupts are ignored, and children inherit that.
    heard = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True, preexec_fn=heard) as process:
        try:
            until = time.monotonic() + 60
            while not (tmp_path / "run" / "jobs").is_dir() and time.monotonic() < until:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=60)
        finally:
            process.kill()
    assert told.splitlines()[-1] == "interrupted; run the same line again to go on from here"
    assert process.returncode == 130


def test_names_with_brackets_are_printed_as_they_are(tmp_path):
    done = gradgauge("run", "functions", *QUICK, "--optimizer", "sgd[lr=1e-4]", "--out", "br[red]x[/foo]", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "report: br[red]x[/foo]/report.html" in done.stderr


def test_a_changed_study_has_a_folder_of_its_own_and_one_folder_holds_one_study(tmp_path):
    arguments = ("run", "functions", *QUICK, "--optimizer", "sgd[lr=1e-4]")
    assert gradgauge(*arguments, cwd=tmp_path).returncode == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch("functions-[0-9a-f]{8}", folder.name)
    again = gradgauge(*arguments, cwd=tmp_path)
    assert "(1 done before)" in again.stderr
    assert list((tmp_path / "runs").iterdir()) == [folder]
    other = (*arguments[:-1], "sgd[lr=2e-4]", "--out", folder)
    refused = gradgauge(*other, cwd=tmp_path)
    assert refused.returncode == 2
    assert "choose another --out, or forget it with --fresh" in refused.stderr
    assert gradgauge(*other, "--fresh", cwd=tmp_path).returncode == 0
    assert len(list((folder / "jobs").iterdir())) == 1


@pytest.mark.parametrize(
    ("selected", "folder"),
    [
        (STUDIES["quickstart"], r"runs/quickstart"),
        (overridden(STUDIES["quickstart"], seeds=1), r"runs/quickstart-[0-9a-f]{8}"),
        (overridden(STUDIES["quickstart"], backends=("numpy",)), r"runs/quickstart-[0-9a-f]{8}"),
    ],
)
def test_the_default_folder_tells_a_study_from_its_changes(selected, folder):
    assert re.fullmatch(folder, cli._folder(selected, STUDIES["quickstart"]).as_posix())


def test_report_refuses_a_place_where_it_cannot_write(tmp_path):
    assert gradgauge("run", "functions", *QUICK, "--optimizer", "sgd", "--out", tmp_path / "run").returncode == 0
    for place in (__file__, "/proc/foo"):
        done = gradgauge("report", tmp_path / "run", "--out", place)
        assert done.returncode == 2
        assert f"error: cannot write to {place}" in done.stderr


@pytest.fixture(scope="module")
def lying(tmp_path_factory):
    """The words that compare a backend that differs, and what came of them."""
    folder = tmp_path_factory.mktemp("lying") / "run"
    words = ("agree", "--optimizer", "sgd", "--backend", "tests.faulty:LYING", "--format", "json", "--out", folder)
    return SimpleNamespace(words=words, folder=folder, done=gradgauge(*words))


def test_agree_exits_1_where_a_backend_differs(lying):
    done = lying.done
    assert done.returncode == 1, done.stderr
    assert "differ by more than rounding explains" in done.stderr
    assert any("differ" in row["verdict"] for row in json.loads(done.stdout)["agreement"])
    cases = re.findall(r"^tests.faulty:LYING float\d\d ([^:]+): ", done.stderr, re.MULTILINE)
    assert len(cases) == 20
    assert set(cases) <= set(CATALOGUE)  # cases, not their kinds


def test_a_damaged_record_is_told_and_left_out_of_what_agrees(lying):
    compared = sum(int(row["compared"]) for row in json.loads(lying.done.stdout)["agreement"])
    store = Store.open(lying.folder)
    every = [store.jobs / f"{key}.parquet" for key, one in store.readable()[0].items()]
    (lost, *_) = (path for path in every if store.read(path.stem).job.cell.backend == "tests.faulty:LYING")
    lost.write_bytes(lost.read_bytes()[:200])
    done = gradgauge(*lying.words)
    assert done.returncode == 1, done.stderr
    assert "1 damaged" in done.stderr
    assert f"  cannot use {lost}: " in done.stderr and done.stderr.count(str(lost)) == 1
    left = sum(int(row["compared"]) for row in json.loads(done.stdout)["agreement"])
    assert 0 < left < compared
    assert lost.read_bytes().startswith(b"PAR1") and lost.stat().st_size == 200  # its owner's to delete
    for path in every:
        path.write_bytes(b"")
    nothing = gradgauge(*lying.words)
    assert nothing.returncode == 3, nothing.stderr
    assert f"{len(every)} damaged" in nothing.stderr and "nothing could be compared" in nothing.stderr


def _tamper(folder, key):
    """Change one recorded loss in its last digits."""
    from harness.store import Store

    record = Store.open(folder).read(key)
    table = record.table.copy()
    first = table.index[table["series"] == "loss"][0]
    table.loc[first, "value"] *= 1 + 1e-9
    Store(folder).write(dataclasses.replace(record, table=table))
