"""Layers that are linear in their inputs: dense, convolution, flattening, look-ups, means over places."""

import functools
import math
from dataclasses import replace

import numpy as np

from harness.health import places, spread
from harness.health.field import Draw, Field, Passed, Start, gaussian, of_data, together, unknown
from harness.health.spread import mixed
from harness.health.weights import variance
from harness.problems.data import Floats
from harness.spec.architecture import Place, output_shape, parameters
from harness.spec.layers import AveragePool, Conv2D, Dense, Embedding, Flatten, Reshape


def weighted(place: Place, kind: Dense | Conv2D, given: Field, start: Start) -> Passed:
    """y = Σ xW over a window: of weights with mean 0 and variance v, whatever their distribution and the width,

        K' = v·fan_in·K    G below = v·units·G    E‖∂L/∂W‖² = Σ fan_in·K · units·G

    over the inputs that a window sees (He et al. 2015). Exact, borders too, for a δ that does not depend on W.
    """
    shape = output_shape(kind, place.inputs)
    seen = np.arange(given.places)[None] if isinstance(kind, Dense) else places.windows(place.inputs, kind)
    maps = places.offsets(seen, given.places, given.samples)
    found = parameters((kind,), place.inputs)
    weight = next(iter(found.values()))
    units, each = shape[-1], variance(start.weights, weight.shape, weight.fans)
    summed = given.features * places.forward(maps, given.kernel)
    there, back = spread.of_weights(start.weights, given.features * len(seen), units)
    kernel = each * summed

    def gradients(g: Floats) -> dict[str, Floats]:
        return {"weight": units * summed * g} | ({"bias": units * g} if kind.bias else {})

    after = Field(
        given.samples,
        shape,
        kernel,
        np.zeros(len(kernel)),
        gaussian=True,
        symmetric=True,
        exact=given.exact,
        sensitivity=mixed((1.0, given.sensitivity), (1.0, start.shocks.new(there))),
        draw=gaussian(kernel, start.seed),
        why=given.why,
    )
    return Passed(after, lambda g: each * units * places.back(maps, g), gradients, start.shocks.new(back), exact=True)


def reshaped(place: Place, kind: Flatten | Reshape, given: Field) -> Passed:
    """The same numbers: exact. Places become features, or, of the data itself, features places."""
    shape = output_shape(kind, place.inputs)
    sites = math.prod(shape[:-1])
    apart = places.offsets(np.arange(max(sites, given.places))[:, None], max(sites, given.places), given.samples)
    if given.values is not None:
        after = of_data(given.values.reshape(given.samples, *shape))
    elif sites == given.places:
        after = replace(given, shape=shape)
    elif sites == 1:
        kernel = places.forward(apart, given.kernel) / given.places
        mean = given.mean.reshape(given.samples, -1).mean(axis=1)
        draw = None if given.draw is None else _joined(given.draw, given.samples)
        after = replace(given, shape=shape, kernel=kernel, mean=mean, gaussian=False, draw=draw)
    else:
        return unknown(given, shape, sites, f"{place.name}: features become places")
    if sites == given.places:
        return Passed(after, lambda g: g, exact=True)
    if sites == 1:
        return Passed(after, lambda g: places.back(apart, g), exact=True)
    if given.places == 1:
        return Passed(after, lambda g: places.forward(apart, g) / sites, exact=True)
    return Passed(after, lambda g: np.full_like(given.kernel, np.nan), why=f"{place.name}: places are cut anew")


def _joined(draw: Draw, samples: int) -> Draw:
    """Features at each place as so many features."""
    return functools.cache(lambda: np.moveaxis(draw().reshape(len(draw()), samples, -1), 2, 1).reshape(-1, samples))


def embedded(place: Place, kind: Embedding, given: Field, start: Start) -> Passed:
    """A row of W for each token: that of two is the same, or independent. Whole numbers have no gradient."""
    shape = output_shape(kind, place.inputs)
    if given.values is None:
        why = f"{place.name}: whole numbers are looked up, and these are not the data's"
        return unknown(given, shape, math.prod(shape[:-1]), why)
    tokens = given.values.reshape(-1)
    same, each = _same(tokens), _row(place, start)
    draw, size = gaussian(each * same, start.seed), len(given.kernel)
    shock = start.shocks.new(2 / kind.units)
    zeros = np.zeros(len(tokens))
    after = Field(given.samples, shape, each * same, zeros, gaussian=True, symmetric=True, sensitivity=shock, draw=draw)
    return Passed(after, lambda _: np.zeros((size, size)), lambda g: {"weight": kind.units * same * g}, exact=True)


def placed(place: Place, given: Field, start: Start) -> Passed:
    """x plus a row of W for each place: that of two samples is the same."""
    same, each = _same(np.tile(np.arange(given.places), given.samples)), _row(place, start)
    rows, shock = gaussian(each * same, start.seed), start.shocks.new(2 / given.features)
    share = float(np.float64(each) / (each + given.square))
    after = replace(
        given,
        kernel=given.kernel + each * same,
        sensitivity=mixed((1 - share, given.sensitivity), (share, shock)),
        draw=together(given.draw, rows),
        values=None,
    )
    return Passed(after, lambda g: g, lambda g: {"weight": given.features * same * g}, exact=True)


def _same(index: Floats) -> Floats:
    return np.asarray(np.equal.outer(index, index), dtype=np.float64)


def _row(place: Place, start: Start) -> float:
    """The variance of one weight of a row."""
    weight = next(iter(parameters((place.layer,), place.inputs).values()))
    return variance(start.weights, weight.shape, weight.fans)


def averaged(place: Place, given: Field, start: Start) -> Passed:
    """A mean over places: linear, and the more it averages the more independent the places are."""
    kind, shape = place.layer, output_shape(place.layer, place.inputs)
    seen, counts = np.arange(given.places)[:, None], True
    if isinstance(kind, AveragePool):
        seen, counts = places.windows(place.inputs, kind), kind.counts_padding
    maps = places.means(seen, given.places, given.samples, counts)
    kernel, draw = places.forward(maps, given.kernel), given.draw
    drawn = None if draw is None else functools.cache(lambda: (maps[0] @ draw().T).T)
    after = replace(
        given,
        shape=shape,
        kernel=kernel,
        mean=maps[0] @ given.mean,
        exact=False,
        draw=gaussian(kernel, start.seed) if given.gaussian else drawn,
        values=None,
    )
    return Passed(after, lambda g: places.back(maps, g))
