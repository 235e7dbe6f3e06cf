"""Simple RNN, LSTM and GRU: the tape is the loop over time, written out, forward and backward (Werbos 1990).

Inside, everything lies as (time, gates · units, samples): what a gate does at a time is one contiguous block, and
elementwise calls, of which there are most, are as fast as they can be. The inputs' part is made for all times before
the loop, the gradients of the parameters and inputs for all times after it.

A sigmoid is made of the tanh that the other gates need: σ(z) = (1 + tanh(z/2))/2, the half being in scaled copies of
the parameters.
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from backends.numpy.flat import Array
from backends.numpy.tape import Own, Pair, Tape, Tapes
from harness.spec.layers import GRU, LSTM, Recurrent, SimpleRNN


class Through(NamedTuple):
    """What all kinds have in common: buffers over time, and the tapes before and after the loops."""

    z: Array  # (time, gates · units, samples) xW + b
    h: Array  # (time + 1, units, samples) states, the first 0
    of_h: Array  # (time, units, samples) ∂L/∂h of the state after each time
    enter: Tape  # makes z, before the forward loop
    leave: Tape  # makes y, after it
    begin: Tape  # makes of_h of what the outputs say, before the backward loop
    last_only: bool

    def blocks(self, array: Array) -> Array:
        """(time, gates, units, samples), a view."""
        return array.reshape(len(array), -1, *self.h.shape[1:])

    def tell(self, t: int, matrix: Array, delta: Array, spare: Array) -> Tape:
        """∂L/∂h at the time before t: Uδ, plus what the outputs said of it."""
        before = self.of_h[t - 1]
        if self.last_only:
            return [partial(np.dot, matrix, delta, before)]
        return [partial(np.dot, matrix, delta, spare), partial(np.add, before, spare, before)]


def recurrent(layer: Recurrent, x: Pair, y: Pair, own: Own, backpropagates: bool) -> Tapes:
    """The layer's tapes."""
    match layer:
        case SimpleRNN():
            return simple(layer, x, y, own, backpropagates)
        case LSTM():
            return lstm(layer, x, y, own, backpropagates)
        case GRU(reset="after"):
            return gru_after(layer, x, y, own, backpropagates)
        case GRU():
            return gru_before(layer, x, y, own, backpropagates)


def simple(layer: SimpleRNN, x: Pair, y: Pair, own: Own, backpropagates: bool) -> Tapes:
    """h ← φ(z + hU)."""
    u = own["recurrent"].value
    at = _through(layer, x, y, own["weight"].value, own["bias"].value)
    delta, spare = np.empty_like(at.z), np.empty_like(at.h[0])
    zero = np.zeros((), u.dtype)
    forward, backward = list(at.enter), list(at.begin)
    for t, (z, before, h) in enumerate(zip(at.z, at.h, at.h[1:], strict=False)):
        if t > 0:
            forward += [partial(np.dot, u.T, before, spare), partial(np.add, z, spare, z)]
        forward.append(partial(np.tanh, z, h) if layer.activation == "tanh" else partial(np.maximum, z, zero, out=h))
    if layer.activation == "tanh":
        backward += [partial(np.multiply, at.h[1:], at.h[1:], delta), partial(np.subtract, 1, delta, delta)]
    else:
        backward.append(partial(np.greater, at.h[1:], 0, delta))
    for t in reversed(range(len(delta))):
        backward.append(partial(np.multiply, delta[t], at.of_h[t], delta[t]))
        if t > 0:
            backward += at.tell(t, u, delta[t], spare)
    across, turn = _turned(delta)
    states, turn_states = _turned(at.h[:-1])
    backward += [*turn, *turn_states, partial(np.dot, states, across.T, own["recurrent"].d)]
    return Tapes(forward + at.leave, backward + _of_inputs(x, delta, across, own, backpropagates))


def lstm(layer: LSTM, x: Pair, y: Pair, own: Own, backpropagates: bool) -> Tapes:
    """c ← fc + ig; h ← o·tanh c.

    Back: ∂L/∂c = δ_h·o(1 − tanh²c) + f'·∂L/∂c' of the next, and each gate's δ is ∂L/∂c, that of o δ_h, times
    something that all times know before the loop.
    """
    scales = np.repeat(np.array([0.5, 0.5, 1, 0.5], x.value.dtype), layer.units)
    (weight, matrix, bias), scaling = _scaled(own, scales, "weight", "recurrent", "bias")
    at = _through(layer, x, y, weight, bias)
    time, _, samples = at.z.shape
    i, f, g, o = gates = at.blocks(at.z).swapaxes(0, 1)
    c = np.zeros_like(at.h)
    squashed, spare, product = np.empty_like(at.h[1:]), np.empty_like(at.h[0]), np.empty_like(at.z[0])
    scale, offset = (np.repeat(column[:, None], samples, 1) for column in (scales, 1 - scales))
    forward = scaling + at.enter
    for t, z in enumerate(at.z):
        if t > 0:
            forward += [partial(np.dot, matrix.T, at.h[t], product), partial(np.add, z, product, z)]
        forward += [
            partial(np.tanh, z, z),
            partial(np.multiply, z, scale, z),
            partial(np.add, z, offset, z),
            partial(np.multiply, f[t], c[t], c[t + 1]),
            partial(np.multiply, i[t], g[t], spare),
            partial(np.add, c[t + 1], spare, c[t + 1]),
            partial(np.tanh, c[t + 1], squashed[t]),
            partial(np.multiply, o[t], squashed[t], at.h[t + 1]),
        ]

    delta, of_squashed, of_c = np.empty_like(at.z), np.empty_like(squashed), np.empty_like(spare)
    slopes = at.blocks(delta)
    of_i, of_f, of_g, of_o = slopes.swapaxes(0, 1)
    backward = [
        *at.begin,
        partial(np.multiply, at.z, at.z, delta),  # σ' = σ − σ², tanh' = 1 − tanh²
        *(partial(np.subtract, gate, slope, slope) for gate, slope in ((i, of_i), (f, of_f), (o, of_o))),
        partial(np.subtract, 1, of_g, of_g),
        partial(np.multiply, of_i, g, of_i),
        partial(np.multiply, of_f, c[:-1], of_f),
        partial(np.multiply, of_g, i, of_g),
        partial(np.multiply, of_o, squashed, of_o),
        partial(np.multiply, squashed, squashed, of_squashed),
        partial(np.subtract, 1, of_squashed, of_squashed),
        partial(np.multiply, of_squashed, gates[3], of_squashed),
    ]
    for t in reversed(range(time)):
        if t == time - 1:
            backward.append(partial(np.multiply, at.of_h[t], of_squashed[t], of_c))
        else:
            backward += [
                partial(np.multiply, of_c, f[t + 1], of_c),
                partial(np.multiply, at.of_h[t], of_squashed[t], spare),
                partial(np.add, of_c, spare, of_c),
            ]
        backward += [
            partial(np.multiply, slopes[t, :3], of_c, slopes[t, :3]),
            partial(np.multiply, of_o[t], at.of_h[t], of_o[t]),
        ]
        if t > 0:
            backward += at.tell(t, own["recurrent"].value, delta[t], spare)
    across, turn = _turned(delta)
    states, turn_states = _turned(at.h[:-1])
    backward += [*turn, *turn_states, partial(np.dot, states, across.T, own["recurrent"].d)]
    return Tapes(forward + at.leave, backward + _of_inputs(x, delta, across, own, backpropagates))


def gru_after(layer: GRU, x: Pair, y: Pair, own: Own, backpropagates: bool) -> Tapes:
    """n = tanh(z_n + r·k_n) with k = hU + b'; h ← n + z(h − n). Back: all of δ is ∂L/∂h times what all times know."""
    scales = np.repeat(np.array([0.5, 0.5, 1], x.value.dtype), layer.units)
    roles = ("weight", "recurrent", "bias", "recurrent_bias")
    (weight, matrix, bias, recurrent_bias), scaling = _scaled(own, scales, *roles)
    at = _through(layer, x, y, weight, bias)
    r, update, n = at.blocks(at.z).swapaxes(0, 1)
    k, spare = np.empty_like(at.z), np.empty_like(at.h[0])
    k_n, bias_k = at.blocks(k)[:, 2], np.empty_like(k[0])
    forward = [*scaling, *at.enter, partial(np.copyto, bias_k, recurrent_bias[:, None])]
    for t in range(len(at.z)):
        forward += [
            partial(np.dot, matrix.T, at.h[t], k[t]),
            partial(np.add, k[t], bias_k, k[t]),
            *_reset_and_update(at.z[t], k[t], layer.units),
            partial(np.multiply, r[t], k_n[t], spare),
            *_candidate(n[t], update[t], spare, at.h[t], at.h[t + 1]),
        ]

    delta, of_n, slope = np.empty_like(at.z), np.empty_like(at.h[1:]), np.empty_like(at.h[1:])
    blocks = at.blocks(delta)
    of_r, of_update, of_k = blocks.swapaxes(0, 1)
    backward = [
        *at.begin,
        *_of_candidate(n, update, of_n, slope),
        *_of_update(n, update, at.h[:-1], of_update, slope),
        *_of_sigmoid(r, slope),
        partial(np.multiply, slope, k_n, slope),
        partial(np.multiply, slope, of_n, of_r),
        partial(np.multiply, of_n, r, of_k),
    ]
    for t in reversed(range(len(delta))):
        backward.append(partial(np.multiply, blocks[t], at.of_h[t], blocks[t]))
        if t > 0:
            before = at.of_h[t - 1]
            backward += [
                *at.tell(t, own["recurrent"].value, delta[t], spare),
                partial(np.multiply, at.of_h[t], update[t], spare),
                partial(np.add, before, spare, before),
            ]
    across, turn = _turned(delta)
    states, turn_states = _turned(at.h[:-1])
    backward += [
        *turn,
        *turn_states,
        partial(np.dot, states, across.T, own["recurrent"].d),
        partial(np.dot, across, np.ones(across.shape[1], across.dtype), own["recurrent_bias"].d),
        partial(np.multiply, of_n, at.of_h, of_k),  # from here on δ of xW + b, which differs in n
        *turn,
    ]
    return Tapes(forward + at.leave, backward + _of_inputs(x, delta, across, own, backpropagates))


def gru_before(layer: GRU, x: Pair, y: Pair, own: Own, backpropagates: bool) -> Tapes:
    """n = tanh(z_n + (rh)U_n); h ← n + z(h − n). Back: rh gets s = U_nδ_n, of which r's share is h, h's is r."""
    units, recurrent = layer.units, own["recurrent"]
    scales = np.repeat(np.array([0.5, 0.5, 1], x.value.dtype), units)
    (weight, matrix, bias), scaling = _scaled(own, scales, "weight", "recurrent", "bias")
    at = _through(layer, x, y, weight, bias)
    r, update, n = at.blocks(at.z).swapaxes(0, 1)
    k, spare, kept = np.empty_like(at.z[0, : 2 * units]), np.empty_like(at.h[0]), np.empty_like(at.h[1:])
    forward = scaling + at.enter
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
    backward = [
        *at.begin,
        *_of_candidate(n, update, of_n, slope),
        *_of_update(n, update, at.h[:-1], of_update, slope),
        *_of_sigmoid(r, of_reset),
        partial(np.multiply, of_reset, at.h[:-1], of_reset),
    ]
    for t in reversed(range(len(delta))):
        backward += [
            partial(np.multiply, of_n[t], at.of_h[t], of_n[t]),
            partial(np.dot, recurrent.value[:, 2 * units :], of_n[t], shared),
            partial(np.multiply, shared, of_reset[t], of_r[t]),
            partial(np.multiply, of_update[t], at.of_h[t], of_update[t]),
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
    across, turn = _turned(delta)
    states, turn_states = _turned(at.h[:-1])
    resets, turn_resets = _turned(kept)
    backward += [
        *(*turn, *turn_states, *turn_resets),
        partial(np.matmul, states, across[: 2 * units].T, recurrent.d[:, : 2 * units]),
        partial(np.matmul, resets, across[2 * units :].T, recurrent.d[:, 2 * units :]),
    ]
    return Tapes(forward + at.leave, backward + _of_inputs(x, delta, across, own, backpropagates))


def _through(layer: Recurrent, x: Pair, y: Pair, weight: Array, bias: Array) -> Through:
    """Buffers, and z = xW + b for all times."""
    samples, time, _ = x.value.shape
    dtype, units = x.value.dtype, layer.units
    z, h = np.empty((time, len(bias), samples), dtype), np.zeros((time + 1, units, samples), dtype)
    of_h, biases = np.empty((time, units, samples), dtype), np.empty(z.shape[1:], dtype)
    enter: Tape = [
        partial(np.matmul, weight.T, x.value.transpose(1, 2, 0), z),
        partial(np.copyto, biases, bias[:, None]),
        partial(np.add, z, biases, z),
    ]
    if layer.sequences:
        leave: Tape = [partial(np.copyto, y.value, h[1:].transpose(2, 0, 1))]
        begin: Tape = [partial(np.copyto, of_h, y.d.transpose(1, 2, 0))]
    else:
        leave = [partial(np.copyto, y.value, h[-1].T)]
        begin = [partial(np.copyto, of_h[-1], y.d.T)]
    return Through(z, h, of_h, enter, leave, begin, not layer.sequences)


def _scaled(own: Own, scales: Array, *roles: str) -> tuple[list[Array], Tape]:
    """Copies of parameters, each column times its scale, and the tape that makes them."""
    copies = [np.empty_like(own[role].value) for role in roles]
    return copies, [
        partial(np.multiply, own[role].value, scales, copy) for role, copy in zip(roles, copies, strict=True)
    ]


def _reset_and_update(z: Array, k: Array, units: int) -> Tape:
    """r, z = σ(z + k), in place."""
    both, half = z[: 2 * units], np.array(0.5, z.dtype)
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


def _turned(array: Array) -> tuple[Array, Tape]:
    """(time, rows, samples) copied as (rows, time · samples), so that one product sums over times and samples."""
    time, rows, samples = array.shape
    turned = np.empty((rows, time, samples), array.dtype)
    return turned.reshape(rows, -1), [partial(np.copyto, turned, array.swapaxes(0, 1))]


def _of_inputs(x: Pair, delta: Array, across: Array, own: Own, backpropagates: bool) -> Tape:
    """∂L/∂W = xᵀδ, ∂L/∂b = Σδ and ∂L/∂x = δWᵀ; ``across`` is δ turned."""
    samples, time, features = x.value.shape
    inputs = np.empty((time, samples, features), x.value.dtype)
    tape: Tape = [
        partial(np.copyto, inputs, x.value.swapaxes(0, 1)),
        partial(np.dot, inputs.reshape(-1, features).T, across.T, own["weight"].d),
        partial(np.dot, across, np.ones(across.shape[1], across.dtype), own["bias"].d),
    ]
    if backpropagates:
        tape.append(partial(np.matmul, own["weight"].value, delta, x.d.transpose(1, 2, 0)))
    return tape
