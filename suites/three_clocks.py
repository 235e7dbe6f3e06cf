"""The same step by three clocks: asv's, that of ``gradgauge run``, and a raw expert loop's.

``python -m suites.three_clocks`` times the perceptron's step (digits, batch 32, Adam as shipped, float32, one thread)
in every framework by ``asv run`` in the present environment, by ``gradgauge run``, and by the raw loop of
``suites.overhead``, each in processes of its own, in turn, for some rounds. It prints the medians over the rounds, and
the median over the rounds of each ratio to the raw loop with its lowest and highest. No clock may be more than 1.05
times another's.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from harness import asv_results
from harness.judge import speed
from harness.spec.job import Speed
from harness.spec.toml import to_toml
from harness.store import Store
from harness.study import Grid, Study
from suites import contenders, overhead, sidecar

BOUND = 1.05
ROOT = Path(__file__).resolve().parent.parent
STUDY = Study(
    "three-clocks",
    "the perceptron's step",
    (
        Grid(
            Speed(),
            (contenders.ARCHITECTURES["MLP"],),
            ("adam[lr=0.001]",),
            clips=("none",),
            penalties=("none",),
            schedules=("constant",),
            backends=overhead.FRAMEWORKS,
            implementation="shipped",
            steps=100,
            batch=32,
        ),
    ),
)
Seconds = Mapping[str, float]  # backend → seconds a step


def by_asv(folder: Path) -> Seconds:
    """Medians of what ``asv run`` recorded."""
    settings = {
        "version": 1,
        "project": "gradgauge",
        "repo": str(ROOT),
        "branches": ["HEAD"],
        "benchmark_dir": str(ROOT / "suites"),
        "environment_type": "existing",
        "env_dir": str(folder / "env"),
        "results_dir": str(folder / sidecar.RESULTS),
        "html_dir": str(folder / "html"),
    }
    (folder / "asv.conf.json").write_text(json.dumps(settings))
    here = {**os.environ, "HOME": str(folder)}  # where asv keeps what it knows of machines
    asv, config = [sys.executable, "-m", "asv"], ["--config", str(folder / "asv.conf.json")]
    _quietly([*asv, "machine", "--yes", *config], here)
    told = ["--environment", f"existing:{sys.executable}", "--set-commit-hash", _commit(), "--record-samples"]
    _quietly([*asv, "run", *config, *told, "--bench", r"speed\.Step\.time_step\(.*'MLP', 32\)"], here)
    (result,) = asv_results.read(folder / sidecar.RESULTS).found
    found = {e.contender.partition(" ")[0]: e.measurement for e in result.entries.values() if not e.skipped}
    return {backend: measurement.median for backend, measurement in found.items() if measurement.values}


def by_run(folder: Path) -> Seconds:
    """Medians of what ``gradgauge run`` recorded."""
    (folder / "study.toml").write_text(to_toml(STUDY))
    line = [sys.executable, "-m", "harness.cli", "run", str(folder / "study.toml"), "--out", str(folder / "run")]
    _quietly(line, os.environ)
    groups = speed.groups(Store.open(folder / "run").records())
    return {one.job.cell.backend: one.seconds.value for group in groups for one in group.steady}


def by_raw_loop(_: Path) -> Seconds:
    """Medians of the raw loops, beside which the harness's are timed."""
    return {backend: overhead.apart(backend, "mlp", pairs=10)["raw_seconds"] for backend in overhead.FRAMEWORKS}


CLOCKS: Mapping[str, Callable[[Path], Seconds]] = {"asv": by_asv, "gradgauge run": by_run, "raw loop": by_raw_loop}


def _quietly(line: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(line, env=environment, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{' '.join(line)}: exit code {done.returncode}: {(done.stderr or done.stdout)[-2000:]}")


def _commit() -> str:
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout.strip()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="one step by three clocks")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = []
    for turn in range(parser.parse_args().rounds):
        names = list(CLOCKS)
        shift = turn % len(names)
        found = {}
        for name in names[shift:] + names[:shift]:  # no clock is always first
            with tempfile.TemporaryDirectory() as folder:
                found[name] = CLOCKS[name](Path(folder))
        rounds.append(found)
    print(f"{'':12}{''.join(f'{name:>16}' for name in CLOCKS)}   asv / raw loop         gradgauge run / raw loop")
    for backend in overhead.FRAMEWORKS:
        seconds = {name: np.array([found[name][backend] for found in rounds]) for name in CLOCKS}
        medians = "".join(f"{np.median(values) * 1e6:>13.1f} µs" for values in seconds.values())
        ratios = [seconds[name] / seconds["raw loop"] for name in ("asv", "gradgauge run")]
        told = "   ".join(f"{np.median(r):.3f} [{r.min():.3f}, {r.max():.3f}]" for r in ratios)
        print(f"{backend:12}{medians}   {told}")
    print(f"goal: medians within {BOUND}")


if __name__ == "__main__":
    main()
