"""JAX opened in this process: threads, devices, what it runs."""

import os
from collections.abc import Mapping

import jax
import optax
from jaxlib import version as jaxlib_version

from backends.jax import clips, clock, decays, layers, losses, optimizers, penalties, schedules
from backends.jax.trainer import JaxTrainer
from harness import gpu
from harness.backend import Origin, Parameters, Plan, Work
from harness.errors import Unsupported
from harness.problems.task import Task
from harness.spec.cell import Cell
from harness.spec.problem import Network


class JaxBackend:
    """Jitted JAX: pure functions of a dict of arrays, optax, one call a step."""

    def __init__(self, threads: int) -> None:
        # XLA reads its number of threads when the first device is asked for, and never again.
        os.environ["PJRT_NPROC"] = str(threads)
        self.devices = jax.devices()

    def versions(self) -> Mapping[str, str]:
        return {"jax": jax.__version__, "jaxlib": jaxlib_version.__version__, "optax": optax.__version__}

    def facts(self) -> Mapping[str, str]:
        return {
            "threads": os.environ["PJRT_NPROC"],  # XLA does not report the size of its pool
            "dispatch": "asynchronous" if jax.config.values["jax_cpu_enable_async_dispatch"] else "synchronous",
            "matmul precision": jax.config.values["jax_default_matmul_precision"] or "default",
            "XLA_FLAGS": os.environ.get("XLA_FLAGS", "none"),
            **(self._of_gpu() if self._cuda() else {"GPU": "none"}),
        }

    def _of_gpu(self) -> dict[str, str]:
        """What computes there; CUDA's libraries are among what ``harness.gpu`` tells."""
        return {
            "GPU": self.devices[0].device_kind,
            "CUDA": " ".join(self.devices[0].client.platform_version.split()),
            "TF32": "off in exact; in shipped as XLA takes the matmul precision",
            **{name: os.environ[name] for name in sorted(os.environ) if name.startswith("XLA_PYTHON_CLIENT_")},
        }

    def work(self, device: str, size: int) -> Work:
        self._refuse_without_gpu(device)
        with jax.default_device(jax.devices("gpu" if device == "cuda" else "cpu")[0]):
            return clock.work(size)

    def plan(self, cell: Cell, parameters: tuple[str, ...]) -> Plan:
        self._refuse_without_gpu(cell.device)
        exact, recipe, problem = cell.implementation == "exact", cell.recipe, cell.problem
        function = Origin("native", "jax.numpy")
        return {
            "model": layers.origin(problem.model, exact) if isinstance(problem, Network) else function,
            "loss": losses.origin(problem.loss, exact) if isinstance(problem, Network) else function,
            "optimizer": optimizers.origin(recipe, exact),
            "clip": clips.origin(recipe.clip, exact),
            "penalty": penalties.origin(recipe.penalty),
            "decay": decays.origin(recipe, exact),
            "schedule": schedules.origin(recipe.schedule, exact),
        }

    def peak_bytes(self, device: str) -> int | None:
        """JAX cannot start the count anew: since this process began, so it tells the most of all that ran in it."""
        if device == "cpu":
            return None
        return int(self.devices[0].memory_stats()["peak_bytes_in_use"])

    def trainer(self, cell: Cell, task: Task, start: Parameters, steps: int, observe: bool) -> JaxTrainer:
        return JaxTrainer(cell, task, start, steps, observe)

    def _refuse_without_gpu(self, device: str) -> None:
        if device == "cpu" or self._cuda():
            return
        lacks = "" if gpu.installed("jax-cuda") else "JAX's plug-in for CUDA is not installed: "
        raise Unsupported(gpu.unseen("JAX", lacks and f"{lacks}pip install 'gradgauge[jax-cuda]' -c constraints.txt"))

    def _cuda(self) -> bool:
        return bool(self.devices[0].platform == "gpu")
