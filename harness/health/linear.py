"""Layers that are linear in their inputs: dense, convolution, flattening, look-ups, means over places."""

import functools
import math
from dataclasses import replace

import numpy as np

from harness.health import places, spread
from harness.health.field import Field, Passed, Start, gaussian, of_data, together, unknown
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
    if given.values is not None:
        after = of_data(given.values.reshape(given.samples, *shape))
    elif sites == given.places:
        after = replace(given, shape=shape)
    elif sites == 1:
        maps = places.offsets(np.arange(given.places)[:, None], given.places, given.samples)
        kernel = places.forward(maps, given.kernel) / given.places
        mean = given.mean.reshape(given.samples, -1).mean(axis=1)
        after = replace(given, shape=shape, kernel=kernel, mean=mean, gaussian=False, draw=None)
    else:
        return unknown(given, shape, sites, f"{place.name}: features become places")
    if sites == given.places:
        return Passed(after, lambda g: g, exact=True)
    if sites == 1:
        spread_out = places.offsets(np.arange(given.places)[:, None], given.places, given.samples)
        return Passed(after, lambda g: places.back(spread_out, g), exact=True)
    gathered = places.offsets(np.arange(sites)[:, None], sites, given.samples)
    if given.places == 1:
        return Passed(after, lambda g: places.forward(gathered, g) / sites, exact=True)
    return Passed(after, lambda g: np.full_like(given.kernel, np.nan), why=f"{place.name}: places are cut")


def looked_up(place: Place, given: Field, start: Start) -> Passed:
    """A row of W for each token, or for each place: two are the same row, or independent."""
    shape = output_shape(place.layer, place.inputs)
    units, sites = shape[-1], math.prod(shape[:-1])
    embedding = isinstance(place.layer, Embedding)
    if embedding:
        if given.values is None:
            return unknown(given, shape, sites, "whole numbers are looked up, and these are not the data's")
        index = given.values.reshape(-1)
    else:
        index = np.tile(np.arange(sites), given.samples)
    same = (index[:, None] == index).astype(float)
    weight = next(iter(parameters((place.layer,), place.inputs).values()))
    each = variance(start.weights, weight.shape, weight.fans)
    rows = gaussian(each * same, start.seed)
    shock = start.shocks.new(2 / units)
    size = len(given.kernel)

    def gradients(g: Floats) -> dict[str, Floats]:
        return {"weight": units * same * g}

    if embedding:
        zeros = np.zeros(len(index))
        after = Field(given.samples, shape, each * same, zeros, True, True, sensitivity=shock, draw=rows)
        return Passed(after, lambda _: np.zeros((size, size)), gradients, exact=True)
    share = each / (each + given.square) if each else 0.0
    after = replace(
        given,
        kernel=given.kernel + each * same,
        sensitivity=mixed((1 - share, given.sensitivity), (share, shock)),
        draw=together(given.draw, rows),
        values=None,
    )
    return Passed(after, lambda g: g, gradients, exact=True)


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
