"""The rate of each step: the spec's table in ``exact``, optax's own schedules in ``shipped``."""

from collections.abc import Callable

import jax.numpy as jnp
import optax
from jax import Array

from harness.backend import Origin
from harness.spec.schedules import Constant, Cosine, Exponential, Schedule, Step, WarmUp, factors

Rate = float | Callable[[Array], Array]  # a function of t = 0, 1, …, on the device


def origin(schedule: Schedule, exact: bool) -> Origin:
    """Where the schedule comes from."""
    in_float32 = "it computes in float32 in every precision"
    match schedule:
        case Constant():
            return Origin("native", "nothing")
        case _ if exact:
            return Origin("composed", "the spec's table, by step", "optax computes all but the cosine in float32")
        case Step() | Exponential():
            return Origin("native", "optax.exponential_decay", in_float32)
        case Cosine():
            return Origin("native", "optax.cosine_decay_schedule")
        case WarmUp():
            return Origin("native", "optax.join_schedules(optax.linear_schedule, …)", in_float32)


def rate(schedule: Schedule, steps: int, lr: float, exact: bool) -> Rate:
    """η_t = lr · factor(t), a number where it never changes."""
    if isinstance(schedule, Constant):
        return lr
    return table(schedule, steps, lr) if exact else shipped(schedule, steps, lr)


def table(schedule: Schedule, steps: int, lr: float) -> Rate:
    """The spec's float64 table, rounded once to the precision of the run."""
    rates = lr * factors(schedule, steps)
    return lambda t: jnp.asarray(rates, float)[t]


def shipped(schedule: Schedule, steps: int, lr: float) -> Rate:
    """optax's own schedule."""
    found: Rate
    match schedule:
        case Constant():
            found = optax.constant_schedule(lr)
        case Step(every=every, rate=decay):
            found = optax.exponential_decay(lr, transition_steps=every, decay_rate=decay, staircase=True)
        case Exponential(rate=decay, every=every):
            found = optax.exponential_decay(lr, transition_steps=every, decay_rate=decay)
        case Cosine(steps=length, floor=floor):
            found = optax.cosine_decay_schedule(lr, decay_steps=length or max(steps, 1), alpha=floor)
        case WarmUp(steps=length, start=start, then=then):
            rise = optax.linear_schedule(start * lr, lr, transition_steps=length)
            found = optax.join_schedules([rise, shipped(then, max(steps - length, 1), lr)], [length])
    return found
