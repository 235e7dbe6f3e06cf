"""Kill -9 at 20 moments, the rename among them, and run again: nothing is lost, nothing is done twice.

And while the run folder is made, or emptied.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from harness.spec.job import FINAL
from harness.store import Store

STUDY = """
name = "killed"
about = "small and without clocks, so that its report is a pure function of its jobs"
[[grids]]
problems = ["rosenbrock", "quadratic-100"]
optimizers = ["sgd[lr=[1e-4,2e-4]]", "adam[lr=[0.01,0.02]]"]
backends = ["numpy", "reference"]
precisions = ["float64"]
steps = 200
[grids.measure]
kind = "convergence"
evaluations = 5
[[grids]]
problems = ["rosenbrock"]
optimizers = ["sgd[lr=1e-4]"]
backends = ["numpy", "reference"]
precisions = ["float64"]
steps = 50
[grids.measure]
kind = "agreement"
"""
JOBS = 18

# A gradgauge whose parent process kills itself at the n-th write of a record: before, amid or after it. Or as it writes
# the mark of its folder, or empties that.
SUICIDAL = """
import os, signal, sys
from harness import store
n, moment = int(sys.argv.pop(1)), sys.argv.pop(1)
replace, write, count = os.replace, store.pq.write_table, 0
def die():
    os.kill(os.getpid(), signal.SIGKILL)
def replacing(source, target):
    global count
    if str(target).endswith("run.json") and moment == "before the mark":
        die()
    if str(target).endswith(".parquet"):
        count += 1
        if count == n and moment == "before the rename":
            die()
        replace(source, target)
        if count == n and moment == "after the rename":
            die()
    else:
        replace(source, target)
def writing(table, file, **options):
    if count + 1 == n and moment == "amid the write":
        file.write(b"PAR1 half a file")
        file.flush()
        die()
    write(table, file, **options)
def clearing(folder):
    next(folder.iterdir()).unlink()
    die()
if moment == "amid the clearing":
    store.shutil.rmtree = clearing
os.replace = store.os.replace = replacing
store.pq.write_table = writing
sys.argv[0] = "gradgauge"
from harness.cli import main
main()
"""
PLAIN = [sys.executable, "-m", "harness.cli"]

rng = random.Random(0)
MOMENTS = (
    [(moment, rng.randint(1, 4)) for moment in ("before the rename", "amid the write", "after the rename") * 2]
    + [("parent", rng.randint(0, 3)) for _ in range(8)]
    + [("worker", rng.randint(0, 3)) for _ in range(6)]
)  # fmt: skip


def run(folder, command=PLAIN, *options):
    arguments = ["run", "study.toml", "--out", "run", "--retry", *options]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([*command, *arguments], cwd=folder, **silent)


def kill(process, moment, folder, records):
    """Kill as the moment says, once the run has written so many more records, or is done."""
    if moment in ("parent", "worker"):
        jobs = folder / "run" / "jobs"
        target = len(list(jobs.glob("*.parquet"))) + records
        victims = []
        while process.poll() is None and not victims:
            time.sleep(0.002)
            if len(list(jobs.glob("*.parquet"))) >= target:
                children = psutil.Process(process.pid).children(recursive=True)
                victims = [process.pid] if moment == "parent" else [child.pid for child in children][:1]
        for victim in victims:
            if process.poll() is None:
                os.kill(victim, signal.SIGKILL)
    process.wait(timeout=120)


def finished(folder) -> dict[str, int]:
    """The final records and their inodes: a record that is written again gets another."""
    jobs = folder / "run" / "jobs"
    if not (folder / "run" / "run.json").is_file():
        return {}
    store = Store.open(folder / "run")
    for path in jobs.glob("*.parquet"):
        pq.read_table(path)  # raises on half a file
    return {key: (jobs / f"{key}.parquet").stat().st_ino for key in sorted(store.keys()) if store.status(key) in FINAL}


def report(folder) -> dict[str, bytes]:
    run_folder = folder / "run"
    return {p.name: p.read_bytes() for p in run_folder.iterdir() if p.suffix in (".html", ".md", ".csv")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "study.toml").write_text(STUDY)
    assert run(folder).wait(timeout=120) == 0
    return folder


def test_killed_at_20_moments_and_run_again(undisturbed, tmp_path):
    assert len(MOMENTS) == 20
    deaths = 0
    for round_, (moment, when) in enumerate(MOMENTS):
        folder = tmp_path / str(round_ % 4)  # five kills in a row for each of four runs
        folder.mkdir(exist_ok=True)
        (folder / "study.toml").write_text(STUDY)
        before = finished(folder)
        amid = moment not in ("parent", "worker")
        process = run(folder, [sys.executable, "-c", SUICIDAL, str(when), moment] if amid else PLAIN)
        kill(process, moment, folder, when)
        deaths += process.returncode == -signal.SIGKILL
        after = finished(folder)
        assert before.items() <= after.items(), f"{moment}: a finished job ran again or was lost"
    assert deaths >= 10  # the kills met running processes, not finished ones
    for folder in sorted(Path(tmp_path).iterdir()):
        before = finished(folder)
        assert run(folder).wait(timeout=120) == 0
        after = finished(folder)
        assert before.items() <= after.items()
        assert len(after) == JOBS
        assert not list((folder / "run" / "jobs").glob("*.part"))
        assert report(folder) == report(undisturbed)


@pytest.mark.parametrize("fresh", [(), ("--fresh",)], ids=["", "then fresh"])
@pytest.mark.parametrize("moment", ["before the mark", "amid the clearing"])
def test_killed_while_the_folder_is_made_or_emptied(moment, fresh, undisturbed, tmp_path):
    (tmp_path / "study.toml").write_text(STUDY)
    emptied = moment == "amid the clearing"
    if emptied:
        shutil.copytree(undisturbed / "run", tmp_path / "run")
    command = [sys.executable, "-c", SUICIDAL, "1", moment]
    assert run(tmp_path, command, *(["--fresh"] if emptied else [])).wait(timeout=120) == -signal.SIGKILL
    assert len(finished(tmp_path)) == (JOBS - 1 if emptied else 0)
    assert run(tmp_path, PLAIN, *fresh).wait(timeout=120) == 0
    assert len(finished(tmp_path)) == JOBS
    assert not list((tmp_path / "run").rglob("*.part"))
    assert report(tmp_path) == report(undisturbed)
