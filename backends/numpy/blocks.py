"""From clipped gradients to new weights, as many parameters at a time as a core's cache holds.

Each operation reads and writes whole arrays. Over all parameters at once, every one of them would go through memory;
block by block only the first to touch an array does, and scratch never leaves the cache.
"""

import math
from collections.abc import Callable

import numpy as np

from backends.numpy import decays, optimizers
from backends.numpy.flat import LINE, Array, Flat, on_host
from backends.numpy.memory import Memory
from backends.numpy.optimizers import Bound
from harness.spec.recipe import Recipe

# Of all arrays of a block: of Adam w, g, m, v and Δ, each of 32768 numbers in float32. Half of it costs a tenth more in
# calls, the double gains nothing, where a core has a cache of 1 MiB. What fits, as small networks do, is not cut.
BYTES = 5 * 128 * 1024


class Block:
    """g' = g + λw; Δ of g'; w ← w − Δ − fλw, Δ and the decay of the old w; f the schedule's factor."""

    def __init__(
        self,
        w: Array,
        couple: Callable[[], object] | None,
        optimizer: Bound,
        shrinkage: Callable[[float], Array] | None,
    ) -> None:
        self.w, self.couple, self.optimizer, self.shrinkage = w, couple, optimizer, shrinkage

    def __call__(self, eta: float, factor: float, t: int) -> None:
        """Step t = 1, 2, … at the rate η; g stays as it is."""
        if self.couple is not None:
            self.couple()
        delta = self.optimizer(eta, t)
        if self.shrinkage is None:
            np.subtract(self.w, delta, self.w)
            return
        shrinkage = self.shrinkage(factor)
        np.subtract(self.w, delta, self.w)
        np.subtract(self.w, shrinkage, self.w)


def bind(recipe: Recipe, w: Flat, g: Flat, memory: Memory) -> list[Block]:
    """All parameters in blocks; in one, where the optimizer looks at tensors as a whole."""
    optimizer = recipe.optimizer
    if isinstance(optimizer, optimizers.WHOLE):
        return [_whole(recipe, optimizer, w, g, memory)]
    trial = Memory()
    _part(recipe, optimizer, w, g, slice(0, 1), trial)
    return [_part(recipe, optimizer, w, g, part, memory) for part in parts(w.vector, trial.arrays() + 2)]


def parts(vector: Array, arrays: int) -> list[slice]:
    """As few as let so many arrays of a part fit into ``BYTES``, of about the same size, each from a cache line on.

    On a GPU there is one.
    """
    if not on_host(vector):
        return [slice(0, vector.size)]
    line = LINE // vector.itemsize
    count = math.ceil(vector.nbytes * arrays / BYTES)
    size = math.ceil(vector.size / count / line) * line
    return [slice(first, min(first + size, vector.size)) for first in range(0, vector.size, size)]


def _whole(recipe: Recipe, optimizer: optimizers.Whole, w: Flat, g: Flat, memory: Memory) -> Block:
    rate, couple = w.spread(decays.coupled(recipe.decay, w.views)), None
    if decays.some(rate):
        g, before = g.twin(), g.vector
        couple = decays.sum_into(g.vector, before, rate, w.vector)
    bound = optimizers.whole(optimizer, w, g, decays.inside(recipe, w.views), memory)
    outside = w.spread(decays.decoupled(recipe, w.views))
    return Block(w.vector, couple, bound, decays.shrinkage(outside, w.vector, memory))


def _part(recipe: Recipe, optimizer: optimizers.Elementwise, w: Flat, g: Flat, part: slice, memory: Memory) -> Block:
    memory.turn()
    here, gradient, couple = w.vector[part], g.vector[part], None
    rate = w.spread(decays.coupled(recipe.decay, w.views), part)
    if decays.some(rate):
        before, gradient = gradient, memory.scratch(gradient)
        couple = decays.sum_into(gradient, before, rate, here)
    inside = w.spread(decays.inside(recipe, w.views), part)
    bound = optimizers.elementwise(optimizer, here, gradient, inside, memory)
    outside = w.spread(decays.decoupled(recipe, w.views), part)
    return Block(here, couple, bound, decays.shrinkage(outside, here, memory))
