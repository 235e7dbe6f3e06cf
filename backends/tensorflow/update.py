"""From the gradient to the new weights: clip, decay, optimizer, rate, in the normative order."""

import keras
import tensorflow as tf

from backends.tensorflow import clips, decays, optimizers, schedules
from harness.spec.cell import Cell
from harness.spec.recipe import NoClip, NoDecay


class Update:
    """One update of the parameters from their gradients, traced into the step; keeps the optimizer's state."""

    def __init__(self, cell: Cell, named: dict[str, keras.Variable], steps: int) -> None:
        recipe, exact = cell.recipe, cell.implementation == "exact"
        self.named, self.lr = named, recipe.optimizer.lr
        own_clip, own_decay = clips.arguments(recipe, exact), decays.arguments(recipe, exact)
        self.clip = clips.clipper(NoClip() if own_clip else recipe.clip)
        self.decay = NoDecay() if own_decay else recipe.decay
        self.optimizer = optimizers.build(
            recipe, exact, schedules.rate(recipe.schedule, steps, self.lr, exact), own_clip | own_decay
        )
        if own_decay:
            decayed = decays.decayed(recipe.decay, tuple(named))
            self.optimizer.exclude_from_weight_decay([w for name, w in named.items() if name not in decayed])
        self.optimizer.build(list(named.values()))
        self.start = [variable.numpy() for variable in self.optimizer.variables]

    def __call__(self, gradients: list[tf.Tensor]) -> None:
        """Update."""
        gradients = self.clip(gradients)
        eta = tf.cast(self.optimizer.learning_rate, gradients[0].dtype)
        gradients = decays.apply(self.decay, self.named, gradients, eta, self.lr)
        self.optimizer.apply(gradients, list(self.named.values()))

    def reset(self) -> None:
        """Back to step 0."""
        for variable, value in zip(self.optimizer.variables, self.start, strict=True):
            variable.assign(value)
