"""Recurrent layers at their start, by drawing some of their own width.

The same weights act at all times, and gates multiply states: in the limit of infinite width averages converge (Yang
2019), but for LSTM and GRU no closed form is known, and for none how far a draw of one width may lie from them. So
layers are drawn as they will be, with their own initialisation; their inputs are Gaussian with the right K, and so is
the δ that comes back. Averages over all units of all draws err by 1/√units; spreads are those from draw to draw. (That
a spread of inputs moves states less than in proportion, and slopes at all, is left out.)
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from harness.health import places, spread
from harness.health.field import Field, Passed, Start, gaussian, moments
from harness.health.spread import mixed
from harness.health.weights import variance
from harness.problems.data import Floats
from harness.problems.initialise import start as drawn_weight
from harness.spec.architecture import GATES, Place, output_shape, parameters
from harness.spec.layers import GRU, LSTM, Recurrent, SimpleRNN

DRAWS, OF_WIDE = 16, 6  # layers; of those wider than 128, whose spread is small


class Layers(NamedTuple):
    """Drawn ones. Arrays of one time are (gates, draws, samples, units)."""

    kind: Recurrent
    driven: Floats  # xW + b, (time, gates, draws, samples, units)
    weights: Floats  # U, (gates, draws, units, units)


class Moment(NamedTuple):
    """One time step, kept for the way back."""

    h: Floats  # before it, (draws, samples, units)
    c: Floats
    gates: Floats  # after σ, tanh or ReLU
    more: Floats  # tanh of an LSTM's new c; what a GRU's candidate gets from the state


def recurrent(place: Place, kind: Recurrent, given: Field, start: Start) -> Passed:
    """The last state or all, and back through time."""
    n, times, units, gates = given.samples, given.places, kind.units, GATES[type(kind)]
    draws = DRAWS if units <= 128 else OF_WIDE
    found = {name.rpartition(".")[2]: p for name, p in parameters((kind,), place.inputs).items()}
    each = variance(start.weights, found["weight"].shape, found["weight"].fans)
    seen = given.features * given.kernel
    drawn = gaussian(each * seen, start.seed, gates * draws * units)().reshape(gates, draws, units, n, times)
    driven = np.moveaxis(drawn, (4, 0, 1, 3, 2), (0, 1, 2, 3, 4)).copy()
    if isinstance(kind, LSTM):
        driven[:, 1] += kind.forget_bias
    rng = np.random.default_rng(start.seed)
    cut = [np.split(drawn_weight(found["recurrent"], start.recurrent, rng), gates, axis=1) for _ in range(draws)]
    layers = Layers(kind, driven, np.swapaxes(np.array(cut), 0, 1))
    steps = list(_states(layers))
    states = np.stack([step.h for step in steps])  # before each time, and after the last
    before, after = _features(states[:-1]), _features(states[1:])
    last = places.offsets(np.array([[times - 1]]), times, n)
    given_out = after if kind.sequences else np.asarray((last[0] @ after.T).T)
    kernel, mean = moments(given_out)
    kept = [before] * gates
    if isinstance(kind, GRU) and kind.reset == "before":  # its candidate sees rh
        kept[2] = _features(np.stack([step.gates[0] * step.h for step in steps[:-1]]))

    def back(g: Floats) -> tuple[Floats, Floats]:
        """∂L/∂(xW) and ∂L/∂(hU) of drawn layers: (gates · draws · units, samples × time)."""
        above = g if kind.sequences else places.back(last, g)
        delta = gaussian(above, start.seed + 1, draws * units)().reshape(draws, units, n, times)
        of_x, of_h = _back(layers, steps, np.moveaxis(delta, (3, 0, 2, 1), (0, 1, 2, 3)))
        return _features(of_x), _features(of_h)

    def gradients(g: Floats) -> dict[str, Floats]:
        each_x, each_h = ([units * moments(gate)[0] for gate in np.split(of, gates)] for of in back(g))
        of_x, of_h = np.asarray(sum(each_x)), np.asarray(sum(each_h))
        of_u = np.asarray(sum(units * moments(h)[0] * of for h, of in zip(kept, each_h, strict=True)))
        made = {"weight": seen * of_x, "recurrent": of_u, "bias": of_x, "recurrent_bias": of_h}
        return {role: made[role] for role in found}

    made = Field(n, output_shape(kind, place.inputs), kernel, mean, exact=False, draw=lambda: given_out, why=given.why)
    there = start.shocks.new(_variance(given_out, 1, draws))
    made = replace(made, sensitivity=mixed((1.0, given.sensitivity), (1.0, there)))
    even, _ = back(np.eye(len(kernel)))
    of_states, of_weights = _variance(even, gates, draws), spread.of_weights(start.weights, given.features, units)[1]
    below = mixed((1.0, start.shocks.new(of_states)), (1.0, start.shocks.new(of_weights)))
    return Passed(made, lambda g: each * gates * units * moments(back(g)[0])[0], gradients, below)


def _states(layers: Layers) -> Iterator[Moment]:
    """Each time's, and one more with the state after the last."""
    kind, u = layers.kind, layers.weights
    h = c = np.zeros(layers.driven.shape[2:])
    for x in layers.driven:
        match kind:
            case SimpleRNN():
                z = x + h @ u
                made = np.tanh(z) if kind.activation == "tanh" else np.maximum(z, 0)
                yield Moment(h, c, made, made)
                h = made[0]
            case LSTM():
                i, f, g, o = x + h @ u
                i, f, g, o = expit(i), expit(f), np.tanh(g), expit(o)
                new = f * c + i * g
                yield Moment(h, c, np.stack([i, f, g, o]), np.tanh(new))
                h, c = o * np.tanh(new), new
            case GRU():
                r, z = expit(x[:2] + h @ u[:2])
                after = kind.reset == "after"
                more = h @ u[2] if after else (r * h) @ u[2]
                candidate = np.tanh(x[2] + (r * more if after else more))
                yield Moment(h, c, np.stack([r, z, candidate]), more)
                h = (1 - z) * candidate + z * h
    yield Moment(h, c, h, h)


def _back(layers: Layers, steps: list[Moment], delta: Floats) -> tuple[Floats, Floats]:
    """∂L/∂(xW) and ∂L/∂(hU), as ``driven``, from δ of the state after each time."""
    kind, turned = layers.kind, np.swapaxes(layers.weights, 2, 3)
    of_x, of_u = np.empty_like(layers.driven), np.empty_like(layers.driven)
    of_h = of_c = np.zeros_like(delta[0])
    for t in reversed(range(len(delta))):
        of_h = of_h + delta[t]
        h, c, gates, more = steps[t]
        match kind:
            case SimpleRNN():
                of_x[t] = of_u[t] = of_h * (1 - gates**2 if kind.activation == "tanh" else gates > 0)
                of_h = of_u[t][0] @ turned[0]
            case LSTM():
                i, f, g, o = gates
                of_c = of_c + of_h * o * (1 - more**2)
                of_x[t] = of_u[t] = [
                    of_c * g * i * (1 - i),
                    of_c * c * f * (1 - f),
                    of_c * i * (1 - g**2),
                    of_h * more * o * (1 - o),
                ]
                of_h, of_c = np.sum(of_u[t] @ turned, axis=0), of_c * f
            case GRU():
                r, z, candidate = gates
                after = kind.reset == "after"
                of_n = of_h * (1 - z) * (1 - candidate**2)
                through = (of_n * r if after else of_n) @ turned[2]
                of_r = (of_n * more if after else through * h) * r * (1 - r)
                of_x[t] = of_u[t] = [of_r, of_h * (h - candidate) * z * (1 - z), of_n]
                of_u[t, 2] = of_n * r if after else of_n
                of_h = of_h * z + (through if after else through * r) + np.sum(of_u[t, :2] @ turned[:2], axis=0)
    return of_x, of_u


def _features(states: Floats) -> Floats:
    """(time, …, samples, units) as draws of features, (… · units, samples × time)."""
    by_feature = np.moveaxis(np.moveaxis(states, 0, -1), -2, -3)  # (…, units, samples, time)
    return np.asarray(by_feature.reshape(-1, states.shape[-2] * len(states)))


def _variance(features: Floats, gates: int, draws: int) -> float:
    """Of ln ‖·‖² from drawn layer to drawn layer."""
    squares = np.sum(features**2, axis=1).reshape(gates, draws, -1).sum(axis=(0, 2))
    return float(np.var(np.log(squares), ddof=1))
