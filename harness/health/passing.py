"""One layer of a network whose weights are not yet drawn: what it does to a batch forward, and to gradients back."""

import functools
import math
from dataclasses import replace

import numpy as np

from harness.health import attending, linear, maximum, normalisation, places, recurrence
from harness.health.activation import activated
from harness.health.field import Draw, Field, Passed, Start, unknown
from harness.health.spread import mixed
from harness.problems.data import Floats
from harness.spec.activations import Softmax
from harness.spec.architecture import Place, output_shape
from harness.spec.layers import (
    GRU,
    LSTM,
    Attention,
    AveragePool,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool,
    LayerNorm,
    MaxPool,
    Position,
    Reshape,
    Residual,
    SimpleRNN,
)


def passed(place: Place, given: Field, start: Start) -> Passed:
    """A batch through one layer that is no residual."""
    match place.layer:
        case Dense() | Conv2D() as kind:
            return linear.weighted(place, kind, given, start)
        case Flatten() | Reshape() as kind:
            return linear.reshaped(place, kind, given)
        case Embedding() as kind:
            return linear.embedded(place, kind, given, start)
        case Position():
            return linear.placed(place, given, start)
        case AveragePool() | GlobalAveragePool():
            return linear.averaged(place, given, start)
        case MaxPool() as kind:
            seen = places.windows(place.inputs, kind)
            if given.draw is None or maximum.overlap(seen):
                return _without_theory(place, given)
            return maximum.pooled(given, given.draw, seen, output_shape(kind, place.inputs))
        case Dropout(rate=rate):
            return _dropped(given, rate, start)
        case BatchNorm(eps=eps) if given.draw is not None:
            return normalisation.by_batch(given, given.draw, eps)
        case LayerNorm(eps=eps):
            return normalisation.by_features(given, eps, start.seed)
        case SimpleRNN() | LSTM() | GRU() as kind if np.isfinite(given.kernel).all():
            return recurrence.recurrent(place, kind, given, start)
        case Attention() as kind if np.isfinite(given.kernel).all():
            return attending.attended(place, kind, given, start)
        case SimpleRNN() | LSTM() | GRU() | Attention() | Softmax() | BatchNorm() | Residual():
            return _without_theory(place, given)
        case kind:
            return activated(kind, given, start)


def _dropped(given: Field, rate: float, start: Start) -> Passed:
    """m/(1 − p): E m² = 1/(1 − p) of a sample with itself, 1 of two (Srivastava et al. 2014)."""
    kept = 1 + np.eye(len(given.kernel)) * rate / (1 - rate)
    kurtosis = 3 if given.gaussian else 6  # of a Gaussian; of ReLU's outputs, which stand for all others
    draw, seed = given.draw, start.seed

    def masked(draw: Draw) -> Draw:
        def drawn() -> Floats:
            x = draw()
            return x * (np.random.default_rng(seed).random(x.shape) >= rate) / (1 - rate)

        return functools.cache(drawn)

    odds = rate / (1 - rate) / given.features
    after = replace(
        given,
        kernel=given.kernel * kept,
        gaussian=False,
        sensitivity=mixed((1.0, given.sensitivity), (1.0, start.shocks.new(kurtosis * odds))),
        draw=None if draw is None else masked(draw),
        values=None,
    )
    return Passed(after, lambda g: g * kept, sensitivity=start.shocks.new(3 * odds), exact=True)


def _without_theory(place: Place, given: Field) -> Passed:
    kind = place.layer
    match kind:
        case Softmax():
            why = "its features depend on each other"
        case MaxPool() if given.draw is not None:
            why = "windows that overlap share their largest elements"
        case _:
            why = "it needs the distribution of its inputs, which is not known"
    shape = output_shape(kind, place.inputs)
    return unknown(given, shape, math.prod(shape[:-1]), f"{place.name}: {why}")
