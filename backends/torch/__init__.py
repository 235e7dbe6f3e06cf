"""PyTorch, declared without importing it."""

from harness.backend import Declaration

BACKEND = Declaration(
    name="torch",
    title="PyTorch",
    opens="backends.torch.backend:TorchBackend",
    requires=("torch",),
    extra="torch",
    devices=("cpu", "cuda"),
    modes=("eager", "single", "foreach", "fused", "compile"),
    compiles="nothing (eager)",
    flags={
        "OMP_NUM_THREADS": "{threads}",
        "OPENBLAS_NUM_THREADS": "1",  # NumPy's in the same process, which would wait for the framework's
        "MKL_NUM_THREADS": "{threads}",
        "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",
    },
)
