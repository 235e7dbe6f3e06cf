"""What recurrent layers have in common: buffers over time, and what is made for all times at once.

Everything lies as (time, gates · units, samples): what a gate does at a time is one contiguous block, and elementwise
calls, of which there are most, are as fast as they can be. The inputs' part is made for all times before the loop, the
gradients of the parameters and inputs for all times after it.
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from backends.numpy.flat import Array
from backends.numpy.tape import Own, Pair, Tape
from harness.spec.layers import Recurrent


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


def through(layer: Recurrent, x: Pair, y: Pair, weight: Array, bias: Array) -> Through:
    """Buffers, and z = xW + b for all times."""
    samples, time, _ = x.value.shape
    dtype, units, like = x.value.dtype, layer.units, x.value
    z = np.empty((time, len(bias), samples), dtype, like=like)
    h = np.zeros((time + 1, units, samples), dtype, like=like)
    of_h, biases = np.empty((time, units, samples), dtype, like=like), np.empty_like(z[0])
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


def scaled(own: Own, scales: Array, *roles: str) -> tuple[list[Array], Tape]:
    """Copies of parameters, each column times its scale, and the tape that makes them."""
    copies = [np.empty_like(own[role].value) for role in roles]
    return copies, [
        partial(np.multiply, own[role].value, scales, copy) for role, copy in zip(roles, copies, strict=True)
    ]


def turned(array: Array) -> tuple[Array, Tape]:
    """(time, rows, samples) copied as (rows, time · samples), so that one product sums over times and samples."""
    time, rows, samples = array.shape
    turned = np.empty((rows, time, samples), array.dtype, like=array)
    return turned.reshape(rows, -1), [partial(np.copyto, turned, array.swapaxes(0, 1))]


def of_inputs(x: Pair, delta: Array, across: Array, own: Own, backpropagates: bool) -> Tape:
    """∂L/∂W = xᵀδ, ∂L/∂b = Σδ and ∂L/∂x = δWᵀ; ``across`` is δ turned."""
    samples, time, features = x.value.shape
    inputs = np.empty((time, samples, features), x.value.dtype, like=x.value)
    tape: Tape = [
        partial(np.copyto, inputs, x.value.swapaxes(0, 1)),
        partial(np.dot, inputs.reshape(-1, features).T, across.T, own["weight"].d),
        partial(np.dot, across, np.ones_like(across, shape=across.shape[1]), own["bias"].d),
    ]
    if backpropagates:
        tape.append(partial(np.matmul, own["weight"].value, delta, x.d.transpose(1, 2, 0)))
    return tape
