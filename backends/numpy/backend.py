"""NumPy opened in this process."""

from collections.abc import Iterator, Mapping

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from backends.numpy.trainer import NumpyTrainer
from backends.reference import clock
from backends.reference.backend import blas
from harness.backend import Origin, Parameters, Plan, Work
from harness.problems.task import Task
from harness.spec.activations import Gelu
from harness.spec.cell import Cell
from harness.spec.layers import Dropout, Layer, Residual
from harness.spec.problem import Network


class NumpyBackend:
    """NumPy by hand: in place, on buffers allocated once."""

    def __init__(self, threads: int) -> None:
        threadpool_limits(threads, user_api="blas")

    def versions(self) -> Mapping[str, str]:
        return {"numpy": np.__version__}

    def facts(self) -> Mapping[str, str]:
        return blas()

    def work(self, device: str, size: int) -> Work:
        return clock.work(size)

    def plan(self, cell: Cell, parameters: tuple[str, ...]) -> Plan:
        pieces = ("loss", "optimizer", "clip", "penalty", "decay", "schedule")
        return {"model": _of_model(cell), **dict.fromkeys(pieces, Origin("native", "NumPy"))}

    def peak_bytes(self, device: str) -> int | None:
        return None

    def trainer(self, cell: Cell, task: Task, start: Parameters, steps: int, observe: bool) -> NumpyTrainer:
        return NumpyTrainer(cell, task, start, steps, observe)


def _of_model(cell: Cell) -> Origin:
    layers = list(_all(cell.problem.model)) if isinstance(cell.problem, Network) else []
    by = "NumPy, scipy.special.ndtr" if Gelu("exact") in layers else "NumPy"
    drops = cell.implementation == "shipped" and any(isinstance(layer, Dropout) for layer in layers)
    return Origin("native", by, "dropout's masks are from NumPy's own generator" if drops else "")


def _all(model: tuple[Layer, ...]) -> Iterator[Layer]:
    """The layers of a model, and those inside them."""
    for layer in model:
        yield layer
        if isinstance(layer, Residual):
            yield from _all(layer.layers)
