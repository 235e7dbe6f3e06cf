"""Multi-head self-attention on (samples, time, features)."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from backends.reference.activations import softmax
from harness.backend import Floats
from harness.spec.layers import Attention

Own = Mapping[str, Floats]


class Inside(NamedTuple):
    """What a forward pass computes on its way: per head, (samples, heads, time, …)."""

    q: Floats
    k: Floats
    v: Floats
    shares: Floats  # softmax(QKᵀ/√k), rows sum to 1
    joined: Floats  # all heads' answers next to each other, (samples, time, heads · size)


def attend(layer: Attention, theta: Own, x: Floats) -> Floats:
    """y = (heads of softmax(QKᵀ/√k)V, joined)·W_o + b_o."""
    return inside(layer, theta, x).joined @ theta["output"] + theta["output_bias"]


def attend_backward(layer: Attention, theta: Own, x: Floats, delta: Floats) -> tuple[Floats, dict[str, Floats]]:
    """Back through W_o, the weighted sum, the softmax (see ``activations``), the scores and the three maps of x."""
    q, k, v, shares, joined = inside(layer, theta, x)
    gradients = dict(zip(("output", "output_bias"), of_map(joined, delta), strict=True))
    of_heads = split(layer, delta @ theta["output"].T)
    of_v = np.swapaxes(shares, 2, 3) @ of_heads
    of_shares = of_heads @ np.swapaxes(v, 2, 3)
    of_scores = shares * (of_shares - np.sum(of_shares * shares, axis=-1, keepdims=True)) / np.sqrt(q.shape[-1])
    of_q, of_k = of_scores @ k, np.swapaxes(of_scores, 2, 3) @ q
    of_inputs = np.zeros_like(x)
    for role, of_role in (("query", of_q), ("key", of_k), ("value", of_v)):
        back = join(of_role)
        of_inputs += back @ theta[role].T
        gradients[role], gradients[f"{role}_bias"] = of_map(x, back)
    return of_inputs, {role: gradients[role] for role in theta}


def inside(layer: Attention, theta: Own, x: Floats) -> Inside:
    """All that lies between inputs and outputs."""
    q, k, v = (split(layer, x @ theta[role] + theta[f"{role}_bias"]) for role in ("query", "key", "value"))
    scores = q @ np.swapaxes(k, 2, 3) / np.sqrt(q.shape[-1])
    if layer.causal:
        past = np.tri(x.shape[1], dtype=bool)
        scores = np.where(past, scores, -np.inf)
    shares = softmax(scores)
    return Inside(q, k, v, shares, join(shares @ v))


def split(layer: Attention, x: Floats) -> Floats:
    """(samples, time, heads · size) → (samples, heads, time, size)."""
    return np.swapaxes(x.reshape(*x.shape[:2], layer.heads, -1), 1, 2)


def join(x: Floats) -> Floats:
    """The way back."""
    x = np.swapaxes(x, 1, 2)
    return x.reshape(*x.shape[:2], -1)


def of_map(x: Floats, delta: Floats) -> tuple[Floats, Floats]:
    """∂L/∂W = Σxᵀδ and ∂L/∂b = Σδ of y = xW + b, over samples and times."""
    return np.einsum("nti,ntj->ij", x, delta), delta.sum(axis=(0, 1))
