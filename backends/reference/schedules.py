"""Schedules: the spec's table of factors."""

from collections.abc import Callable

from harness.spec.schedules import Constant, Schedule, factors


def factor(schedule: Schedule, steps: int) -> Callable[[int], float]:
    """The factor of update t = 0, 1, … of ``steps``. A constant schedule has no end."""
    if isinstance(schedule, Constant):
        return lambda t: 1.0
    table = factors(schedule, steps)
    return lambda t: float(table[t])
