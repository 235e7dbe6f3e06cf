"""What it costs to look: steps as a health measurement makes them against plain training, interleaved in one run.

``python -m suites.observation`` measures all four frameworks on a perceptron (64-512-512-10) and a convolutional
network on the digits, batch 128, Adam as shipped, float32, each in a process of its own held to one core, then to two.
In each turn the same steps are made plainly, by ``Trainer.train``, and at each level as ``measure.health`` makes them,
with the row of every observed step on the host. Printed are medians of the ratios to plain steps of the same turn, with
their 95 % interval.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from harness import registry
from harness.backend import Integers
from harness.measure.cores import Cores
from harness.measure.curvature import Curvature
from harness.measure.health import Observing
from harness.measure.run import Builder
from harness.problems import task as tasks
from harness.problems.catalogue import case
from harness.spec.activations import Relu
from harness.spec.cell import Budget, Cell
from harness.spec.job import Health, Level, Speed
from harness.spec.layers import Dense
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import Adam
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import Recipe

FRAMEWORKS = ("numpy", "torch", "tensorflow", "jax")
PERCEPTRON = Network(
    DataSet("digits", scaling="min_max"), (Dense(512), Relu(), Dense(512), Relu(), Dense(10)), CrossEntropy()
)
PROBLEMS = {"mlp": PERCEPTRON, "cnn": case("digits-cnn").problem}
# Level → every how many steps it is observed, and the most that the median ratio may be.
LEVELS: dict[Level, tuple[int, float]] = {"minimal": (1, 1.08), "standard": (10, 1.05), "full": (100, 1.10)}
THREADS = (1, 2)
STEPS, TURNS = 100, 30
WARM_UP = Speed().warm_up
RECIPE = Recipe(Adam(lr=0.001))


def measure(backend: str, problem: str, threads: int, turns: int) -> dict[str, list[float]]:
    """Of every turn, in this process: seconds of a plain step, and of each level the ratio to it."""
    cell = Cell(PROBLEMS[problem], RECIPE, Budget(steps=STEPS, batch=128), backend, implementation="shipped")
    cores, task = Cores(threads), tasks.make(cell.problem)
    start = tasks.initial(task, 0)
    run = Builder(registry.find(backend).open(threads)).open(cell, task, start)
    trainer, order = run.trainer(), run.order

    def observing(level: Level) -> Callable[[Integers], object]:
        what = Health(level=level, every=LEVELS[level][0])
        if level == "full":
            return lambda rows: Observing(trainer, what, curvature=Curvature(run, trainer)).train(rows)
        return lambda rows: Observing(trainer, what).train(rows)

    sides: dict[str, Callable[[Integers], object]] = {"plain": trainer.train}
    sides.update({level: observing(level) for level in LEVELS})
    names = tuple(sides)
    for train in sides.values():
        train(order)  # compiles
    cores.hold()  # as timed workers are
    gc.freeze()
    found: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(turns):
        first = turn % len(names)
        seconds = {}
        for name in names[first:] + names[:first]:
            trainer.reset(start)
            seconds[name] = _clock(trainer.train, sides[name], order)
        plain = seconds.pop("plain")
        found["plain"].append(plain / STEPS)
        for name, taken in seconds.items():
            found[name].append(taken / plain)
    return found


def _clock(plain: Callable[[Integers], object], train: Callable[[Integers], object], order: Integers) -> float:
    gc.collect()
    gc.disable()
    plain(order[:WARM_UP])
    started = time.perf_counter()
    train(order)
    seconds = time.perf_counter() - started
    gc.enable()
    return seconds


def main() -> None:
    """Measure one framework on one problem here, or each in a process of its own."""
    parser = argparse.ArgumentParser(description="observed steps against plain ones")
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--only", choices=FRAMEWORKS, help="one framework")
    parser.add_argument("--problem", choices=PROBLEMS, help="one problem")
    parser.add_argument("--threads", type=int, choices=THREADS, help="one number of threads")
    parser.add_argument("--here", action="store_true", help="in this process, as JSON")
    asked = parser.parse_args()
    if asked.here:
        print(json.dumps(measure(asked.only, asked.problem, asked.threads, asked.turns)))
        return
    bounds = "".join(f"{f'{level} / {every}: ≤ {bound}':28}" for level, (every, bound) in LEVELS.items())
    print(f"{'':8}{'':12}{'threads':>8}{'plain':>12}    {bounds}")
    for problem in [asked.problem] if asked.problem else PROBLEMS:
        for threads in [asked.threads] if asked.threads else THREADS:
            for backend in [asked.only] if asked.only else FRAMEWORKS:
                row = _row(apart(backend, problem, threads, asked.turns))
                print(f"{problem:8}{backend:12}{threads:>8}{row}", flush=True)


def apart(backend: str, problem: str, threads: int, turns: int) -> dict[str, list[float]]:
    """What ``measure`` finds in a process of its own."""
    which = ["--only", backend, "--problem", problem, "--threads", str(threads), "--turns", str(turns), "--here"]
    flags = {**os.environ, **registry.find(backend).environment(threads)}
    command = [sys.executable, "-m", "suites.observation", *which]
    done = subprocess.run(command, env=flags, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{backend}, {problem}, {threads} threads: {done.stderr}")
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _row(found: dict[str, list[float]]) -> str:
    ratios = "".join(f"{interval(found[level]):28}" for level in LEVELS)
    return f"{np.median(found['plain']) * 1e6:>9.0f} µs    {ratios}"


def interval(ratios: list[float]) -> str:
    """The median, and between what it is with 95 % by resampling."""
    resampled = np.random.default_rng(0).choice(ratios, (2000, len(ratios)))
    low, high = np.quantile(np.median(resampled, axis=1), (0.025, 0.975))
    return f"{np.median(ratios):.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main()
