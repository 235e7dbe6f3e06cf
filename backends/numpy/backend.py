"""NumPy opened in this process: threads, BLAS."""

from collections.abc import Mapping

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits  # type: ignore[import-untyped]

from backends.numpy.trainer import NumpyTrainer
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
        # SciPy brings a BLAS of its own.
        pools = [
            pool for pool in threadpool_info() if pool["user_api"] == "blas" and "scipy.libs" not in pool["filepath"]
        ]
        return {
            "threads": ", ".join(str(p["num_threads"]) for p in pools),
            "BLAS": ", ".join(f"{p['internal_api']} {p['version']} {p['architecture']}" for p in pools),
        }

    def plan(self, cell: Cell, parameters: tuple[str, ...]) -> Plan:
        pieces = ("model", "loss", "optimizer", "clip", "penalty", "decay", "schedule")
        return dict.fromkeys(pieces, Origin("native", "NumPy"))

    def trainer(self, cell: Cell, task: Task, start: Parameters, steps: int, observe: bool) -> NumpyTrainer:
        return NumpyTrainer(cell, task, start, steps, observe)
