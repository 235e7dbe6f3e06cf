"""PyTorch opened in this process: threads, precision, devices."""

import os
import warnings
from collections.abc import Mapping

import torch

from backends.torch import clips, clock, decays, layers, losses, modes, optimizers, schedules
from backends.torch.trainer import TorchTrainer
from harness import gpu
from harness.backend import Origin, Parameters, Plan, Work
from harness.errors import Unsupported
from harness.problems import data
from harness.problems import task as tasks
from harness.problems.task import Task
from harness.spec.cell import Cell
from harness.spec.problem import Network


class TorchBackend:
    """Eager PyTorch: ``torch.nn`` layers, ``torch.optim``, one Python loop."""

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        # What torch does of even kernels that keep an image's size, it does right, if by way of a copy.
        warnings.filterwarnings("ignore", message="Using padding='same' with even kernel", category=UserWarning)

    def versions(self) -> Mapping[str, str]:
        # The wheel's local part ("+cpu") names the build, which facts() tells.
        return {"torch": str(torch.__version__).partition("+")[0]}

    def facts(self) -> Mapping[str, str]:
        return {
            "threads": str(torch.get_num_threads()),
            "build": str(torch.__version__),
            "matmul precision": torch.get_float32_matmul_precision(),
            "BLAS": "MKL" if torch.backends.mkl.is_available() else "other",  # type: ignore[no-untyped-call]
            **(_of_gpu() if cuda() else {"GPU": "none"}),
        }

    def work(self, device: str, size: int) -> Work:
        _refuse_without_gpu(device)
        return clock.work(device, size)

    def plan(self, cell: Cell, parameters: tuple[str, ...]) -> Plan:
        _refuse_without_gpu(cell.device)
        modes.check(cell)
        exact, recipe, problem = cell.implementation == "exact", cell.recipe, cell.problem
        model, loss = Origin("native", "torch.nn"), Origin("native", "torch.nn.functional")
        if isinstance(problem, Network):
            model, loss = layers.origin(problem.model, data.shape(problem.data)[1:], exact), losses.origin(problem.loss)
        steps = cell.budget.steps or tasks.total_steps(tasks.make(problem).samples, cell.budget)
        return {
            "model": model,
            "loss": loss,
            "optimizer": optimizers.origin(cell),
            "clip": clips.origin(recipe.clip, exact),
            "penalty": Origin("composed", "autograd of Σ|w|, Σw²", "torch has no penalty on a loss"),
            "decay": decays.origin(cell),
            "schedule": schedules.origin(recipe.schedule, exact, steps),
        }

    def peak_bytes(self, device: str) -> int | None:
        if device == "cpu":
            return None
        peak = torch.cuda.max_memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        return peak

    def trainer(self, cell: Cell, task: Task, start: Parameters, steps: int, observe: bool) -> TorchTrainer:
        return TorchTrainer(cell, task, start, steps, observe)


def cuda() -> bool:
    """Whether this PyTorch sees a GPU."""
    return bool(torch.cuda.is_available())


def _refuse_without_gpu(device: str) -> None:
    if device == "cpu" or cuda():
        return
    plain = str(torch.__version__).partition("+")[0]
    install = f"pip install --force-reinstall torch=={plain} --index-url https://pypi.org/simple"
    cure = "" if torch.version.cuda else f"torch {torch.__version__} is built for CPUs alone: {install}"
    raise Unsupported(gpu.unseen("PyTorch", cure))


def _of_gpu() -> dict[str, str]:
    """What computes there, and how exactly: as the last job left the flags, which is how it ran."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    return {
        "GPU": torch.cuda.get_device_name(),
        "CUDA": str(torch.version.cuda),
        "cuDNN": str(cudnn.version()),  # type: ignore[no-untyped-call]
        "TF32": f"matrix products {_on(matmul.allow_tf32)}, cuDNN {_on(cudnn.allow_tf32)}",
        "cuDNN benchmark": _on(cudnn.benchmark),
        "allocator": os.environ.get("PYTORCH_CUDA_ALLOC_CONF", "") or torch.cuda.get_allocator_backend(),
    }


def _on(flag: bool) -> str:
    return "on" if flag else "off"
