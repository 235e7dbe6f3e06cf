"""CuPy: the arrays to which NumPy's calls are handed on where they are on a GPU. Nothing else here imports it.

Written against CuPy 14.2. All work goes to one stream, the current one, so what is fetched is made of all that was
begun before it.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import cupy
import numpy as np

from backends.numpy.flat import Array
from harness import gpu
from harness.backend import Work


class Cuda:
    """CuPy on the current GPU."""

    def __init__(self) -> None:
        self.like: Array = cupy.empty(0)

    def fence(self) -> None:
        cupy.cuda.get_current_stream().synchronize()

    def fetch(self, array: Array) -> Array:
        return np.asarray(cupy.asnumpy(array))

    def write(self, into: Any, values: Array) -> None:
        into.set(np.ascontiguousarray(values, into.dtype))  # rounded here: half the bytes go over, none are kept there

    def generator(self) -> Any:
        return cupy.random.Generator(cupy.random.XORWOW(0))

    def draw(self, generator: Any, into: Array) -> None:
        generator.random(into.shape, into.dtype, into)  # without a shape it draws one number for all places

    @contextmanager
    def undrawn(self, generator: Any) -> Iterator[None]:
        state = generator.bit_generator._state  # no other name leads to it
        before = state.copy()
        yield
        state[...] = before


class Peak(cupy.cuda.MemoryHook):  # type: ignore[misc]
    """Counts the bytes that arrays hold of the pool, each rounded up to 512: CuPy itself keeps no peak.

    What the pool holds back for later, the context, and the libraries' own workspaces are not in it.
    """

    name = "gradgauge"
    now: int
    most: int

    def __init__(self) -> None:
        self.now = self.most = cupy.get_default_memory_pool().used_bytes()

    def malloc_postprocess(self, *, mem_size: int, mem_ptr: int, **_: Any) -> None:
        """An array has been given memory, if there was enough."""
        if mem_ptr:
            self.now += mem_size
            self.most = max(self.most, self.now)

    def free_postprocess(self, *, mem_size: int, **_: Any) -> None:
        """An array has given it back."""
        self.now -= mem_size


def lacking() -> str | None:
    """Why CuPy cannot compute here."""
    try:
        cupy.cuda.runtime.getDeviceCount()
        cupy.cuda.get_cublas_handle()
    except cupy.cuda.runtime.CUDARuntimeError as error:  # no driver, or one too old
        return gpu.unseen("CuPy", str(error))
    except ImportError as error:  # the wheel brings no libraries of CUDA's
        return gpu.unseen("CuPy", f"{error.args[0].splitlines()[0]}: pip install 'cupy-cuda12x[ctk]'")
    return None


def facts() -> Mapping[str, str]:
    """What computes, and how exactly."""
    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.get_device_id())
    tf32 = int(os.environ.get("CUPY_TF32", "0")) > 0
    return {
        "GPU": properties["name"].decode(),
        "CuPy": str(cupy.__version__),
        "CUDA": _version(cupy.cuda.get_local_runtime_version()),
        "CUDA of the driver": _version(cupy.cuda.runtime.driverGetVersion()),
        "cuBLAS": str(cupy.cuda.cublas.getVersion(cupy.cuda.get_cublas_handle())),
        "TF32": "on (CUPY_TF32)" if tf32 else "off",
    }


def work(size: int) -> Work:
    """CuPy returns when the products are in its queue."""
    matrix = cupy.full((size, size), 1 / size, np.float32)

    def start(products: int) -> object:
        made = matrix
        for _ in range(products):
            made = made @ matrix
        return made

    return Work(start, lambda made: cupy.cuda.get_current_stream().synchronize())


def _version(number: int) -> str:
    """As CUDA numbers its versions: 12090 is 12.9."""
    return f"{number // 1000}.{number % 1000 // 10}"
