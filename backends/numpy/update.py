"""From the gradient to the new weights: clip, decay, optimizer, rate, in the normative order."""

import numpy as np

from backends.numpy import clips, decays, optimizers, schedules
from backends.numpy.flat import Flat
from harness.spec.recipe import Recipe


class Update:
    """One update of the flat vector of parameters from that of gradients; knows the step it is at."""

    def __init__(self, recipe: Recipe, w: Flat, g: Flat, steps: int) -> None:
        self.w, self.g = w.vector, g.vector
        self.lr = recipe.optimizer.lr
        self.clip = clips.clipper(recipe.clip, g)
        self.decay = decays.decay(recipe.decay, w, g, self.lr)
        self.optimizer = optimizers.bind(recipe.optimizer, self.w)
        self.factors = schedules.table(recipe.schedule, steps)
        self.t = 0

    def __call__(self) -> None:
        """Update; the gradients are spent."""
        factor = 1.0 if self.factors is None else self.factors[self.t]
        self.t += 1
        if self.clip is not None:
            self.clip()
        if self.decay is not None:
            self.decay(factor)
        np.subtract(self.w, self.optimizer(self.g, self.lr * factor, self.t), out=self.w)
