"""TensorFlow opened in this process: threads, precision, devices."""

from collections.abc import Mapping

import keras
import tensorflow as tf
from tensorflow.python.util import _pywrap_util_port

from backends.tensorflow import clips, clock, decays, layers, losses, modes, optimizers, penalties, schedules
from backends.tensorflow.trainer import TensorFlowTrainer
from harness import gpu
from harness.backend import Parameters, Plan, Work
from harness.errors import Unsupported
from harness.problems.task import Task
from harness.spec.cell import Cell


class TensorFlowBackend:
    """Keras layers and optimizers, a step in one ``tf.function`` or op by op."""

    def __init__(self, threads: int) -> None:
        # TensorFlow refuses a change once its runtime has started, and takes the same number again.
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        if keras.backend.backend() != "tensorflow":
            raise Unsupported(f"Keras runs on {keras.backend.backend()}: start with KERAS_BACKEND=tensorflow")

    def versions(self) -> Mapping[str, str]:
        return {"tensorflow": tf.__version__, "keras": keras.__version__}

    def facts(self) -> Mapping[str, str]:
        return {
            "threads": str(tf.config.threading.get_intra_op_parallelism_threads()),
            "inter-op threads": str(tf.config.threading.get_inter_op_parallelism_threads()),
            "oneDNN": "on" if _pywrap_util_port.IsMklEnabled() else "off",
            "XLA": "in mode xla",
            "GPU": ", ".join(gpus()) or "none",
            **(_of_gpu() if gpus() else {}),
        }

    def work(self, device: str, size: int) -> Work:
        _refuse_without_gpu(device)
        return clock.work(device, size)

    def plan(self, cell: Cell, parameters: tuple[str, ...]) -> Plan:
        _refuse_without_gpu(cell.device)
        modes.check(cell)
        exact, recipe = cell.implementation == "exact", cell.recipe
        return {
            "model": layers.origin(cell.problem, exact),
            "loss": losses.origin(cell.problem, exact),
            "optimizer": optimizers.origin(recipe, exact),
            "clip": clips.origin(recipe, exact),
            "penalty": penalties.origin(recipe.penalty, exact),
            "decay": decays.origin(recipe, exact),
            "schedule": schedules.origin(recipe.schedule, exact),
        }

    def peak_bytes(self, device: str) -> int | None:
        if device == "cpu":
            return None
        peak = tf.config.experimental.get_memory_info("GPU:0")["peak"]
        tf.config.experimental.reset_memory_stats("GPU:0")
        return int(peak)

    def trainer(self, cell: Cell, task: Task, start: Parameters, steps: int, observe: bool) -> TensorFlowTrainer:
        return TensorFlowTrainer(cell, task, start, steps, observe)


def _refuse_without_gpu(device: str) -> None:
    if device == "cpu" or gpus():
        return
    lacks = "" if gpu.installed("nvidia-cudnn") else "cuDNN is not installed beside it: "
    cure = lacks and f"{lacks}pip install 'gradgauge[tensorflow-cuda]' -c constraints.txt"
    raise Unsupported(gpu.unseen("TensorFlow", cure))


def _of_gpu() -> dict[str, str]:
    """What computes there, and how exactly: as the last job left the flag, which is how it ran."""
    build = tf.sysconfig.get_build_info()
    return {
        "CUDA": f"built with {build.get('cuda_version', 'none')}",
        "cuDNN": f"built with {build.get('cudnn_version', 'none')}",
        "TF32": "on" if tf.config.experimental.tensor_float_32_execution_enabled() else "off",
    }


def gpus() -> list[str]:
    """The GPUs that this TensorFlow sees."""
    devices = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(device).get("device_name", device.name) for device in devices]
