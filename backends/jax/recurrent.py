"""Simple RNN, LSTM and GRU: a scan over time."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from harness.backend import Origin
from harness.spec.layers import GRU, LSTM, Recurrent, SimpleRNN

Own = Mapping[str, Array]
State = tuple[Array, ...]  # (h,), of an LSTM (h, c), each (samples, units)
Step = Callable[[State, Array], State]  # from the inputs' share xW + b of z


def origin() -> Origin:
    """Where recurrent layers come from."""
    return Origin("composed", "jax.lax.scan", "jax has no recurrent layer but cuDNN's LSTM, for GPUs alone")


def recur(layer: Recurrent, theta: Own, x: Array, exact: bool) -> Array:
    """The last h, or all of them, of inputs (samples, time, features); xW + b is one product for all times."""
    z = jnp.matmul(x, theta["weight"], precision="highest" if exact else None) + theta["bias"]
    step = _step(layer, theta, "highest" if exact else None)
    zero = jnp.zeros((len(x), layer.units), z.dtype)

    def turn(state: State, z: Array) -> tuple[State, Any]:
        state = step(state, z)
        return state, state[0] if layer.sequences else None

    start: State = (zero, zero) if isinstance(layer, LSTM) else (zero,)
    last, all_h = lax.scan(turn, start, jnp.swapaxes(z, 0, 1))
    return jnp.swapaxes(all_h, 0, 1) if layer.sequences else last[0]


def _step(layer: Recurrent, theta: Own, precision: Any) -> Step:
    """The state after one time step."""
    u = theta["recurrent"]

    def times(h: Array, u: Array) -> Array:
        return jnp.matmul(h, u, precision=precision)

    def simple_tanh(state: State, z: Array) -> State:
        return (jnp.tanh(z + times(state[0], u)),)

    def simple_relu(state: State, z: Array) -> State:
        return (jax.nn.relu(z + times(state[0], u)),)

    def lstm(state: State, z: Array) -> State:
        h, c = state
        i, f, g, o = jnp.split(z + times(h, u), 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(c), c

    def gru_after(state: State, x: Array) -> State:
        (h,) = state
        (xr, xz, xn), (hr, hz, hn) = (jnp.split(s, 3, axis=1) for s in (x, times(h, u) + theta["recurrent_bias"]))
        z = jax.nn.sigmoid(xz + hz)
        n = jnp.tanh(xn + jax.nn.sigmoid(xr + hr) * hn)
        return ((1 - z) * n + z * h,)

    def gru_before(state: State, x: Array) -> State:
        (h,) = state
        of_gates, of_n = jnp.split(u, (2 * layer.units,), axis=1)
        gates, xn = jnp.split(x, (2 * layer.units,), axis=1)
        r, z = jnp.split(jax.nn.sigmoid(gates + times(h, of_gates)), 2, axis=1)
        n = jnp.tanh(xn + times(r * h, of_n))
        return ((1 - z) * n + z * h,)

    match layer:
        case SimpleRNN(activation=phi):
            return simple_tanh if phi == "tanh" else simple_relu
        case LSTM():
            return lstm
        case GRU(reset="after"):
            return gru_after
        case GRU():
            return gru_before
