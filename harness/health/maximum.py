"""Max pooling of a random field, by draws: which element of a window is the largest depends on all of them."""

import functools

import numpy as np

from harness.health import places
from harness.health.field import Draw, Field, Passed, moments
from harness.health.places import Indices
from harness.problems.data import Floats
from harness.spec.layers import Shape


def pooled(given: Field, draw: Draw, seen: Indices, shape: Shape) -> Passed:
    """The largest of each window; the windows do not overlap.

    Back it is like an activation: an element gets its window's δ, times a slope that is 1 if it is the largest, else 0.
    """
    x, n = draw(), given.samples
    field = x.reshape(len(x), n, -1)
    padded = np.concatenate([field, np.full((*field.shape[:2], 1), -np.inf)], axis=2)
    stacked = padded[:, :, seen]  # (channels, samples, offsets, places after)
    y = stacked.max(axis=2).reshape(len(x), -1)
    whole = places.together(places.offsets(seen, given.places, n))

    @functools.cache
    def largest() -> Floats:
        won = np.zeros_like(field)
        winner = stacked.argmax(axis=2)
        for offset, at in enumerate(seen):
            won[:, :, at[at >= 0]] = (winner == offset)[:, :, at >= 0]
        return won.reshape(len(x), -1)

    def spread_out(g: Floats) -> Floats:
        return places.back([whole], g)

    kernel, mean = moments(y)
    after = Field(n, shape, kernel, mean, exact=False, sensitivity=given.sensitivity, draw=lambda: y)
    return Passed(after, lambda g: spread_out(g) * moments(largest())[0], slopes=largest, spread_out=spread_out)


def overlap(seen: Indices) -> bool:
    """Whether two windows see one place."""
    there = seen[seen >= 0]
    return len(np.unique(there)) < len(there)
