"""What it costs to look: steps as a health measurement makes them against plain training, interleaved in one run.

``python -m suites.observation`` measures all four frameworks on a perceptron (64-512-512-10) and a convolutional
network on the digits, batch 128, Adam as shipped, float32, each in processes of its own held to one core, then to two.
In each turn the same steps are made plainly, by ``Trainer.train``, and at each level as ``measure.health`` makes them,
with the row of every observed step on the host. It is the second hundred steps of a run that are timed: the first
observation at level full looks for an eigenvector from nothing, and the others from the one before. A process's ratio
is the median of those to plain steps of the same turn. Each process is a draw of addresses, worth up to 4 % of a ratio:
printed is the median of several, with the least and the most of them.
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
from harness.errors import GradgaugeError
from harness.measure.cores import Cores
from harness.measure.curvature import Curvature
from harness.measure.health import Observing
from harness.measure.run import Builder
from harness.problems import task as tasks
from harness.problems.catalogue import case
from harness.spec.activations import Relu
from harness.spec.cell import Budget, Cell
from harness.spec.job import Health, Level
from harness.spec.layers import Dense
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import Adam
from harness.spec.problem import DataSet, Network
from harness.spec.recipe import Recipe
from suites import contenders

FRAMEWORKS = ("numpy", "torch", "tensorflow", "jax")
PERCEPTRON = Network(
    DataSet("digits", scaling="min_max"), (Dense(512), Relu(), Dense(512), Relu(), Dense(10)), CrossEntropy()
)
PROBLEMS = {"mlp": PERCEPTRON, "cnn": case("digits-cnn").problem}
OBSERVED: dict[Level, Health] = {
    "minimal": Health(level="minimal", every=1),
    "standard": Health(level="standard", every=10),
    "full": Health(level="full", every=100),
}
GOALS: dict[Level, float] = {"minimal": 1.08, "standard": 1.05, "full": 1.10}  # the most that a median ratio is to be
THREADS = (1, 2)
STEPS, TURNS, PROCESSES = 100, 10, 5
RECIPE = Recipe(Adam(lr=0.001))


def measure(backend: str, problem: str, threads: int, turns: int) -> dict[str, list[float]]:
    """Of every turn, in this process: seconds of a plain step, and of each level the ratio to it."""
    cell = Cell(PROBLEMS[problem], RECIPE, Budget(steps=2 * STEPS, batch=128), backend, "shipped", contenders.DEVICE)
    cores, task = Cores(threads), tasks.make(cell.problem)
    start = tasks.initial(task, 0)
    run = Builder(registry.find(backend).open(threads)).open(cell, task, start)
    trainer, order = run.trainer(), run.order

    def training(name: Level | None) -> Callable[[Integers], object]:
        """From the start, plainly or at a level."""
        trainer.reset(start)
        if name is None:
            return trainer.train
        curvature = Curvature(run, trainer) if name == "full" else None
        return Observing(trainer, OBSERVED[name], curvature=curvature).train

    names = (None, *OBSERVED)
    for name in names:
        training(name)(order)  # compiles
    cores.hold()  # as timed workers are
    gc.freeze()
    found: dict[str, list[float]] = {name or "plain": [] for name in names}
    for turn in range(turns):
        first = turn % len(names)
        seconds = {}
        for name in names[first:] + names[:first]:
            seconds[name] = _clock(training(name), order)
        plain = seconds.pop(None)
        found["plain"].append(plain / STEPS)
        for level, taken in seconds.items():
            found[str(level)].append(taken / plain)
    return found


def _clock(train: Callable[[Integers], object], order: Integers) -> float:
    """Seconds of the second half."""
    train(order[:STEPS])
    gc.collect()
    gc.disable()
    started = time.perf_counter()
    train(order[STEPS:])
    seconds = time.perf_counter() - started
    gc.enable()
    return seconds


def main() -> None:
    """Measure one framework on one problem here, or each in a process of its own."""
    parser = argparse.ArgumentParser(description="observed steps against plain ones")
    parser.add_argument("--turns", type=int, default=TURNS, help="of each process")
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--only", choices=FRAMEWORKS, help="one framework")
    parser.add_argument("--problem", choices=PROBLEMS, help="one problem")
    parser.add_argument("--threads", type=int, choices=THREADS, help="one number of threads")
    parser.add_argument("--here", action="store_true", help="in this process, as JSON")
    asked = parser.parse_args()
    if asked.here:
        print(json.dumps(measure(asked.only, asked.problem, asked.threads, asked.turns)))
        return
    bounds = "".join(f"{f'{level} / {what.every}: ≤ {GOALS[level]}':28}" for level, what in OBSERVED.items())
    print(f"{'':8}{'':12}{'threads':>8}{'plain':>12}    {bounds}")
    for problem in [asked.problem] if asked.problem else PROBLEMS:
        for threads in [asked.threads] if asked.threads else THREADS:
            for backend in [asked.only] if asked.only else FRAMEWORKS:
                try:
                    row = _row([apart(backend, problem, threads, asked.turns) for _ in range(asked.processes)])
                except GradgaugeError as error:
                    row = f"    {error}"
                print(f"{problem:8}{backend:12}{threads:>8}{row}", flush=True)


def apart(backend: str, problem: str, threads: int, turns: int) -> dict[str, list[float]]:
    """What ``measure`` finds in a process of its own. Raises ``GradgaugeError`` where it fails."""
    which = ["--only", backend, "--problem", problem, "--threads", str(threads), "--turns", str(turns), "--here"]
    flags = {**os.environ, **registry.find(backend).environment(threads)}
    command = [sys.executable, "-m", "suites.observation", *which]
    done = subprocess.run(command, env=flags, capture_output=True, text=True)
    if done.returncode:
        why = (done.stderr.splitlines() or [f"exit code {done.returncode}"])[-1]
        raise GradgaugeError(f"{backend}, {problem}, {threads} threads: {why}")
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _row(found: list[dict[str, list[float]]]) -> str:
    medians = {name: [float(np.median(one[name])) for one in found] for name in ("plain", *OBSERVED)}
    ratios = "".join(f"{spread(medians[level]):28}" for level in OBSERVED)
    return f"{np.median(medians['plain']) * 1e6:>9.0f} µs    {ratios}"


def spread(ratios: list[float]) -> str:
    """The median of the processes, the least and the most."""
    return f"{np.median(ratios):.3f} [{min(ratios):.3f}, {max(ratios):.3f}]"


if __name__ == "__main__":
    main()
