"""The reference, declared."""

from harness.backend import Declaration

BACKEND = Declaration(
    name="reference",
    title="Reference (NumPy, textbook)",
    opens="backends.reference.backend:ReferenceBackend",
    requires=("numpy",),
    modes=("eager",),
    precisions=("float64",),
    timed=False,
    flags={"OPENBLAS_NUM_THREADS": "{threads}", "OMP_NUM_THREADS": "{threads}"},
)
