"""From clipped gradients to new weights, as many parameters at a time as a core's cache holds.

Each operation reads and writes whole arrays. Over all parameters at once, every one of them would go through memory;
block by block only the first to touch an array does, and scratch never leaves the cache.
"""

import math
from collections.abc import Callable

import numpy as np

from backends.numpy import decays, optimizers
from backends.numpy.flat import Array, Flat
from backends.numpy.memory import Memory
from backends.numpy.optimizers import Bound
from harness.spec.recipe import Recipe

# Of one array in a block. Adam works on five: 640 KiB, of the 1 or 2 MiB that a server's core has. Half of it costs a
# tenth more in calls, the double gains nothing. What fits into one block, as small networks do, is not cut.
BYTES = 128 * 1024


class Block:
    """g' = g + λw; Δ of g'; w ← w − Δ − ηλw, Δ and the decay of the old w."""

    def __init__(
        self,
        lr: float,
        w: Array,
        couple: Callable[[], object] | None,
        optimizer: Bound,
        shrinkage: Callable[[float], Array] | None,
    ) -> None:
        self.lr, self.w, self.couple, self.optimizer, self.shrinkage = lr, w, couple, optimizer, shrinkage

    def __call__(self, factor: float, t: int) -> None:
        """Step t = 1, 2, … at that factor of the schedule; g stays as it is."""
        if self.couple is not None:
            self.couple()
        delta = self.optimizer(self.lr * factor, t)
        if self.shrinkage is None:
            np.subtract(self.w, delta, out=self.w)
            return
        shrinkage = self.shrinkage(factor)
        np.subtract(self.w, delta, out=self.w)
        np.subtract(self.w, shrinkage, out=self.w)


def bind(recipe: Recipe, w: Flat, g: Flat, memory: Memory) -> list[Block]:
    """All parameters in blocks; in one, where the optimizer looks at tensors as a whole."""
    if isinstance(recipe.optimizer, optimizers.WHOLE):
        return [_whole(recipe, recipe.optimizer, w, g, memory)]
    return [_part(recipe, recipe.optimizer, w, g, part, memory) for part in parts(w.vector)]


def parts(vector: Array) -> list[slice]:
    """As few as do not exceed ``BYTES``, of about the same size, each beginning at a cache line."""
    count = math.ceil(vector.nbytes / BYTES)
    line = 64 // vector.itemsize
    size = math.ceil(vector.size / count / line) * line
    return [slice(first, min(first + size, vector.size)) for first in range(0, vector.size, size)]


def _whole(recipe: Recipe, optimizer: optimizers.Whole, w: Flat, g: Flat, memory: Memory) -> Block:
    rate, couple = w.spread(decays.coupled(recipe.decay, w.views)), None
    if decays.some(rate):
        g, before = g.twin(), g.vector
        couple = decays.sum_into(g.vector, before, rate, w.vector)
    bound = optimizers.whole(optimizer, w, g, decays.inside(recipe, w.views), memory)
    outside = w.spread(decays.decoupled(recipe, w.views))
    return Block(optimizer.lr, w.vector, couple, bound, decays.shrinkage(outside, w.vector, memory))


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
    return Block(optimizer.lr, here, couple, bound, decays.shrinkage(outside, here, memory))
