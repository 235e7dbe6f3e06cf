"""The rate of each step: the spec's table in ``exact``, torch's own schedulers in ``shipped``."""

from collections.abc import Callable

from torch.optim import Optimizer, lr_scheduler

from harness.backend import Origin
from harness.spec.schedules import Constant, Cosine, Exponential, Schedule, Step, WarmUp, factors

# torch refuses to start a warm-up at zero; this start is zero in every precision.
NEARLY_ZERO = 1e-300


def origin(schedule: Schedule, exact: bool) -> Origin:
    """Where the schedule comes from."""
    match schedule:
        case Constant():
            return Origin("native", "nothing")
        case _ if exact:
            return Origin("composed", "the spec's table, set each step", "torch's schedulers round recursively")
        case Step():
            return Origin("native", "StepLR")
        case Exponential():
            return Origin("native", "ExponentialLR", "the rate per step is rate^(1/every)")
        case Cosine():
            return Origin("native", "CosineAnnealingLR", "rises again after its last step")
        case WarmUp():
            return Origin("native", "SequentialLR(LinearLR, …)")


def table(schedule: Schedule, steps: int, lr: float) -> list[float] | None:
    """η for each step of ``exact``, or None for a constant rate."""
    return None if isinstance(schedule, Constant) else [float(lr * factor) for factor in factors(schedule, steps)]


def shipped(schedule: Schedule, optimizer: Optimizer, steps: int) -> Callable[[], None] | None:
    """The step function of torch's own scheduler, or None for a constant rate."""
    return None if isinstance(schedule, Constant) else _scheduler(schedule, optimizer, steps).step


def _scheduler(schedule: Schedule, optimizer: Optimizer, steps: int) -> lr_scheduler.LRScheduler:
    match schedule:
        case Constant():
            return lr_scheduler.ConstantLR(optimizer, factor=1.0)
        case Step(every=every, rate=rate):
            return lr_scheduler.StepLR(optimizer, every, gamma=rate)
        case Exponential(rate=rate, every=every):
            return lr_scheduler.ExponentialLR(optimizer, gamma=rate ** (1 / every))
        case Cosine(steps=length, floor=floor):
            lowest = floor * optimizer.param_groups[0]["lr"]
            return lr_scheduler.CosineAnnealingLR(optimizer, T_max=length or max(steps, 1), eta_min=lowest)
        case WarmUp(steps=length, start=start, then=then):
            rise = lr_scheduler.LinearLR(optimizer, start_factor=max(start, NEARLY_ZERO), total_iters=length)
            after = _scheduler(then, optimizer, max(steps - length, 1))
            return lr_scheduler.SequentialLR(optimizer, [rise, after], milestones=[length])
