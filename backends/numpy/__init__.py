"""NumPy, declared without importing it."""

from harness.backend import Declaration

BACKEND = Declaration(
    name="numpy",
    title="NumPy",
    opens="backends.numpy.backend:NumpyBackend",
    requires=("numpy",),
    modes=("eager",),
    flags={"OPENBLAS_NUM_THREADS": "{threads}", "OMP_NUM_THREADS": "{threads}"},
)
