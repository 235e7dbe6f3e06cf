"""The rate of each step: the spec's table in ``exact``, Keras's own schedules in ``shipped``."""

from typing import Any

import keras
import tensorflow as tf

from harness.backend import Floats, Origin
from harness.spec.schedules import (
    Constant,
    Cosine,
    Exponential,
    InverseTime,
    OneCycle,
    Plateau,
    Polynomial,
    Schedule,
    Step,
    WarmUp,
    factors,
)

Rate = Any  # a float, a Table or a Rescaled


def origin(schedule: Schedule, exact: bool) -> Origin:
    """Where the schedule comes from."""
    match schedule:
        case Constant():
            return Origin("native", "nothing")
        case Plateau():
            return Origin(
                "composed",
                "the harness's rescale",
                "keras.callbacks.ReduceLROnPlateau needs Model.fit, and compares with an absolute min_delta",
            )
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
        case Polynomial():
            return Origin("native", "PolynomialDecay")
        case InverseTime():
            return Origin("native", "InverseTimeDecay")
        case OneCycle():
            return Origin("composed", "LearningRateSchedule", "Keras has no one-cycle schedule")
        case WarmUp(then=Constant()):
            return Origin("native", "PolynomialDecay", "of power 1, rising to the rate, where it stays")
        case WarmUp(then=Cosine()):
            return Origin("native", "CosineDecay(warmup_steps=…)", "its decay_steps leave out the warm-up")
        case WarmUp():
            return Origin("composed", "LearningRateSchedule", "Keras warms up to a cosine or a constant only")


class Table(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # Keras has no types
    """The rate of each step, looked up."""

    def __init__(self, rates: Floats) -> None:
        self.unscaled = rates
        self.rates = tf.Variable(rates, trainable=False, dtype=keras.config.floatx())

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        return tf.gather(self.rates, step)

    def rescale(self, factor: float) -> None:
        """From the next step on, the rates are ``factor`` times the table's."""
        self.rates.assign(factor * self.unscaled)


class Rescaled(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # Keras has no types
    """A schedule times a scale, which may change between steps without a new trace."""

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule) -> None:
        self.schedule = schedule
        self.scale = tf.Variable(1.0, trainable=False, dtype=keras.config.floatx())

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        return self.scale * tf.cast(self.schedule(step), self.scale.dtype)

    def rescale(self, factor: float) -> None:
        """From the next step on, the rates are ``factor`` times the schedule's."""
        self.scale.assign(factor)


def rescale(optimizer: keras.Optimizer, rate: Rate, factor: float) -> None:
    """From the next step on, the optimizer's rate is ``factor`` times ``rate``."""
    if isinstance(rate, float):
        optimizer.learning_rate = factor * rate
    else:
        rate.rescale(factor)


def rate(schedule: Schedule, steps: int, lr: float, exact: bool) -> Rate:
    """What a Keras optimizer takes as its learning rate."""
    if isinstance(schedule, Constant | Plateau):
        return lr
    if exact or origin(schedule, exact).how == "composed":
        return Table(lr * factors(schedule, steps))
    return Rescaled(_shipped(schedule, steps, lr))


def _shipped(schedule: Schedule, steps: int, lr: float) -> Rate:
    kinds = keras.optimizers.schedules
    match schedule:
        case Step(every=every, rate=decay):
            return kinds.ExponentialDecay(lr, every, decay, staircase=True)
        case Exponential(every=every, rate=decay):
            return kinds.ExponentialDecay(lr, every, decay)
        case Cosine(steps=length, floor=floor):
            return kinds.CosineDecay(lr, length or max(steps, 1), alpha=floor)
        case Polynomial(steps=length, power=power, end=end):
            return kinds.PolynomialDecay(lr, length or max(steps, 1), end_learning_rate=end * lr, power=power)
        case InverseTime(rate=decay, every=every):
            return kinds.InverseTimeDecay(lr, every, decay)
        case WarmUp(steps=warmup, start=start, then=Constant()):
            return kinds.PolynomialDecay(start * lr, warmup, end_learning_rate=lr, power=1.0)
        case WarmUp(steps=warmup, start=start, then=Cosine(steps=length, floor=floor)):
            length = length or max(steps - warmup, 1)
            return kinds.CosineDecay(start * lr, length, alpha=floor, warmup_target=lr, warmup_steps=warmup)
        case _:
            raise TypeError(f"{schedule} has no counterpart in Keras")
