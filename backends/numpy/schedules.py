"""The spec's table of factors."""

from harness.spec.schedules import Constant, Schedule, factors


def table(schedule: Schedule, steps: int) -> list[float] | None:
    """The factor of each step, or None for a constant rate."""
    return None if isinstance(schedule, Constant) else factors(schedule, steps).tolist()
