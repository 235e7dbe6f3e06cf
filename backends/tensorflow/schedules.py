"""The rate of each step: the spec's table in ``exact``, Keras's own schedules in ``shipped``."""

from typing import Any

import keras
import tensorflow as tf

from harness.backend import Floats, Origin
from harness.spec.schedules import Constant, Cosine, Exponential, Schedule, Step, WarmUp, factors

Rate = Any  # a float or a keras.optimizers.schedules.LearningRateSchedule


def origin(schedule: Schedule, exact: bool) -> Origin:
    """Where the schedule comes from."""
    match schedule:
        case Constant():
            return Origin("native", "nothing")
        case _ if exact:
            return Origin(
                "native", "LearningRateSchedule", "reads the spec's table, since Keras's own round to float32"
            )
        case Step():
            return Origin("native", "ExponentialDecay(staircase=True)")
        case Exponential():
            return Origin("native", "ExponentialDecay")
        case Cosine():
            return Origin("native", "CosineDecay")
        case WarmUp(then=Constant()):
            return Origin("native", "PolynomialDecay", "of power 1, rising to the rate, where it stays")
        case WarmUp(then=Cosine()):
            return Origin("native", "CosineDecay(warmup_steps=…)", "its decay_steps leave out the warm-up")
        case WarmUp():
            return Origin("composed", "LearningRateSchedule", "Keras warms up to a cosine or a constant only")


class Table(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # Keras has no types
    """The rate of each step, looked up."""

    def __init__(self, rates: Floats) -> None:
        self.rates = tf.constant(rates, keras.config.floatx())

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        return tf.gather(self.rates, step)


def rate(schedule: Schedule, steps: int, lr: float, exact: bool) -> Rate:
    """What a Keras optimizer takes as its learning rate."""
    if isinstance(schedule, Constant):
        return lr
    if exact or origin(schedule, exact).how == "composed":
        return Table(lr * factors(schedule, steps))
    return _shipped(schedule, steps, lr)


def _shipped(schedule: Schedule, steps: int, lr: float) -> Rate:
    kinds = keras.optimizers.schedules
    match schedule:
        case Step(every=every, rate=decay):
            return kinds.ExponentialDecay(lr, every, decay, staircase=True)
        case Exponential(every=every, rate=decay):
            return kinds.ExponentialDecay(lr, every, decay)
        case Cosine(steps=length, floor=floor):
            return kinds.CosineDecay(lr, length or max(steps, 1), alpha=floor)
        case WarmUp(steps=warmup, start=start, then=Constant()):
            return kinds.PolynomialDecay(start * lr, warmup, end_learning_rate=lr, power=1.0)
        case WarmUp(steps=warmup, start=start, then=Cosine(steps=length, floor=floor)):
            length = length or max(steps - warmup, 1)
            return kinds.CosineDecay(start * lr, length, alpha=floor, warmup_target=lr, warmup_steps=warmup)
        case _:
            raise TypeError(f"{schedule} has no counterpart in Keras")
