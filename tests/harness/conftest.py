"""A tiny suite that asv really ran, at two commits, without any framework."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

SUITE = """
import time
from asv_runner.benchmarks.mark import SkipNotImplemented

FOLDER = {folder!r}


class Step:
    params = (["numpy eager", "torch eager", "jax jit"], ["adam", "sgd"])
    param_names = ["contender", "optimizer"]
    repeat, number, rounds, warmup_time, sample_time = (8, 8, 5.0), 1, 1, 0, 0.001

    def time_step(self, contender, optimizer):
        if contender == "jax jit":
            if optimizer == "adam":
                raise SkipNotImplemented("jax is not installed")
            raise RuntimeError("broken")
        time.sleep(0.002 if contender == "torch eager" else 0.001)


class Memory:
    params = (["numpy eager", "torch eager"],)
    param_names = ["contender"]

    def track_peak_host_bytes(self, contender):
        return {{"numpy eager": 1000, "torch eager": 2000}}[contender]

    track_peak_host_bytes.unit = "bytes"


class Convergence:
    params = (["numpy eager", "torch eager"],)
    param_names = ["contender"]

    def track_diverged(self, contender):
        return int(contender == "torch eager" and open(FOLDER + "/turn").read() == "1")

    def track_steps_to_target(self, contender):
        return None if contender == "torch eager" else 12

    track_steps_to_target.unit = "steps"


def track_size():
    return 7
"""

CONFIGURATION = {
    "version": 1,
    "project": "tiny",
    "repo": ".",
    "branches": ["main"],
    "environment_type": "existing",
    "benchmark_dir": "suite",
    "results_dir": ".asv/results",
    "env_dir": ".asv/env",
    "html_dir": ".asv/html",
}


@pytest.fixture(scope="session")
def asv_run(tmp_path_factory):
    """Folder of the repository, of its results, and its two commits; not to be written to."""
    folder = tmp_path_factory.mktemp("asv") / "tiny"
    (folder / "suite").mkdir(parents=True)
    (folder / "suite" / "__init__.py").touch()
    (folder / "suite" / "tiny.py").write_text(SUITE.format(folder=str(folder)))
    (folder / "asv.conf.json").write_text(json.dumps(CONFIGURATION))
    environment = {
        **os.environ,
        "HOME": str(folder.parent),  # where asv keeps what it knows of machines
        **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "tiny"),
    }

    asv = (sys.executable, "-m", "asv")  # also where no environment is activated

    def do(*line, **more):
        done = subprocess.run(line, cwd=folder, env=environment | more, capture_output=True, text=True, timeout=300)
        assert not done.returncode or line[:4] == (*asv, "run"), done.stderr
        return done.stdout

    do("git", "init", "--quiet", "--initial-branch", "main")
    do(*asv, "machine", "--yes", "--machine", "here")
    commits = []
    for turn in range(2):
        (folder / "turn").write_text(str(turn))
        do("git", "add", "--all", ":!.asv")
        date = f"2024-01-0{turn + 1}T00:00:00+00:00"
        do("git", "commit", "--quiet", "--message", str(turn), GIT_AUTHOR_DATE=date, GIT_COMMITTER_DATE=date)
        commits.append(do("git", "rev-parse", "HEAD").strip())
        told = ("--set-commit-hash", commits[-1], "--machine", "here", "--record-samples")
        do(*asv, "run", "--environment", f"existing:{sys.executable}", *told)
    return SimpleNamespace(folder=folder, results=folder / ".asv" / "results", commits=commits, environment=environment)
