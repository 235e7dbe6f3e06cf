"""NumPy opened in this process."""

import functools
import importlib.util
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from backends.numpy.trainer import NumpyTrainer
from backends.reference import clock
from backends.reference.backend import blas
from harness import gpu, registry
from harness.backend import Origin, Parameters, Plan, Work
from harness.errors import Unsupported
from harness.problems.task import Task
from harness.spec.activations import Gelu
from harness.spec.cell import Cell
from harness.spec.layers import Dropout, Layer, Residual
from harness.spec.problem import Network

if TYPE_CHECKING:
    from backends.numpy.cuda import Peak


class NumpyBackend:
    """NumPy by hand: in place, on buffers allocated once. On a GPU the same calls, which NumPy hands on to CuPy."""

    def __init__(self, threads: int) -> None:
        threadpool_limits(threads, user_api="blas")
        self.peak: Peak | None = None

    def versions(self) -> Mapping[str, str]:
        return {"numpy": np.__version__}

    def facts(self) -> Mapping[str, str]:
        if _lacking() is not None:
            return {**blas(), "GPU": "none"}
        from backends.numpy import cuda

        return {**blas(), **cuda.facts()}

    def work(self, device: str, size: int) -> Work:
        if device == "cpu":
            return clock.work(size)
        _refuse_without_gpu()
        from backends.numpy import cuda

        return cuda.work(size)

    def plan(self, cell: Cell, parameters: tuple[str, ...]) -> Plan:
        if cell.device != "cpu":
            _refuse_without_gpu()
        by = "NumPy" if cell.device == "cpu" else "CuPy"
        pieces = ("loss", "optimizer", "clip", "penalty", "decay", "schedule")
        return {"model": _of_model(cell, by), **dict.fromkeys(pieces, Origin("native", by))}

    def peak_bytes(self, device: str) -> int | None:
        """CuPy counts when it is told to, which slows it: between this being asked once and again."""
        if device == "cpu":
            return None
        from backends.numpy.cuda import Peak

        if self.peak is None:
            self.peak = Peak()
            self.peak.__enter__()
            return self.peak.most
        self.peak.__exit__()
        most, self.peak = self.peak.most, None
        return most

    def trainer(self, cell: Cell, task: Task, start: Parameters, steps: int, observe: bool) -> NumpyTrainer:
        return NumpyTrainer(cell, task, start, steps, observe)


def _refuse_without_gpu() -> None:
    why = _lacking()
    if why is not None:
        raise Unsupported(why)


@functools.cache
def _lacking() -> str | None:
    """Why there is no GPU for NumPy's calls, with what would help."""
    if importlib.util.find_spec("cupy") is None:
        return gpu.unseen("NumPy", registry.missing(registry.find("numpy"), "cuda") or "CuPy cannot be imported")
    from backends.numpy import cuda

    return cuda.lacking()


def _of_model(cell: Cell, by: str) -> Origin:
    layers = list(_all(cell.problem.model)) if isinstance(cell.problem, Network) else []
    normal = "scipy.special.ndtr" if by == "NumPy" else "cupyx.scipy.special.ndtr"
    drops = cell.implementation == "shipped" and any(isinstance(layer, Dropout) for layer in layers)
    return Origin(
        "native",
        f"{by}, {normal}" if Gelu("exact") in layers else by,
        f"dropout's masks are from {by}'s own generator" if drops else "",
    )


def _all(model: tuple[Layer, ...]) -> Iterator[Layer]:
    """The layers of a model, and those inside them."""
    for layer in model:
        yield layer
        if isinstance(layer, Residual):
            yield from _all(layer.layers)
