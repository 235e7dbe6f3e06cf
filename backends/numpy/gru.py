"""The two forms of GRU: like ``recurrent``, the loop over time written out."""

from functools import partial

import numpy as np

from backends.numpy.flat import Array
from backends.numpy.memory import number
from backends.numpy.tape import Own, Pair, Tape, Tapes
from backends.numpy.through_time import of_inputs, scaled, through, turned
from harness.spec.layers import GRU


def gru_after(layer: GRU, x: Pair, y: Pair, own: Own, backpropagates: bool) -> Tapes:
    """n = tanh(z_n + r·k_n) with k = hU + b'; h ← n + z(h − n). Back: all of δ is ∂L/∂h times what all times know."""
    scales = np.repeat(np.asarray([0.5, 0.5, 1], x.value.dtype, like=x.value), layer.units)
    roles = ("weight", "recurrent", "bias", "recurrent_bias")
    (weight, matrix, bias, recurrent_bias), scaling = scaled(own, scales, *roles)
    at = through(layer, x, y, weight, bias)
    r, update, n = at.blocks(at.z).swapaxes(0, 1)
    k, spare = np.empty_like(at.z), np.empty_like(at.h[0])
    k_n, bias_k = at.blocks(k)[:, 2], np.empty_like(k[0])
    forward: Tape = [*scaling, *at.enter, partial(np.copyto, bias_k, recurrent_bias[:, None])]
    for t, now in enumerate(k):
        forward += [
            partial(np.dot, matrix.T, at.h[t], now),
            partial(np.add, now, bias_k, now),
            *_reset_and_update(at.z[t], now, layer.units),
            partial(np.multiply, r[t], k_n[t], spare),
            *_candidate(n[t], update[t], spare, at.h[t], at.h[t + 1]),
        ]

    delta, of_n, slope = np.empty_like(at.z), np.empty_like(at.h[1:]), np.empty_like(at.h[1:])
    blocks = at.blocks(delta)
    of_r, of_update, of_k = blocks.swapaxes(0, 1)
    backward: Tape = [
        *at.begin,
        *_of_candidate(n, update, of_n, slope),
        *_of_update(n, update, at.h[:-1], of_update, slope),
        *_of_sigmoid(r, slope),
        partial(np.multiply, slope, k_n, slope),
        partial(np.multiply, slope, of_n, of_r),
        partial(np.multiply, of_n, r, of_k),
    ]
    for t in reversed(range(len(delta))):
        now = blocks[t]
        backward.append(partial(np.multiply, now, at.of_h[t], now))
        if t > 0:
            before = at.of_h[t - 1]
            backward += [
                *at.tell(t, own["recurrent"].value, delta[t], spare),
                partial(np.multiply, at.of_h[t], update[t], spare),
                partial(np.add, before, spare, before),
            ]
    across, turn = turned(delta)
    states, turn_states = turned(at.h[:-1])
    backward += [
        *turn,
        *turn_states,
        partial(np.dot, states, across.T, own["recurrent"].d),
        partial(np.dot, across, np.ones_like(across, shape=across.shape[1]), own["recurrent_bias"].d),
        partial(np.multiply, of_n, at.of_h, of_k),  # from here on δ of xW + b, which differs in n
        *turn,
    ]
    return Tapes(forward + at.leave, backward + of_inputs(x, delta, across, own, backpropagates))


def gru_before(layer: GRU, x: Pair, y: Pair, own: Own, backpropagates: bool) -> Tapes:
    """n = tanh(z_n + (rh)U_n); h ← n + z(h − n). Back: rh gets s = U_nδ_n, of which r's share is h, h's is r."""
    units, recurrent = layer.units, own["recurrent"]
    scales = np.repeat(np.asarray([0.5, 0.5, 1], x.value.dtype, like=x.value), units)
    (weight, matrix, bias), scaling = scaled(own, scales, "weight", "recurrent", "bias")
    at = through(layer, x, y, weight, bias)
    r, update, n = at.blocks(at.z).swapaxes(0, 1)
    k, spare, kept = np.empty_like(at.z[0, : 2 * units]), np.empty_like(at.h[0]), np.empty_like(at.h[1:])
    forward: Tape = scaling + at.enter
    for t in range(len(at.z)):
        forward += [
            partial(np.dot, matrix[:, : 2 * units].T, at.h[t], k),
            *_reset_and_update(at.z[t], k, units),
            partial(np.multiply, r[t], at.h[t], kept[t]),
            partial(np.dot, matrix[:, 2 * units :].T, kept[t], spare),
            *_candidate(n[t], update[t], spare, at.h[t], at.h[t + 1]),
        ]

    delta, of_reset, slope = np.empty_like(at.z), np.empty_like(at.h[1:]), np.empty_like(at.h[1:])
    of_r, of_update, of_n = at.blocks(delta).swapaxes(0, 1)
    shared = np.empty_like(spare)
    backward: Tape = [
        *at.begin,
        *_of_candidate(n, update, of_n, slope),
        *_of_update(n, update, at.h[:-1], of_update, slope),
        *_of_sigmoid(r, of_reset),
        partial(np.multiply, of_reset, at.h[:-1], of_reset),
    ]
    for t in reversed(range(len(delta))):
        of_candidate, of_gate = of_n[t], of_update[t]
        backward += [
            partial(np.multiply, of_candidate, at.of_h[t], of_candidate),
            partial(np.dot, recurrent.value[:, 2 * units :], of_candidate, shared),
            partial(np.multiply, shared, of_reset[t], of_r[t]),
            partial(np.multiply, of_gate, at.of_h[t], of_gate),
        ]
        if t > 0:
            before = at.of_h[t - 1]
            backward += [
                *at.tell(t, recurrent.value[:, : 2 * units], delta[t, : 2 * units], spare),
                partial(np.multiply, shared, r[t], shared),
                partial(np.add, before, shared, before),
                partial(np.multiply, at.of_h[t], update[t], spare),
                partial(np.add, before, spare, before),
            ]
    across, turn = turned(delta)
    states, turn_states = turned(at.h[:-1])
    resets, turn_resets = turned(kept)
    backward += [
        *(*turn, *turn_states, *turn_resets),
        partial(np.matmul, states, across[: 2 * units].T, recurrent.d[:, : 2 * units]),
        partial(np.matmul, resets, across[2 * units :].T, recurrent.d[:, 2 * units :]),
    ]
    return Tapes(forward + at.leave, backward + of_inputs(x, delta, across, own, backpropagates))


def _reset_and_update(z: Array, k: Array, units: int) -> Tape:
    """r, z = σ(z + k), in place."""
    both, half = z[: 2 * units], number(0.5, z)
    return [
        partial(np.add, both, k[: 2 * units], both),
        partial(np.tanh, both, both),
        partial(np.multiply, both, half, both),
        partial(np.add, both, half, both),
    ]


def _candidate(n: Array, update: Array, recalled: Array, before: Array, h: Array) -> Tape:
    """n = tanh(n + recalled), in place; h = n + z(h − n)."""
    return [
        partial(np.add, n, recalled, n),
        partial(np.tanh, n, n),
        partial(np.subtract, before, n, h),
        partial(np.multiply, h, update, h),
        partial(np.add, h, n, h),
    ]


def _of_candidate(n: Array, update: Array, out: Array, spare: Array) -> Tape:
    """(1 − z)(1 − n²): what δ_n is of ∂L/∂h."""
    return [
        partial(np.multiply, n, n, out),
        partial(np.subtract, 1, out, out),
        partial(np.subtract, 1, update, spare),
        partial(np.multiply, out, spare, out),
    ]


def _of_update(n: Array, update: Array, before: Array, out: Array, spare: Array) -> Tape:
    """(h − n)z(1 − z): what δ_z is of ∂L/∂h."""
    return [
        *_of_sigmoid(update, out),
        partial(np.subtract, before, n, spare),
        partial(np.multiply, out, spare, out),
    ]


def _of_sigmoid(s: Array, out: Array) -> Tape:
    """s(1 − s)."""
    return [partial(np.subtract, 1, s, out), partial(np.multiply, out, s, out)]
