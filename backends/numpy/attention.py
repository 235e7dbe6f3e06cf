"""Multi-head self-attention by batched products, whose operands and outputs are views of one buffer each.

Scores lie as (keys, samples, heads, queries): the softmax then goes along the first axis, in long contiguous loops.
"""

import math
from functools import partial

import numpy as np

from backends.numpy.flat import Array
from backends.numpy.memory import number
from backends.numpy.tape import Own, Pair, Tape, Tapes, greatest, pair, spread, total
from harness.spec.layers import Attention


def attention(layer: Attention, x: Pair, y: Pair, own: Own, backpropagates: bool) -> Tapes:
    """softmax(QKᵀ/√k)V of each head, joined and mapped by W_o + b_o; 1/√k is in Q, of which ∂L/∂K is made too."""
    n, time, _ = x.value.shape
    like, inner = x.value, own["query"].value.shape[1]
    maps = {role: pair((n, time, inner), like) for role in ("query", "key", "value")}
    q, k, v = (Pair(*(_heads(a, layer.heads) for a in mapped)) for mapped in maps.values())
    joined, shares = pair((n, time, inner), like), pair((time, n, layer.heads, time), like)
    mixed = Pair(*(_heads(a, layer.heads) for a in joined))
    by_query = Pair(*(a.transpose(1, 2, 3, 0) for a in shares))
    scale = number(1 / math.sqrt(inner // layer.heads), like)

    forward: Tape = []
    for role, mapped in maps.items():
        forward += _mapped(x, mapped, own, role)
    forward += [
        partial(np.multiply, maps["query"].value, scale, maps["query"].value),
        partial(np.matmul, q.value, k.value.swapaxes(2, 3), by_query.value),
    ]
    if layer.causal:
        ahead = np.where(np.tri(time, dtype=bool).T, 0, -np.inf).astype(like.dtype)[:, None, None]
        forward.append(partial(np.add, shares.value, np.asarray(ahead, like=like), shares.value))
    forward += [
        *_softmax(shares.value),
        partial(np.matmul, by_query.value, v.value, mixed.value),
        *_mapped(joined, y, own, "output"),
    ]

    backward: Tape = [
        *_of_map(joined, y, own, "output"),
        partial(np.dot, y.rows().d, own["output"].value.T, joined.rows().d),
        partial(np.matmul, shares.value.transpose(1, 2, 0, 3), mixed.d, v.d),
        partial(np.matmul, mixed.d, v.value.swapaxes(2, 3), by_query.d),
        *_softmax_backward(shares),
        partial(np.matmul, by_query.d, k.value, q.d),
        partial(np.multiply, maps["query"].d, scale, maps["query"].d),
        partial(np.matmul, shares.d.transpose(1, 2, 0, 3), q.value, k.d),
    ]
    for role, mapped in maps.items():
        backward += _of_map(x, mapped, own, role)
    if backpropagates:
        back, of_x = np.empty_like(x.rows().d), x.rows().d
        backward.append(partial(np.dot, maps["query"].rows().d, own["query"].value.T, of_x))
        for role in ("key", "value"):
            backward.append(partial(np.dot, maps[role].rows().d, own[role].value.T, back))
            backward.append(partial(np.add, of_x, back, of_x))
    return Tapes(forward, backward)


def _heads(a: Array, heads: int) -> Array:
    """(samples, time, heads · size) → (samples, heads, time, size), a view."""
    return a.reshape(*a.shape[:2], heads, -1).swapaxes(1, 2)


def _mapped(x: Pair, y: Pair, own: Own, role: str) -> Tape:
    """y = xW + b."""
    bias, spreading = spread(own[f"{role}_bias"].value, y.value)
    product = partial(np.dot, x.rows().value, own[role].value, y.rows().value)
    return [product, *spreading, partial(np.add, y.value, bias, y.value)]


def _of_map(x: Pair, y: Pair, own: Own, role: str) -> Tape:
    """∂L/∂W = xᵀδ and ∂L/∂b = Σδ."""
    return [
        partial(np.dot, x.rows().value.T, y.rows().d, own[role].d),
        *total(y.rows().d, own[f"{role}_bias"].d),
    ]


def _softmax(s: Array) -> Tape:
    """In place along the first axis, shifted by the maximum so that no exponential overflows."""
    level = np.empty_like(s[0])
    return [
        greatest(s, 0, level),
        partial(np.subtract, s, level, s),
        partial(np.exp, s, s),
        partial(np.add.reduce, s, 0, None, level),
        partial(np.divide, s, level, s),
    ]


def _softmax_backward(s: Pair) -> Tape:
    """From δ = ∂L/∂s, in its place: s(δ − Σδs)."""
    product, level = np.empty_like(s.d), np.empty_like(s.d[0])
    return [
        partial(np.multiply, s.d, s.value, product),
        partial(np.add.reduce, product, 0, None, level),
        partial(np.subtract, s.d, level, s.d),
        partial(np.multiply, s.d, s.value, s.d),
    ]
