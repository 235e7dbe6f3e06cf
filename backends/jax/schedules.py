"""The rate of each step: the spec's table in ``exact``, optax's own schedules in ``shipped``, times a scale."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from harness.backend import Origin
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

Rate = float | Array | Callable[[Array], Array]  # a function of t = 0, 1, …, on the device
Scale = float | Array  # what the harness multiplies the rate by, on the device


def origin(schedule: Schedule, exact: bool) -> Origin:
    """Where the schedule comes from."""
    in_float32 = "it computes in float32 in every precision"
    match schedule:
        case Constant():
            return Origin("native", "nothing")
        case Plateau():
            reason = "optax.contrib.reduce_on_plateau has another rule: it watches a mean of the training losses"
            return Origin("composed", "the harness's rescale", reason)
        case InverseTime():
            return Origin("composed", "the spec's table, by step" if exact else "η/(1 + kt)", "optax has none")
        case _ if exact:
            return Origin("composed", "the spec's table, by step", "optax computes all but the cosine in float32")
        case Step() | Exponential():
            return Origin("native", "optax.exponential_decay", in_float32)
        case Cosine():
            return Origin("native", "optax.cosine_decay_schedule")
        case Polynomial():
            return Origin("native", "optax.polynomial_schedule", in_float32)
        case OneCycle():
            later = "its peak is at ⌊rise·steps⌋ and its end at steps: a step later"
            return Origin("native", "optax.cosine_onecycle_schedule", later)
        case WarmUp():
            return Origin("native", "optax.join_schedules(optax.linear_schedule, …)", in_float32)


def rate(schedule: Schedule, steps: int, lr: float, exact: bool, scale: Scale) -> Rate:
    """η_t = scale · lr · factor(t), a number where the schedule never changes it."""
    if isinstance(schedule, Constant | Plateau):
        return scale * lr
    return times(scale, table(schedule, steps, lr) if exact else shipped(schedule, steps, lr))


def times(scale: Scale, rate: Rate) -> Rate:
    """The rate times a scale."""
    if not callable(rate):
        return scale * rate
    return lambda t: scale * rate(t)


def table(schedule: Schedule, steps: int, lr: float) -> Rate:
    """The spec's float64 table, rounded once to the precision of the run."""
    rates = lr * factors(schedule, steps)
    return lambda t: jnp.asarray(rates, float)[t]


def shipped(schedule: Schedule, steps: int, lr: float) -> Rate:
    """optax's own schedule."""
    found: Rate
    match schedule:
        case Constant() | Plateau():
            found = optax.constant_schedule(lr)
        case Step(every=every, rate=decay):
            found = optax.exponential_decay(lr, transition_steps=every, decay_rate=decay, staircase=True)
        case Exponential(rate=decay, every=every):
            found = optax.exponential_decay(lr, transition_steps=every, decay_rate=decay)
        case Cosine(steps=length, floor=floor):
            found = optax.cosine_decay_schedule(lr, decay_steps=length or max(steps, 1), alpha=floor)
        case Polynomial(steps=length, power=power, end=end):
            found = optax.polynomial_schedule(lr, end * lr, power, transition_steps=length or max(steps, 1))
        case InverseTime(rate=decay, every=every):
            found = inverse_time(lr, decay / every)
        case OneCycle(steps=length, rise=rise, start=start, end=end):
            found = optax.cosine_onecycle_schedule(
                length or max(steps, 1), lr, rise, div_factor=1 / start, final_div_factor=start / end if end else np.inf
            )
        case WarmUp(steps=length, start=start, then=then):
            ramp = optax.linear_schedule(start * lr, lr, transition_steps=length)
            found = optax.join_schedules([ramp, shipped(then, max(steps - length, 1), lr)], [length])
    return found


def inverse_time(lr: float, decay: float) -> Callable[[Array], Array]:
    """η/(1 + kt)."""
    return lambda t: lr / (1 + decay * t)
