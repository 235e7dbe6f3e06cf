"""What the harness's own loop costs: steps through a trainer against a raw expert loop, interleaved in one run.

``python -m suites.overhead`` measures all four frameworks, each in a process of its own with one thread on one core, on
a perceptron, a convolutional network, an LSTM and a transformer on the digits, batch 32, Adam as shipped, float32, and
prints the median ratio with its 95 % interval. The two loops see the same samples in the same order; that their losses
agree is checked before anything is timed. NumPy has a raw loop of the perceptron only: of the others, the step time.
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
from harness.measure.cores import Cores
from harness.problems import task as tasks
from harness.problems.catalogue import case
from harness.spec.cell import Budget, Cell
from harness.spec.job import Speed
from harness.spec.optimizers import Adam
from harness.spec.recipe import Recipe

FRAMEWORKS = ("numpy", "torch", "tensorflow", "jax")
ARCHITECTURES = {
    "mlp": "digits-64-64-64-10",
    "cnn": "digits-cnn",
    "lstm": "digits-rows-lstm",
    "transformer": "digits-transformer",
}
STEPS, PAIRS = 200, 60
WARM_UP = Speed().warm_up
RECIPE = Recipe(Adam(lr=0.001))


def bound(backend: str, architecture: str) -> float:
    """The most that the median ratio may be."""
    if architecture != "mlp":
        return 1.10
    return 1.15 if backend == "numpy" else 1.05


def measure(backend: str, architecture: str, pairs: int) -> dict[str, float]:
    """Seconds a step of both loops and the ratio of harness to raw, in this process."""
    problem = case(ARCHITECTURES[architecture]).problem
    cell = Cell(problem, RECIPE, Budget(steps=STEPS), backend, implementation="shipped")
    cores = Cores(threads=1)
    task = tasks.make(problem)
    start, order = tasks.initial(task, 0), tasks.order(task.samples, cell.budget, 0)
    trainer = registry.find(backend).open(1).trainer(cell, task, start, STEPS, observe=False)
    part, loop = task.parts["training"], importlib.import_module(f"suites.raw.{backend}_loop")
    if architecture not in loop.ARCHITECTURES:
        trainer.train(order)
        cores.hold()
        return {"harness_seconds": float(np.median([_clock(trainer.train, order) / STEPS for _ in range(pairs)]))}
    raw = loop.make(architecture, part.x, part.y, start)
    np.testing.assert_allclose(trainer.train(order).loss[:50], raw(order)[:50], rtol=1e-3)
    cores.hold()  # as timed workers are
    gc.freeze()
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
    train(order[:WARM_UP])
    started = time.perf_counter()
    train(order)
    seconds = time.perf_counter() - started
    gc.enable()
    return seconds


def main() -> None:
    """Measure one framework on one architecture here, or each in a process of its own."""
    parser = argparse.ArgumentParser(description="harness loop against raw expert loop")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--only", choices=FRAMEWORKS, help="one framework")
    parser.add_argument("--architecture", choices=ARCHITECTURES, help="one architecture")
    parser.add_argument("--here", action="store_true", help="in this process, as JSON")
    asked = parser.parse_args()
    if asked.here:
        print(json.dumps(measure(asked.only, asked.architecture, asked.pairs)))
        return
    print(f"{'':13}{'':12}{'raw':>12}{'harness':>12}{'ratio':>8}  95 % interval    bound")
    for architecture in [asked.architecture] if asked.architecture else ARCHITECTURES:
        for backend in [asked.only] if asked.only else FRAMEWORKS:
            print(f"{architecture:13}{backend:12}{_row(backend, architecture, asked.pairs)}", flush=True)


def apart(backend: str, architecture: str, pairs: int) -> dict[str, float]:
    """What ``measure`` finds in a process of its own."""
    which = ["--only", backend, "--architecture", architecture, "--pairs", str(pairs), "--here"]
    flags = {**os.environ, **registry.find(backend).environment(1)}
    command = [sys.executable, "-m", "suites.overhead", *which]
    done = subprocess.run(command, env=flags, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{backend}, {architecture}: {done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _row(backend: str, architecture: str, pairs: int) -> str:
    found = apart(backend, architecture, pairs)
    micro = {name: f"{found[name] * 1e6:.1f} µs" for name in ("raw_seconds", "harness_seconds") if name in found}
    row = f"{micro.get('raw_seconds', '–'):>12}{micro['harness_seconds']:>12}"
    if "ratio" not in found:
        return row
    interval = f"[{found['low']:.3f}, {found['high']:.3f}]"
    return f"{row}{found['ratio']:>8.3f}  {interval:16} {bound(backend, architecture):5}"


if __name__ == "__main__":
    main()
