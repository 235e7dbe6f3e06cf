"""JAX, declared without importing it."""

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
)
