"""The GPUs of this machine, as NVIDIA's driver tells of them, and why a framework may see none."""

import functools
import os
import subprocess
from collections.abc import Mapping
from importlib import metadata

_QUERY = ("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
# What changes what a GPU computes or how fast, and is no backend's own.
_VARIABLES = ("CUDA_VISIBLE_DEVICES", "CUDA_LAUNCH_BLOCKING", "CUDA_DEVICE_MAX_CONNECTIONS", "NVIDIA_TF32_OVERRIDE")
_LIBRARIES = ("nvidia-", "jax-cuda", "triton")  # how distributions begin that bring what computes


@functools.cache
def gpus() -> tuple[str, ...]:
    """Name, driver and memory of each; none where there is no driver."""
    try:
        told = subprocess.run(_QUERY, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return parsed(told.stdout) if told.returncode == 0 else ()


def parsed(told: str) -> tuple[str, ...]:
    """The lines of ``nvidia-smi``: a GPU each."""
    rows = [[part.strip() for part in line.split(",")] for line in told.splitlines() if line.strip()]
    return tuple(f"{name}, driver {driver}, {memory}" for name, driver, memory in rows)


def libraries() -> dict[str, str]:
    """The installed distributions of CUDA's libraries and of compilers for GPUs; none where there is no GPU."""
    return installed(*_LIBRARIES) if gpus() else {}


@functools.cache
def installed(*beginnings: str) -> dict[str, str]:
    """Distribution → version of those whose names begin so."""
    found = {str(one.name).lower(): one.version for one in metadata.distributions()}
    return {name: found[name] for name in sorted(found) if name.startswith(beginnings)}


def facts() -> Mapping[str, str]:
    """What the driver and the environment's variables say; nothing of a machine without a GPU."""
    if not gpus():
        return {}
    set_here = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    return {"GPUs": "; ".join(gpus()), **libraries(), **set_here}


def unseen(framework: str, cure: str = "") -> str:
    """Why a framework sees no GPU; ``cure`` says what its build lacks, with the line that installs it."""
    found = f"nvidia-smi tells of {'; '.join(gpus())}" if gpus() else "nvidia-smi tells of none on this machine"
    return f"device cuda: this {framework} sees no GPU ({'; '.join(filter(None, (found, cure)))})"
