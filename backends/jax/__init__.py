"""JAX with optax, declared without importing either."""

from harness.backend import Declaration

BACKEND = Declaration(
    name="jax",
    title="JAX",
    opens="backends.jax.backend:JaxBackend",
    requires=("jax", "jaxlib", "optax"),
    extra="jax",
    devices=("cpu", "cuda"),
    modes=("jit",),
    compiles="the step (XLA, jit)",
    flags={
        # The size of XLA's CPU thread pool; it obeys neither OMP_NUM_THREADS nor --xla_cpu_multi_thread_eigen.
        "PJRT_NPROC": "{threads}",
        "OPENBLAS_NUM_THREADS": "1",  # NumPy's in the same process, which would wait for the framework's
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "JAX_ENABLE_COMPILATION_CACHE": "false",
    },
)
