"""Simple RNN, LSTM and GRU: the tape is the loop over time, written out, forward and backward (Werbos 1990).

A sigmoid is made of the tanh that the other gates need: σ(z) = (1 + tanh(z/2))/2, the half being in scaled copies of
the parameters.
"""

from functools import partial

import numpy as np

from backends.numpy.gru import gru_after, gru_before
from backends.numpy.memory import number
from backends.numpy.tape import Own, Pair, Tape, Tapes
from backends.numpy.through_time import of_inputs, scaled, through, turned
from harness.spec.layers import GRU, LSTM, Recurrent, SimpleRNN


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
    at = through(layer, x, y, own["weight"].value, own["bias"].value)
    delta, spare = np.empty_like(at.z), np.empty_like(at.h[0])
    zero = number(0.0, u)
    forward: Tape = list(at.enter)
    backward: Tape = list(at.begin)
    for t, (z, before, h) in enumerate(zip(at.z, at.h, at.h[1:], strict=False)):
        if t > 0:
            forward += [partial(np.dot, u.T, before, spare), partial(np.add, z, spare, z)]
        forward.append(partial(np.tanh, z, h) if layer.activation == "tanh" else partial(np.maximum, z, zero, out=h))
    if layer.activation == "tanh":
        backward += [partial(np.multiply, at.h[1:], at.h[1:], delta), partial(np.subtract, 1, delta, delta)]
    else:
        backward.append(partial(np.greater, at.h[1:], 0, delta))
    for t in reversed(range(len(delta))):
        now = delta[t]
        backward.append(partial(np.multiply, now, at.of_h[t], now))
        if t > 0:
            backward += at.tell(t, u, now, spare)
    across, turn = turned(delta)
    states, turn_states = turned(at.h[:-1])
    backward += [*turn, *turn_states, partial(np.dot, states, across.T, own["recurrent"].d)]
    return Tapes(forward + at.leave, backward + of_inputs(x, delta, across, own, backpropagates))


def lstm(layer: LSTM, x: Pair, y: Pair, own: Own, backpropagates: bool) -> Tapes:
    """c ← fc + ig; h ← o·tanh c.

    Back: ∂L/∂c = δ_h·o(1 − tanh²c) + f'·∂L/∂c' of the next, and each gate's δ is ∂L/∂c, that of o δ_h, times
    something that all times know before the loop.
    """
    scales = np.repeat(np.asarray([0.5, 0.5, 1, 0.5], x.value.dtype, like=x.value), layer.units)
    (weight, matrix, bias), scaling = scaled(own, scales, "weight", "recurrent", "bias")
    at = through(layer, x, y, weight, bias)
    time, _, samples = at.z.shape
    i, f, g, o = gates = at.blocks(at.z).swapaxes(0, 1)
    c = np.zeros_like(at.h)
    squashed, spare, product = np.empty_like(at.h[1:]), np.empty_like(at.h[0]), np.empty_like(at.z[0])
    scale, offset = (np.repeat(column[:, None], samples, 1) for column in (scales, 1 - scales))
    forward: Tape = scaling + at.enter
    for t, z in enumerate(at.z):
        if t > 0:
            forward += [partial(np.dot, matrix.T, at.h[t], product), partial(np.add, z, product, z)]
        cell = c[t + 1]
        forward += [
            partial(np.tanh, z, z),
            partial(np.multiply, z, scale, z),
            partial(np.add, z, offset, z),
            partial(np.multiply, f[t], c[t], cell),
            partial(np.multiply, i[t], g[t], spare),
            partial(np.add, cell, spare, cell),
            partial(np.tanh, cell, squashed[t]),
            partial(np.multiply, o[t], squashed[t], at.h[t + 1]),
        ]

    delta, of_squashed, of_c = np.empty_like(at.z), np.empty_like(squashed), np.empty_like(spare)
    slopes = at.blocks(delta)
    of_i, of_f, of_g, of_o = slopes.swapaxes(0, 1)
    backward: Tape = [
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
        of_gates, of_output = slopes[t, :3], of_o[t]
        backward += [
            partial(np.multiply, of_gates, of_c, of_gates),
            partial(np.multiply, of_output, at.of_h[t], of_output),
        ]
        if t > 0:
            backward += at.tell(t, own["recurrent"].value, delta[t], spare)
    across, turn = turned(delta)
    states, turn_states = turned(at.h[:-1])
    backward += [*turn, *turn_states, partial(np.dot, states, across.T, own["recurrent"].d)]
    return Tapes(forward + at.leave, backward + of_inputs(x, delta, across, own, backpropagates))
