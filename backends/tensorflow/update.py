"""From the gradient to the new weights: clip, decay, optimizer, rate, in the normative order."""

import keras
import tensorflow as tf

from backends.tensorflow import clips, decays, optimizers, schedules
from backends.tensorflow.composed import Composed
from harness.spec.cell import Cell
from harness.spec.recipe import NoClip


class Update:
    """One update of the parameters from their gradients, traced into the step; keeps the optimizer's state."""

    def __init__(self, cell: Cell, named: dict[str, keras.Variable], steps: int) -> None:
        recipe, exact = cell.recipe, cell.implementation == "exact"
        self.named, self.decay = named, recipe.decay
        own_clip, own_decay = clips.arguments(recipe, exact), decays.arguments(recipe, exact)
        self.own_clip = own_clip
        self.clip = clips.clipper(NoClip() if own_clip else recipe.clip)
        self.rate = schedules.rate(recipe.schedule, steps, recipe.optimizer.lr, exact)
        inside, self.outside = decays.composed(recipe, exact, tuple(named))
        within = tuple(inside.get(name, 0.0) for name in named)
        self.optimizer = optimizers.build(recipe, exact, self.rate, within, own_clip | own_decay)
        if own_decay:
            decayed = decays.decayed(recipe.decay, tuple(named))
            self.optimizer.exclude_from_weight_decay([w for name, w in named.items() if name not in decayed])
        self.optimizer.build(list(named.values()))
        self.start = [variable.numpy() for variable in self.optimizer.variables]

    def __call__(self, gradients: list[tf.Tensor]) -> None:
        """Clip and update."""
        self._apply(self.clip(gradients, self._weights()))

    def clipped(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        """The gradients after the clip, the optimizer's own too."""
        if self.own_clip:
            found: list[tf.Tensor] = self.optimizer._clip_gradients(gradients)
            return found
        return self.clip(gradients, self._weights())

    def unclipped(self, gradients: list[tf.Tensor]) -> None:
        """Update by the gradients as they are."""
        for name in self.own_clip:
            setattr(self.optimizer, name, None)
        self._apply(gradients)
        for name, value in self.own_clip.items():
            setattr(self.optimizer, name, value)

    def _apply(self, gradients: list[tf.Tensor]) -> None:
        gradients = decays.coupled(self.decay, self.named, gradients)
        # Computed from the old w, but taken after the step, whose Δ may depend on w too.
        eta = tf.convert_to_tensor(self.optimizer.learning_rate)
        taken = {name: eta * rate * self.named[name].value for name, rate in self.outside.items()}
        self.optimizer.apply(gradients, list(self.named.values()))
        for name, amount in taken.items():
            self.named[name].value.assign_sub(amount)

    def _weights(self) -> list[tf.Variable]:
        return [w.value for w in self.named.values()]

    def state_bytes(self) -> int:
        """What the optimizer keeps from step to step, but for its rate and its count of steps."""
        rest = (self.optimizer.iterations, getattr(self.optimizer, "_learning_rate", None))
        kept = [v.value for v in self.optimizer.variables if not any(v is one for one in rest)]
        return sum(v.dtype.size * v.shape.num_elements() for v in kept)

    def evaluated_at(self) -> list[tuple[keras.Variable, tf.Tensor]]:
        """The parameters that stand elsewhere when the network is evaluated, and their values there."""
        return self.optimizer.evaluated_at() if isinstance(self.optimizer, Composed) else []

    def rescale(self, factor: float) -> None:
        """From the next step on, η is ``factor`` times what the schedule gives."""
        schedules.rescale(self.optimizer, self.rate, factor)

    def reset(self) -> None:
        """Back to step 0, at the present parameters."""
        for variable, value in zip(self.optimizer.variables, self.start, strict=True):
            variable.assign(value)
        if isinstance(self.optimizer, Composed):
            self.optimizer.restart()
        self.rescale(1.0)
