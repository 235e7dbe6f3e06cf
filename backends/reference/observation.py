"""What is seen of a step's arrays, in the order of ``harness.observation``: every quantity by its definition."""

import numpy as np

from backends.reference.clips import norm
from harness.backend import Floats
from harness.observation import EDGES, Watched


def of_tensor(g: Floats, clipped: Floats, before: Floats, after: Floats, last: Floats | None) -> list[float]:
    """Of one parameter: its gradient before and after the clip, its values before and after the update.

    ``last`` is its gradient in the step observed before this one.
    """
    delta = after - before
    return [
        norm(g),
        norm(clipped),
        norm(delta),
        norm(before),
        np.abs(g).max(),
        np.abs(delta).max(),
        np.abs(before).max(),
        np.sum(g == 0),
        np.sum((after == before) & (g != 0)),
        np.sum(~np.isfinite(g)),
        np.nan if last is None else np.sum(g * last) / np.float64(norm(g) * norm(last)),
    ]


def of_output(layer: Watched, y: Floats) -> list[float]:
    """Of the outputs of one layer."""
    low, high = layer.bounds or (-np.inf, np.inf)
    return [np.mean(y), norm(y), np.sum(y == 0), np.sum((y < low) | (y > high)), np.sum(~np.isfinite(y))]


def active(layer: Watched, y: Floats) -> Floats:
    """How often each unit was not 0, where units can die."""
    if not layer.units:
        return np.zeros(0)
    return np.asarray(np.sum(y.reshape(-1, layer.units) != 0, axis=0, dtype=np.float64))


def histogram(y: Floats) -> Floats:
    """How many outputs each bin has; those that are not finite count as 0."""
    y = np.where(np.isfinite(y), y, 0.0)
    bins = zip((-np.inf, *EDGES), (*EDGES, np.inf), strict=True)
    return np.array([np.sum((low <= y) & (y < high)) for low, high in bins], dtype=np.float64)
