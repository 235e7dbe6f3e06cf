"""What the harness's own loop costs: steps through a trainer against a raw expert loop, interleaved in one run.

``python -m suites.overhead`` measures all four frameworks, each in a process of its own with one thread, on
``digits-64-64-64-10``, batch 32, Adam as shipped, float32, and prints the median ratio with its 95 % interval. The
two loops see the same samples in the same order; that their losses agree is checked before anything is timed.
"""

import argparse
import gc
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from harness import registry
from harness.problems import task as tasks
from harness.problems.catalogue import case
from harness.spec.cell import Budget, Cell

FRAMEWORKS = ("numpy", "torch", "tensorflow", "jax")
BOUNDS = {"numpy": 1.15, "torch": 1.05, "tensorflow": 1.05, "jax": 1.05}
STEPS, PAIRS = 200, 60


def measure(backend: str, pairs: int) -> dict[str, float]:
    """Seconds a step of both loops and the ratio of harness to raw, in this process."""
    digits = case("digits-64-64-64-10")
    cell = Cell(digits.problem, digits.recipe, Budget(steps=STEPS), backend, implementation="shipped")
    task = tasks.make(digits.problem)
    start, order = tasks.initial(task, 0), tasks.order(task.samples, cell.budget, 0)
    trainer = registry.find(backend).open(1).trainer(cell, task, start, STEPS, observe=False)
    part = task.parts["training"]
    raw = importlib.import_module(f"suites.raw.{backend}_loop").make(part.x, part.y, list(start.values()))
    np.testing.assert_allclose(trainer.train(order).loss[:50], raw(order)[:50], rtol=1e-3)
    ratios, ours, theirs = [], [], []
    for pair in range(pairs):
        first, second = (trainer.train, raw) if pair % 2 else (raw, trainer.train)
        seconds = {first: _clock(first, order), second: _clock(second, order)}
        ours.append(seconds[trainer.train] / STEPS)
        theirs.append(seconds[raw] / STEPS)
        ratios.append(ours[-1] / theirs[-1])
    resampled = np.random.default_rng(0).choice(ratios, (2000, pairs))
    low, high = np.quantile(np.median(resampled, axis=1), (0.025, 0.975))
    return {
        "raw_seconds": float(np.median(theirs)),
        "harness_seconds": float(np.median(ours)),
        "ratio": float(np.median(ratios)),
        "low": float(low),
        "high": float(high),
    }


def _clock(train: Callable[[np.ndarray], object], order: np.ndarray) -> float:
    gc.collect()
    gc.disable()
    started = time.perf_counter()
    train(order)
    seconds = time.perf_counter() - started
    gc.enable()
    return seconds


def main() -> None:
    """Measure one framework here, or each in a process of its own."""
    parser = argparse.ArgumentParser(description="harness loop against raw expert loop")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--only", choices=FRAMEWORKS)
    asked = parser.parse_args()
    if asked.only:
        print(json.dumps(measure(asked.only, asked.pairs)))
        return
    print(f"{'':12}{'raw':>12}{'harness':>12}{'ratio':>8}  95 % interval    bound")
    for backend in FRAMEWORKS:
        command = [sys.executable, "-m", "suites.overhead", "--only", backend, "--pairs", str(asked.pairs)]
        flags = {**os.environ, **registry.find(backend).environment(1)}
        done = subprocess.run(command, env=flags, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        micro = {name: f"{found[name] * 1e6:.1f} µs" for name in ("raw_seconds", "harness_seconds")}
        interval = f"[{found['low']:.3f}, {found['high']:.3f}]"
        print(
            f"{backend:12}{micro['raw_seconds']:>12}{micro['harness_seconds']:>12}{found['ratio']:>8.3f}  "
            f"{interval:16} {BOUNDS[backend]:5}"
        )


if __name__ == "__main__":
    main()
