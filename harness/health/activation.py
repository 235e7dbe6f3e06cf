"""Activations, element by element."""

import functools
from dataclasses import replace

import numpy as np

from harness.health import spread
from harness.health.elementwise import both
from harness.health.field import Field, Passed, Start, moments, unknown
from harness.health.mean_field import averages
from harness.health.pairs import through
from harness.health.spread import mixed
from harness.spec.activations import Elementwise, LeakyRelu, Linear, Relu


def activated(kind: Elementwise, given: Field, start: Start) -> Passed:
    """φ of each feature: in closed form or series of Gaussians, else by draws."""
    draw = given.draw
    drawn = None if draw is None else functools.cache(lambda: both(kind, draw())[0])
    slopes = None if draw is None else functools.cache(lambda: both(kind, draw())[1])
    if given.gaussian:
        kernel, factors = through(kind, given.kernel)
        mean = averages(kind, np.diag(given.kernel)).mean
    elif drawn is not None and slopes is not None:
        kernel, mean = moments(drawn())
        factors, _ = moments(slopes())
    else:
        return unknown(given, given.shape, given.places, "an activation of what is not known to be Gaussian")
    homogeneous = isinstance(kind, Linear | Relu | LeakyRelu)
    exact = homogeneous and given.symmetric
    of = averages(kind, np.clip(given.square, 1e-60, 1e60))
    there, back = spread.of_activation(of, given.features, start.shocks)
    after = replace(
        given,
        kernel=kernel,
        mean=mean,
        gaussian=given.gaussian and isinstance(kind, Linear),
        symmetric=given.symmetric and isinstance(kind, Linear),
        exact=given.exact and exact,
        sensitivity=mixed((float(of.response), given.sensitivity), (1.0, there)),
        draw=drawn,
        values=None,
    )
    below = mixed((float(of.slope_response), given.sensitivity), (1.0, back))
    return Passed(after, lambda g: g * factors, sensitivity=below, exact=exact, slopes=slopes)
