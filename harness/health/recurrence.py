"""A simple RNN through time: one wide layer for each time step, all with the same weights (Yang 2019).

The covariance of two pre-activations, of samples a and b at times t and u, is made of the inputs there and of the
states one step before, and back of the gradients one step later: the weights are shared, so times stay correlated.
"""

import math
from typing import NamedTuple

import numpy as np

from harness.health import places
from harness.health.field import Field, Passed, Start
from harness.health.mean_field import averages
from harness.health.pairs import between
from harness.health.spread import Sensitivity
from harness.health.weights import variance
from harness.problems.data import Floats
from harness.spec.activations import Elementwise, Relu, Tanh
from harness.spec.architecture import Place, output_shape, parameters
from harness.spec.layers import SimpleRNN


class Unrolled(NamedTuple):
    """Over samples × times, times in order within each sample."""

    states: Floats  # E[h h'] of one unit
    slopes: Floats  # E[φ'φ'] of one unit
    before: Floats  # ``states`` one step earlier: 0 at the first time
    kernel: Floats  # of the pre-activations; below the diagonal only


def recurrent(place: Place, kind: SimpleRNN, given: Field, start: Start) -> Passed:
    """h ← φ(xW + hU + b), and back through time."""
    n, times, units = given.samples, given.places, kind.units
    weight, recurrent, _ = parameters((kind,), place.inputs).values()
    of_inputs = variance(start.weights, weight.shape, weight.fans)
    of_states = units * variance(start.recurrent, recurrent.shape, recurrent.fans)
    phi = Tanh() if kind.activation == "tanh" else Relu()
    seen = given.features * given.kernel
    unrolled = unroll(phi, of_inputs * seen, of_states, times)
    last = places.offsets(np.array([[times - 1]]), times, n)
    kernel = unrolled.states if kind.sequences else places.forward(last, unrolled.states)
    mean = averages(phi, np.diag(unrolled.kernel)).mean
    after = Field(
        n,
        output_shape(kind, place.inputs),
        kernel,
        mean if kind.sequences else last[0] @ mean,
        exact=False,
        sensitivity=_tied(start),
        why=given.why,
    )

    def of_pre(g: Floats) -> Floats:
        return back(unrolled.slopes, g if kind.sequences else places.back(last, g), of_states, times)

    def gradients(g: Floats) -> dict[str, Floats]:
        d = units * of_pre(g)
        return {"weight": seen * d, "recurrent": units * unrolled.before * d, "bias": d}

    return Passed(after, lambda g: of_inputs * units * of_pre(g), gradients, _tied(start))


def _tied(start: Start) -> Sensitivity:
    """Weights that are the same at all times fluctuate together: how far is not derived here."""
    return start.shocks.new(math.nan)


def unroll(layer: Elementwise, driven: Floats, recurrent: float, times: int) -> Unrolled:
    """From the part of K that inputs make, and units·Var(recurrent weights)."""
    m = len(driven)
    states, slopes, before, kernel = np.zeros((m, m)), np.zeros((m, m)), np.zeros((m, m)), driven.copy()
    at = np.arange(m).reshape(-1, times)
    for t in range(times):
        now, past = at[:, t], at[:, : t + 1].ravel()
        if t:
            before[np.ix_(now, at[:, 1 : t + 1].ravel())] = states[np.ix_(now - 1, at[:, :t].ravel())]
        rows = np.ix_(now, past)
        kernel[rows] += recurrent * before[rows]
        found = between(layer, kernel[rows], kernel[now, now], kernel[past, past])
        for of, whole in zip(found, (states, slopes), strict=True):
            whole[rows] = of
            whole[np.ix_(past, now)] = of.T
    before = np.where(before, before, before.T)
    return Unrolled(states, slopes, before, kernel)


def back(slopes: Floats, gradient: Floats, recurrent: float, times: int) -> Floats:
    """G of the pre-activations: of the outputs' and, from the step after, recurrent·G; times φ'φ'."""
    found = np.zeros_like(slopes)
    for _ in range(times):
        found = slopes * (gradient + recurrent * _earlier(found, times))
    return found


def _earlier(gradient: Floats, times: int) -> Floats:
    """What stands at times (t + 1, u + 1), at (t, u); behind the last time there is nothing."""
    blocks = gradient.reshape(-1, times, len(gradient) // times, times)
    moved = np.zeros_like(blocks)
    moved[:, :-1, :, :-1] = blocks[:, 1:, :, 1:]
    return moved.reshape(gradient.shape)
