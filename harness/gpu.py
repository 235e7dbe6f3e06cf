"""The GPUs of this machine, as NVIDIA's driver tells of them, and why a framework may see none."""

import functools
import os
import subprocess
from collections.abc import Mapping

_QUERY = ("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
# What changes what a GPU computes or how fast, and is no backend's own.
_VARIABLES = ("CUDA_VISIBLE_DEVICES", "CUDA_LAUNCH_BLOCKING", "CUDA_DEVICE_MAX_CONNECTIONS", "NVIDIA_TF32_OVERRIDE")


@functools.cache
def gpus() -> tuple[str, ...]:
    """Name, driver and memory of each; none where there is no driver."""
    try:
        told = subprocess.run(_QUERY, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    if told.returncode:
        return ()
    rows = [[part.strip() for part in line.split(",")] for line in told.stdout.splitlines() if line.strip()]
    return tuple(f"{name}, driver {driver}, {memory}" for name, driver, memory in rows)


def facts() -> Mapping[str, str]:
    """What the driver and the environment's variables say; nothing of a machine without a GPU."""
    if not gpus():
        return {}
    return {"GPUs": "; ".join(gpus()), **{name: os.environ[name] for name in _VARIABLES if name in os.environ}}


def unseen(framework: str, cure: str = "") -> str:
    """Why a framework sees no GPU; ``cure`` says what its build lacks, with the line that installs it."""
    found = f"nvidia-smi tells of {'; '.join(gpus())}" if gpus() else "nvidia-smi tells of none on this machine"
    return f"device cuda: this {framework} sees no GPU ({'; '.join(filter(None, (found, cure)))})"
