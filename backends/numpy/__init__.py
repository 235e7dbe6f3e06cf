"""NumPy, and CuPy for its calls on a GPU, declared without importing either."""

from harness.backend import Addition, Declaration

BACKEND = Declaration(
    name="numpy",
    title="NumPy",
    opens="backends.numpy.backend:NumpyBackend",
    requires=("numpy",),
    devices=("cpu", "cuda"),
    additions={"cuda": Addition(("cupy-cuda12x", "cupy-cuda13x", "cupy"), "cupy")},
    modes=("eager",),
    flags={
        "OPENBLAS_NUM_THREADS": "{threads}",
        "OMP_NUM_THREADS": "{threads}",
        # Of CuPy: no rounding of matrix products' factors, and no kernels that another process has compiled.
        "CUPY_TF32": "0",
        "CUPY_CACHE_IN_MEMORY": "1",
    },
)
