"""The pairs of a part: the twin from two seeds, and the run with its fault from the first of them."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from msgspec.structs import replace

from harness.spec.cell import Cell
from harness.spec.fault import Fault
from harness.spec.job import Health, Level
from suites.labelled.healthy import Draw, Family, Healthy, drawn
from suites.labelled.planted import Label, plantable, planted

Part = Literal["tuning", "unseen"]
SEEDS = {"tuning": 1, "unseen": 2}
DRAWN = {"tuning": 150, "unseen": 210}  # pairs, of which about two thirds count
EVEN: tuple[tuple[Family, int], ...] = (
    *(("mlp", depth) for depth in (2, 2, 4, 4, 6, 8, 12, 20, 32)),
    *(("cnn", depth) for depth in (2, 4, 4)),
)  # type: ignore[assignment]
OTHERS: tuple[tuple[Family, int], ...] = (
    *(("mlp", depth) for depth in (3, 3, 5, 7, 9, 13, 33, 63)),
    *(("cnn", depth) for depth in (3, 3, 5)),
    *(("rnn", depth) for depth in (1, 1, 2)),
    *(("lstm", depth) for depth in (1, 2)),
    *(("gru", depth) for depth in (1, 2)),
    *(("transformer", depth) for depth in (1, 2)),
)  # type: ignore[assignment]
TWINS = 2  # seeds of a twin


class Pair(NamedTuple):
    """A healthy run, its repetitions from other seeds, and the same with a fault."""

    healthy: Healthy
    twins: tuple[Cell, ...]
    faulty: Cell
    faults: tuple[Fault, ...]
    label: Label
    measure: Health

    @property
    def measure_of_faulty(self) -> Health:
        """What is measured of the run with the fault."""
        return replace(self.measure, faults=self.faults)


def pairs(part: Part) -> Iterator[Pair]:
    """All pairs of a part, each from a stream of its own: another number of them changes none."""
    shapes = EVEN if part == "tuning" else OTHERS
    seen: dict[str, int] = {}
    for i in range(DRAWN[part]):
        rng = np.random.default_rng([SEEDS[part], i])
        family, depth = shapes[i % len(shapes)]
        run = drawn(rng, family, depth, seed=1000 * SEEDS[part] + i)
        kinds = plantable(run)
        kind = min(kinds, key=lambda one: (seen.get(one, 0), rng.random()))  # all kinds as often
        seen[kind] = seen.get(kind, 0) + 1
        fault = planted(rng, run, kind)
        twins = tuple(replace(run.cell, seed=run.cell.seed + 100_000 * k) for k in range(TWINS))
        yield Pair(run, twins, fault.cell, fault.faults, fault.label, observed(rng))


def observed(rng: Draw, level: Level = "standard") -> Health:
    """What is measured of a run."""
    return Health(level=level, every=int(rng.integers(2, 6)), window=int(rng.integers(3, 5)), evaluations=20)
