"""NumPy opened in this process."""

from collections.abc import Mapping

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from backends.numpy.trainer import NumpyTrainer
from backends.reference.backend import blas
from harness.backend import Origin, Parameters, Plan
from harness.problems.task import Task
from harness.spec.cell import Cell


class NumpyBackend:
    """NumPy by hand: in place, on buffers allocated once."""

    def __init__(self, threads: int) -> None:
        threadpool_limits(threads, user_api="blas")

    def versions(self) -> Mapping[str, str]:
        return {"numpy": np.__version__}

    def facts(self) -> Mapping[str, str]:
        return blas()

    def plan(self, cell: Cell, parameters: tuple[str, ...]) -> Plan:
        pieces = ("model", "loss", "optimizer", "clip", "penalty", "decay", "schedule")
        return dict.fromkeys(pieces, Origin("native", "NumPy"))

    def trainer(self, cell: Cell, task: Task, start: Parameters, steps: int, observe: bool) -> NumpyTrainer:
        return NumpyTrainer(cell, task, start, steps, observe)
