"""Matrix products, begun and waited for apart: what clocks are checked with."""

import jax
import jax.numpy as jnp

from harness.backend import Work


def work(size: int) -> Work:
    """JAX returns as soon as the products are handed to its threads, or to the GPU."""
    matrix = jnp.full((size, size), 1 / size, jnp.float32)
    product = jax.jit(jnp.matmul)

    def start(products: int) -> object:
        made = matrix
        for _ in range(products):
            made = product(made, matrix)
        return made

    return Work(start, jax.block_until_ready)
