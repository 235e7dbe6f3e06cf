"""Targets that belong to their inputs, and the same ones dealt out at random: gradients that have nothing in common.

Samples are those of a table, drawn again and moved by a third of each column's spread, so many that a run sees each of
them about once: what is drawn once cannot be learned by heart. They lie in files, as a user's own.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from harness.problems import task as tasks
from harness.spec.cell import Cell
from harness.spec.job import Level
from harness.spec.problem import DataSet, Network
from suites.labelled.healthy import Draw, Healthy, drawn
from suites.labelled.pairs import SEEDS, Pair, Part, observed
from suites.labelled.planted import WHOLE, Label

DRAWN = 30  # pairs
TABLES = ("digits", "wine", "iris", "breast_cancer")
FROM = 10_000  # the streams, apart from those of the other pairs
MOVED = 0.3  # of the standard deviation of an input
TRAINING = 0.65  # of a file's samples, as ``DataSet`` splits them


def pairs(part: Part, level: Level, folder: Path) -> Iterator[Pair]:
    """Perceptrons of the depths that are drawn most, whose files go into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(DRAWN):
        rng = np.random.default_rng([SEEDS[part], FROM + i])
        run = _suitable(rng, (2, 4) if part == "tuning" else (3, 5), seed=1000 * SEEDS[part] + FROM + i)
        theirs, dealt = (folder / f"{i}-{name}.npz" for name in ("theirs", "dealt"))
        x, y = _samples(rng, run.cell)
        np.savez(theirs, x=x, y=y)
        np.savez(dealt, x=x, y=rng.permutation(y))
        healthy = Healthy(run.family, run.depth, _on(run.cell, theirs))
        label = Label("lost_in_noise", WHOLE, 0)
        yield Pair(healthy, (healthy.cell,), _on(run.cell, dealt), (), label, observed(rng, level))


def _suitable(rng: Draw, depths: tuple[int, ...], seed: int) -> Healthy:
    """A perceptron on one of the tables, whose batches have halves."""
    while True:
        run = drawn(rng, "mlp", int(rng.choice(depths)), seed)
        assert isinstance(run.cell.problem, Network)
        if run.cell.problem.data.name in TABLES and run.cell.budget.batch != 1:
            return run


def _samples(rng: Draw, cell: Cell) -> tuple[np.ndarray, np.ndarray]:
    """As many as the run sees, and those that are not for training."""
    x, y = tasks.make(cell.problem).parts["training"]
    steps, batch = cell.budget.steps, cell.budget.batch
    assert steps is not None and isinstance(batch, int)
    which = rng.integers(len(x), size=int(steps * batch / TRAINING))
    return (x[which] + MOVED * x.std(axis=0) * rng.normal(size=(len(which), x.shape[1]))).astype(np.float32), y[which]


def _on(cell: Cell, path: Path) -> Cell:
    return replace(cell, problem=replace(cell.problem, data=DataSet(str(path), scaling="none")))
