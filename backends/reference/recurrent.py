"""Simple RNN, LSTM and GRU: one step at a time, forward from h = c = 0, backward through time (Werbos 1990)."""

from collections.abc import Mapping

import numpy as np

from backends.reference.activations import sigmoid
from harness.backend import Floats
from harness.spec.layers import GRU, LSTM, Recurrent, SimpleRNN

Own = Mapping[str, Floats]
State = tuple[Floats, ...]  # (h,), of an LSTM (h, c), each (samples, units)
Back = tuple[Floats, State, dict[str, Floats]]  # ∂L/∂x of one time, ∂L/∂state before it, ∂L/∂θ from it


def forward(layer: Recurrent, theta: Own, x: Floats) -> Floats:
    """The last h, or all of them, of inputs (samples, time, features)."""
    _, *after = states(layer, theta, x)
    return np.stack([h for h, *_ in after], axis=1) if layer.sequences else after[-1][0]


def backward(layer: Recurrent, theta: Own, x: Floats, delta: Floats) -> tuple[Floats, dict[str, Floats]]:
    """∂L/∂x, and ∂L/∂θ summed over time. The state at each time feeds the outputs and the next state."""
    of_inputs, gradients = np.zeros_like(x), {role: np.zeros_like(w) for role, w in theta.items()}
    before = states(layer, theta, x)
    of_state: State = tuple(np.zeros_like(part) for part in before[0])
    for t in reversed(range(x.shape[1])):
        if layer.sequences:
            of_state = (of_state[0] + delta[:, t], *of_state[1:])
        elif t == x.shape[1] - 1:
            of_state = (delta, *of_state[1:])
        of_inputs[:, t], of_state, of_theta = step_backward(layer, theta, x[:, t], before[t], of_state)
        gradients = {role: gradients[role] + g for role, g in of_theta.items()}
    return of_inputs, gradients


def states(layer: Recurrent, theta: Own, x: Floats) -> list[State]:
    """The state before the first time step and after each."""
    zero = np.zeros((len(x), layer.units))
    found: list[State] = [(zero, zero) if isinstance(layer, LSTM) else (zero,)]
    for t in range(x.shape[1]):
        found.append(step(layer, theta, x[:, t], found[-1]))
    return found


def step(layer: Recurrent, theta: Own, x: Floats, state: State) -> State:
    """The state after one time step."""
    match layer:
        case SimpleRNN(activation="tanh"):
            return (np.tanh(linear(theta, x, state[0])),)
        case SimpleRNN():
            return (np.maximum(linear(theta, x, state[0]), 0),)
        case LSTM():
            h, c = state
            i, f, g, o = lstm_gates(theta, x, h)
            c = f * c + i * g
            return o * np.tanh(c), c
        case GRU():
            (h,) = state
            _, z, n = gru_gates(layer, theta, x, h)
            return ((1 - z) * n + z * h,)


def step_backward(layer: Recurrent, theta: Own, x: Floats, state: State, delta: State) -> Back:
    """From δ = ∂L/∂state after a step, what is before it; ``state`` is that before."""
    match layer:
        case SimpleRNN(activation="tanh"):
            h = np.tanh(linear(theta, x, state[0]))
            return linear_backward(theta, x, state[0], delta[0] * (1 - h**2))
        case SimpleRNN():
            return linear_backward(theta, x, state[0], delta[0] * (linear(theta, x, state[0]) > 0))
        case LSTM():
            return lstm_backward(theta, x, state, delta)
        case GRU(reset="after"):
            return gru_after_backward(layer, theta, x, state[0], delta[0])
        case GRU():
            return gru_before_backward(layer, theta, x, state[0], delta[0])


def linear(theta: Own, x: Floats, h: Floats) -> Floats:
    """z = xW + hU + b."""
    return x @ theta["weight"] + h @ theta["recurrent"] + theta["bias"]


def linear_backward(theta: Own, x: Floats, h: Floats, delta: Floats) -> Back:
    """From δ = ∂L/∂z: δWᵀ; δUᵀ; xᵀδ, hᵀδ and Σδ."""
    gradients = {"weight": x.T @ delta, "recurrent": h.T @ delta, "bias": delta.sum(axis=0)}
    return delta @ theta["weight"].T, (delta @ theta["recurrent"].T,), gradients


def lstm_gates(theta: Own, x: Floats, h: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """σ(i), σ(f), tanh g, σ(o)."""
    i, f, g, o = np.split(linear(theta, x, h), 4, axis=1)
    return sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)


def lstm_backward(theta: Own, x: Floats, state: State, delta: State) -> Back:
    """h' = o·tanh c', c' = fc + ig: ∂L/∂c' = δ_c + δ_h·o(1 − tanh²c'), from which each gate by its derivative."""
    (h, c), (of_h, of_c) = state, delta
    i, f, g, o = lstm_gates(theta, x, h)
    t = np.tanh(f * c + i * g)
    of_c = of_c + of_h * o * (1 - t**2)
    of_z = [of_c * g * i * (1 - i), of_c * c * f * (1 - f), of_c * i * (1 - g**2), of_h * t * o * (1 - o)]
    of_x, (of_h,), gradients = linear_backward(theta, x, h, np.concatenate(of_z, axis=1))
    return of_x, (of_h, of_c * f), gradients


def gru_gates(layer: GRU, theta: Own, x: Floats, h: Floats) -> tuple[Floats, Floats, Floats]:
    """r, z and n."""
    xr, xz, xn = np.split(x @ theta["weight"] + theta["bias"], 3, axis=1)
    hr, hz, hn = np.split(h @ theta["recurrent"] + theta.get("recurrent_bias", 0.0), 3, axis=1)
    r, z = sigmoid(xr + hr), sigmoid(xz + hz)
    reset = (r * h) @ candidate(theta) if layer.reset == "before" else r * hn
    return r, z, np.tanh(xn + reset)


def candidate(theta: Own) -> Floats:
    """The part of U that makes n."""
    return np.split(theta["recurrent"], 3, axis=1)[2]


def gru_after_backward(layer: GRU, theta: Own, x: Floats, h: Floats, delta: Floats) -> Back:
    """h' = (1 − z)n + zh, n = tanh(xn + r·hn): xW + b gets (δr, δz, δn), hU + b' gets (δr, δz, rδn)."""
    r, z, n = gru_gates(layer, theta, x, h)
    hn = np.split(h @ theta["recurrent"] + theta["recurrent_bias"], 3, axis=1)[2]
    of_n = delta * (1 - z) * (1 - n**2)
    of_r, of_z = of_n * hn * r * (1 - r), delta * (h - n) * z * (1 - z)
    of_xs = np.concatenate([of_r, of_z, of_n], axis=1)
    of_hs = np.concatenate([of_r, of_z, of_n * r], axis=1)
    gradients = {
        "weight": x.T @ of_xs,
        "recurrent": h.T @ of_hs,
        "bias": of_xs.sum(axis=0),
        "recurrent_bias": of_hs.sum(axis=0),
    }
    return of_xs @ theta["weight"].T, (of_hs @ theta["recurrent"].T + delta * z,), gradients


def gru_before_backward(layer: GRU, theta: Own, x: Floats, h: Floats, delta: Floats) -> Back:
    """h' = (1 − z)n + zh, n = tanh(xn + (rh)U_n): rh gets δnU_nᵀ, of which r has the share h, and h the share r."""
    r, z, n = gru_gates(layer, theta, x, h)
    of_n = delta * (1 - z) * (1 - n**2)
    of_reset = of_n @ candidate(theta).T
    of_r, of_z = of_reset * h * r * (1 - r), delta * (h - n) * z * (1 - z)
    of_xs = np.concatenate([of_r, of_z, of_n], axis=1)
    of_rz = np.concatenate([of_r, of_z], axis=1)
    u_rz = theta["recurrent"][:, : 2 * layer.units]
    gradients = {
        "weight": x.T @ of_xs,
        "recurrent": np.concatenate([h.T @ of_rz, (r * h).T @ of_n], axis=1),
        "bias": of_xs.sum(axis=0),
    }
    return of_xs @ theta["weight"].T, (of_rz @ u_rz.T + of_reset * r + delta * z,), gradients
