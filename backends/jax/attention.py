"""Multi-head self-attention on (samples, time, features)."""

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import Array

from harness.backend import Origin
from harness.spec.layers import Attention

Own = Mapping[str, Array]


def origin(exact: bool) -> Origin:
    """Where attention comes from."""
    single = "jax.nn.dot_product_attention takes its softmax in float32"
    if exact:
        return Origin("composed", "jnp.einsum, jax.nn.softmax", single)
    return Origin("native", "jax.nn.dot_product_attention", "it takes its softmax in float32")


def attend(layer: Attention, theta: Own, x: Array, exact: bool) -> Array:
    """y = (heads of softmax(QKᵀ/√k)V, joined)·W_o + b_o."""
    precision = "highest" if exact else None

    def mapped(x: Array, role: str) -> Array:
        return jnp.matmul(x, theta[role], precision=precision) + theta[f"{role}_bias"]

    q, k, v = (mapped(x, role).reshape(*x.shape[:2], layer.heads, -1) for role in ("query", "key", "value"))
    heads = answers(q, k, v, layer.causal) if exact else jax.nn.dot_product_attention(q, k, v, is_causal=layer.causal)
    return mapped(heads.reshape(*x.shape[:2], -1), "output")


def answers(q: Array, k: Array, v: Array, causal: bool) -> Array:
    """softmax(QKᵀ/√k)V of each head, all of shape (samples, time, heads, size)."""
    scores = jnp.einsum("nthk,nshk->nhts", q, k, precision="highest") / math.sqrt(q.shape[-1])
    if causal:
        scores = jnp.where(jnp.tri(q.shape[1], dtype=bool), scores, -jnp.inf)
    return jnp.einsum("nhts,nshk->nthk", jax.nn.softmax(scores), v, precision="highest")
