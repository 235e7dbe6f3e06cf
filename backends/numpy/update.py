"""From the gradient to the new weights: clip, decay, optimizer, rate, in the normative order."""

import numpy as np

from backends.numpy import blocks, clips, schedules
from backends.numpy.flat import Array, Flat
from backends.numpy.memory import Memory
from backends.numpy.optimizers.iterates import ScheduleFree
from harness.spec.recipe import Recipe


class Update:
    """One update of the flat vector of parameters from that of gradients; knows the step it is at.

    ``scale`` multiplies what the schedule gives, from the next step on.
    """

    def __init__(self, recipe: Recipe, w: Flat, g: Flat, steps: int) -> None:
        self.w, self.lr = w.vector, recipe.optimizer.lr
        self.clip = clips.clipper(recipe.clip, g, w)
        self.memory = Memory()
        self.blocks = blocks.bind(recipe, w, g, self.memory)
        self.factors = schedules.table(recipe.schedule, steps)
        self.t, self.scale = 0, 1.0

    def __call__(self) -> None:
        """Clip the gradients, and update by them."""
        if self.clip is not None:
            self.clip()
        self.apply()

    def apply(self) -> None:
        """Update by the gradients as they are, and as they stay."""
        factor = self.scale if self.factors is None else self.scale * self.factors[self.t]
        eta, self.t = self.lr * factor, self.t + 1
        for block in self.blocks:
            block(eta, factor, self.t)

    def evaluated_at(self) -> Array:
        """The weights at which the network is evaluated: the mean x of a schedule-free optimizer, else w."""
        means = [block.optimizer.x for block in self.blocks if isinstance(block.optimizer, ScheduleFree)]
        return np.concatenate(means) if means else self.w

    def state_bytes(self) -> int:
        """What the optimizer keeps from step to step."""
        return self.memory.state_bytes()
