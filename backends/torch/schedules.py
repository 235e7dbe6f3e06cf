"""The rate of each step: the spec's table in ``exact``, torch's own schedulers in ``shipped``."""

import math
from collections.abc import Callable, Sequence

from torch.optim import Optimizer, lr_scheduler

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

# torch refuses to start a warm-up at zero; this start is zero in every precision.
NEARLY_ZERO = 1e-300


def origin(schedule: Schedule, exact: bool, steps: int) -> Origin:
    """Where the schedule of so many steps comes from, and in ``shipped`` how it is another."""
    match schedule:
        case Constant():
            return Origin("native", "nothing")
        case Plateau():
            why = "ReduceLROnPlateau cuts one evaluation later, and is stepped by the user's loop"
            return Origin("composed", "the harness's rescale", why)
        case _ if exact:
            return Origin("composed", "the spec's table, set each step", "torch's schedulers round recursively")
        case _ if _starts_at_its_peak(schedule, steps):
            return Origin("composed", "the spec's table, set each step", "OneCycleLR divides by 0 where rise·steps = 1")
        case Step():
            return Origin("native", "StepLR")
        case Exponential():
            return Origin("native", "ExponentialLR", "the rate per step is rate^(1/every)")
        case Cosine():
            return Origin("native", "CosineAnnealingLR", "rises again after its last step")
        case Polynomial(end=end):
            return Origin("native", "PolynomialLR", "ends at 0" if end else "")
        case InverseTime():
            return Origin("native", "LambdaLR")
        case OneCycle():
            return Origin("native", "OneCycleLR")
        case WarmUp(then=OneCycle()):
            why = "rises to the cycle's start alone: OneCycleLR overwrites the rate that LinearLR began from"
            return Origin("native", "SequentialLR(LinearLR, OneCycleLR)", why)
        case WarmUp(steps=length, then=then):
            rest = origin(then, exact, _after(length, steps))
            after = "…" if isinstance(then, Constant) else rest.by
            return Origin("native", f"SequentialLR(LinearLR, {after})", rest.why)


def _starts_at_its_peak(schedule: Schedule, steps: int) -> bool:
    """Whether a cycle's peak is at t = 0, the rise to which torch interpolates over 0 steps."""
    match schedule:
        case OneCycle(steps=length, rise=rise):
            return rise * (length or max(steps, 1)) == 1
        case WarmUp(steps=length, then=then):
            return _starts_at_its_peak(then, _after(length, steps))
        case _:
            return False


def _after(warm_up: int, steps: int) -> int:
    """What a warm-up leaves of the steps."""
    return max(steps - warm_up, 1)


def table(schedule: Schedule, steps: int, lr: float) -> list[float] | None:
    """η for each step of a composed schedule, or None for a constant rate."""
    if isinstance(schedule, Constant | Plateau):
        return None
    return [float(lr * factor) for factor in factors(schedule, steps)]


def shipped(schedule: Schedule, optimizers: Sequence[Optimizer], steps: int, lr: float) -> list[Callable[[], None]]:
    """The step functions of torch's own schedulers, one an optimizer; none for a constant rate."""
    if isinstance(schedule, Constant | Plateau):
        return []
    last = _last(schedule, steps)
    return [_until(last, _scheduler(schedule, optimizer, steps, lr)) for optimizer in optimizers]


def _until(last: float, scheduler: lr_scheduler.LRScheduler) -> Callable[[], None]:
    def step() -> None:
        if scheduler.last_epoch < last:
            scheduler.step()

    return step


def _last(schedule: Schedule, steps: int) -> float:
    """The step at which to leave a scheduler alone: OneCycleLR refuses more than it was told of."""
    match schedule:
        case OneCycle(steps=length):
            return (length or steps) - 1
        case WarmUp(steps=length, then=then):
            return length + _last(then, _after(length, steps))
        case _:
            return math.inf


def _scheduler(schedule: Schedule, optimizer: Optimizer, steps: int, lr: float) -> lr_scheduler.LRScheduler:
    match schedule:
        case Constant() | Plateau():
            return lr_scheduler.ConstantLR(optimizer, factor=1.0)
        case Step(every=every, rate=rate):
            return lr_scheduler.StepLR(optimizer, every, gamma=rate)
        case Exponential(rate=rate, every=every):
            return lr_scheduler.ExponentialLR(optimizer, gamma=rate ** (1 / every))
        case Cosine(steps=length, floor=floor):
            return lr_scheduler.CosineAnnealingLR(optimizer, T_max=length or max(steps, 1), eta_min=floor * lr)
        case Polynomial(steps=length, power=power):
            return lr_scheduler.PolynomialLR(optimizer, total_iters=length or max(steps, 1), power=power)
        case InverseTime(rate=rate, every=every):
            return lr_scheduler.LambdaLR(optimizer, lambda t: 1 / (1 + rate * t / every))
        case OneCycle(steps=length, rise=rise, start=start, end=end):
            return lr_scheduler.OneCycleLR(
                optimizer,
                max_lr=lr,
                total_steps=length or max(steps, 1),
                pct_start=rise,
                div_factor=1 / start,
                final_div_factor=start / end if end else math.inf,
                cycle_momentum=False,
            )
        case WarmUp(steps=length, start=start, then=then):
            before = lr_scheduler.LinearLR(optimizer, start_factor=max(start, NEARLY_ZERO), total_iters=length)
            after = _scheduler(then, optimizer, _after(length, steps), lr)
            return lr_scheduler.SequentialLR(optimizer, [before, after], milestones=[length])
