"""From the gradient to the new weights: clip, decay, optimizer, rate, in the normative order."""

import numpy as np

from backends.numpy import clips, decays, optimizers, schedules
from backends.numpy.flat import Array, Flat
from backends.numpy.optimizers.iterates import ScheduleFree
from harness.spec.recipe import Recipe


class Update:
    """One update of the flat vector of parameters from that of gradients; knows the step it is at.

    ``scale`` multiplies what the schedule gives, from the next step on.
    """

    def __init__(self, recipe: Recipe, w: Flat, g: Flat, steps: int) -> None:
        self.w = w.vector
        self.lr = recipe.optimizer.lr
        self.clip = clips.clipper(recipe.clip, g, w)
        self.couple = decays.coupled(recipe.decay, w, g)
        self.optimizer = optimizers.bind(recipe.optimizer, w, g, decays.inside(recipe, w))
        self.decay = decays.decoupled(recipe, w)
        self.factors = schedules.table(recipe.schedule, steps)
        self.t, self.scale = 0, 1.0

    def __call__(self) -> None:
        """Update; the gradients are spent."""
        factor = self.scale if self.factors is None else self.scale * self.factors[self.t]
        self.t += 1
        if self.clip is not None:
            self.clip()
        if self.couple is not None:
            self.couple()
        delta = self.optimizer(self.lr * factor, self.t)
        if self.decay is None:
            np.subtract(self.w, delta, out=self.w)
            return
        shrinkage = self.decay(factor)  # of the old w
        np.subtract(self.w, delta, out=self.w)
        np.subtract(self.w, shrinkage, out=self.w)

    def evaluated_at(self) -> Array:
        """The weights at which the network is evaluated: the mean x of a schedule-free optimizer, else w."""
        return self.optimizer.x if isinstance(self.optimizer, ScheduleFree) else self.w
