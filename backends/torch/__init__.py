"""PyTorch, declared without importing it."""

from harness.backend import Declaration

BACKEND = Declaration(
    name="torch",
    title="PyTorch",
    opens="backends.torch.backend:TorchBackend",
    requires=("torch",),
    extra="torch",
    devices=("cpu", "cuda"),
    modes=("eager",),
    compiles="nothing (eager)",
    flags={"OMP_NUM_THREADS": "{threads}", "MKL_NUM_THREADS": "{threads}"},
)
