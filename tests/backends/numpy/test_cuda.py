"""What is used of CuPy is there; and on a GPU, memory, masks and repeated runs.

What every backend must fulfil on a GPU: ``pytest tests/backends --backend numpy --device cuda``.
"""

import functools
import inspect

import numpy as np
import pytest

from harness import registry
from harness.errors import Unsupported
from harness.measure import memory
from harness.measure.run import Builder
from harness.problems import task as tasks
from harness.spec.cell import Budget, Cell
from harness.spec.job import Memory
from harness.spec.layers import Dense, Dropout
from harness.spec.losses import CrossEntropy
from harness.spec.optimizers import Adam
from harness.spec.problem import DataSet, Network, RandomGradients
from harness.spec.recipe import Recipe
from tests import elsewhere

MISSING = registry.missing(registry.find("numpy"), "cuda")
installed = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))


@installed
def test_cupys_functions_take_what_the_stand_in_takes():
    import cupy

    for name, expected in elsewhere.SIGNATURES.items():
        found = inspect.signature(getattr(cupy, name)).parameters
        assert list(found) == list(expected.parameters), name
        assert [p.kind for p in found.values()] == [p.kind for p in expected.parameters.values()], name


@installed
def test_cupy_has_the_ufuncs_and_methods_that_are_used():
    import cupy
    import cupyx.scipy.special

    assert all(isinstance(getattr(cupy, name), cupy.ufunc) for name in elsewhere.UFUNCS)
    assert all(isinstance(getattr(cupyx.scipy.special, name), cupy.ufunc) for name in elsewhere.SPECIAL)
    assert callable(getattr(cupy, elsewhere.PRODUCT))
    assert all(callable(getattr(cupy.ndarray, name)) for name in (*elsewhere.METHODS, "set"))


@installed
def test_cupy_has_what_its_device_is_asked_for():
    import cupy

    from backends.numpy import cuda

    named = (
        *("asnumpy", "get_default_memory_pool", "random.Generator.random", "random.XORWOW", "cuda.get_cublas_handle"),
        *("cuda.get_current_stream", "cuda.get_device_id", "cuda.get_local_runtime_version"),
        *("cuda.runtime.driverGetVersion", "cuda.runtime.getDeviceProperties", "cuda.runtime.getDeviceCount"),
    )
    assert all(callable(functools.reduce(getattr, name.split("."), cupy)) for name in named)
    for name in ("malloc_postprocess", "free_postprocess"):
        assert getattr(cuda.Peak, name) is not getattr(cupy.cuda.MemoryHook, name, None) is not None


def test_without_a_gpu_the_reason_and_the_cure_are_told(backend):
    if backend.facts()["GPU"] != "none":
        pytest.skip("this machine has a GPU")
    cell = Cell(RandomGradients(), Recipe(Adam()), Budget(steps=1), "numpy", device="cuda")
    with pytest.raises(Unsupported, match="sees no GPU") as caught:
        backend.plan(cell, ())
    assert (MISSING or "CuPy") in str(caught.value)


@pytest.fixture
def gpu(backend):
    try:
        backend.work("cuda", 16)
    except Unsupported as error:
        pytest.skip(str(error))
    return backend


def test_the_peak_is_at_least_what_adam_needs(gpu):
    """w, g, the data, m, v and Δ, each of a million float32; and not ten times that."""
    cell = Cell(RandomGradients(samples=1, parameters=10**6), Recipe(Adam()), Budget(steps=20, batch=1), "numpy")
    cell = Cell(cell.problem, cell.recipe, cell.budget, "numpy", device="cuda")
    task = tasks.make(cell.problem)
    run = Builder(gpu).open(cell, task, tasks.initial(task, 0))
    table = {s.name: float(np.frombuffer(s.value)[0]) for s in memory.measure(run, Memory(), gpu).series}
    assert 6 * 4e6 <= table["device_bytes"] < 60 * 4e6
    assert table["state_bytes"] == 2 * 4e6
    assert gpu.peak is None  # no hook stays behind to slow what comes next


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_own_masks_on_the_gpu(gpu, precision):
    """0 with probability p, else 1/(1 − p), place by place; the same after a reset, and not used up by a look."""
    problem = Network(DataSet("digits"), (Dropout(0.25), Dense(8), Dropout(0.5), Dense(10)), CrossEntropy())
    cell = Cell(problem, Recipe(Adam()), Budget(steps=30, batch=40), "numpy", "shipped", "cuda", precision)
    task = tasks.make(problem)
    start, order = tasks.initial(task, 0), tasks.order(task.samples, cell.budget, 0)
    trainer = gpu.trainer(cell, task, start, 30, False)
    on = trainer.objective(40)
    seen = {name: [] for name in on.masks}
    for row in order:
        trainer.gradients(row)
        looked = {name: mask.get() for name, mask in on.masks.items()}
        trainer.train(row[None])
        for name, mask in on.masks.items():
            assert np.array_equal(looked[name], mask.get())
            seen[name].append(looked[name])
    for rate, masks in zip((0.25, 0.5), seen.values(), strict=True):
        together = np.array(masks)
        assert np.unique(together).tolist() == [0, float(np.dtype(precision).type(1 / (1 - rate)))]
        assert abs((together == 0).mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / together.size)
        assert len({mask.tobytes() for mask in masks}) == len(masks)
    trainer.reset(start)
    first = trainer.train(order).loss
    trainer.reset(start)
    assert np.array_equal(trainer.train(order).loss, first)
