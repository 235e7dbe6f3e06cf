"""The reference opened in this process."""

from collections.abc import Mapping

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits  # type: ignore[import-untyped]

from backends.reference import clock
from backends.reference.trainer import ReferenceTrainer
from harness.backend import Origin, Parameters, Plan, Work
from harness.errors import Unsupported
from harness.problems.task import Task
from harness.spec.cell import Cell


class ReferenceBackend:
    """The formulas of the spec, in float64, to compare others with; its speed means nothing."""

    def __init__(self, threads: int) -> None:
        threadpool_limits(threads, user_api="blas")

    def versions(self) -> Mapping[str, str]:
        return {"numpy": np.__version__}

    def facts(self) -> Mapping[str, str]:
        return blas()

    def work(self, device: str, size: int) -> Work:
        return clock.work(size)

    def plan(self, cell: Cell, parameters: tuple[str, ...]) -> Plan:
        _refuse(cell)
        pieces = ("model", "loss", "optimizer", "clip", "penalty", "decay", "schedule")
        return dict.fromkeys(pieces, Origin("native", "NumPy"))

    def peak_bytes(self, device: str) -> int | None:
        return None

    def trainer(self, cell: Cell, task: Task, start: Parameters, steps: int, observe: bool) -> ReferenceTrainer:
        _refuse(cell)
        return ReferenceTrainer(cell, task, start, steps, observe)


def blas() -> dict[str, str]:
    """NumPy's BLAS and its threads. SciPy, where something has imported it, brings a BLAS of its own."""
    pools = [p for p in threadpool_info() if p["user_api"] == "blas" and "scipy.libs" not in p["filepath"]]
    return {
        "threads": ", ".join(str(p["num_threads"]) for p in pools),
        "BLAS": ", ".join(f"{p['internal_api']} {p['version']} {p['architecture']}" for p in pools),
    }


def _refuse(cell: Cell) -> None:
    if cell.precision != "float64":
        raise Unsupported(f"precision {cell.precision}: the reference computes in float64 only")
    if cell.device != "cpu":
        raise Unsupported(f"device {cell.device}: the reference computes on the CPU only")
