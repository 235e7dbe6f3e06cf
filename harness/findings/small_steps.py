"""Steps that are too small: below what the precision holds, or so short that the run ends before it has learned."""

import math
from collections.abc import Iterator

import numpy as np

from harness.findings.finding import Evidence, Finding, Severity
from harness.findings.remedies import SPENT
from harness.findings.seen import NOTHING_LEARNED, SMOOTHED, UNLEARNED, Seen
from harness.spec.architecture import is_weight

FIRST = 5  # observed steps
# Σ ‖Δw‖/‖w‖ over a run is how far weights could have come from where they started, in their own lengths. What is
# learned is a change of them of their own order: runs that learn all there is come 0.35 to 7 lengths.
SMALL, STANDS = 0.3, 0.05
FALLS, STEADY = 0.03, 0.1  # of the whole fall of the loss, over the last fifth of all rates; half of a straight line's
STRAIGHT = 0.5  # cosine of gradients that follow each other: a step could be twice as long before it turned
LEFT = 0.2  # of what the best linear answer gains over the best constant one: with less there is little left to learn
FROZEN = 0.5  # of a tensor's weights
NOT_BEGUN = 0.9  # of the way from what the best linear answer loses to what the best constant one does
NEAR = 1.1  # times: of a loss that is at its least, or at the best constant answer's


def frozen(seen: Seen) -> Iterator[Finding]:
    """Most weights of a tensor stay as they are to the last bit, and little is learned."""
    if seen.unlearned() < UNLEARNED:
        return
    shares = {name: seen.track("frozen", name) for name in seen.task.parameters if is_weight(name)}
    stuck = {name: track for name, track in shares.items() if len(track) and np.median(track.values) > FROZEN}
    if not stuck:
        return
    numbers = {name: math.prod(seen.task.shapes[name]) for name in shares}
    whole = sum(numbers[name] for name in stuck) > FROZEN * sum(numbers.values())
    name, track = max(stuck.items(), key=lambda item: float(np.median(item[1].values)))
    share = float(np.median(track.values))
    yield Finding(
        "frozen",
        "failure" if whole and share > 0.99 else "warning",
        "" if whole else name.rpartition(".")[0],
        int(track.steps[np.flatnonzero(track.values > FROZEN)[0]]),
        f"{share:.0%} of {name} stay as they are: their steps are below half a unit in the last place of "
        f"{seen.cell.precision}{_spent(seen)}",
        (Evidence("share of weights that their own step leaves as they are", share, 0.0, -np.inf, FROZEN),),
    )


def too_small(seen: Seen) -> Iterator[Finding]:
    """Little was learned, the loss falls to the end, and the weights have hardly moved or go one way all the time.

    Or nothing was: a loss that has come down all the time ends where the best constant answer is, or above it.
    """
    ratio, cosine = seen.track("update_ratio"), seen.track("cosine")
    if not len(ratio) or not np.isfinite(seen.smooth).all():
        return
    start, late, end = _fall(seen)
    falling = (late - end) / (start - end) if start > end else 0.0
    least = seen.linear_of_all / seen.constant_of_all if seen.constant_of_all > 0 else math.nan
    begun = least + NOT_BEGUN * (1 - least) if falling > FALLS and math.isfinite(least) else NEAR
    behind = start > end > begun and end <= NEAR * late
    if seen.unlearned() < LEFT and not behind:
        return
    moved = float(np.mean(ratio.values[np.isfinite(ratio.values)])) * seen.steps
    straight = float(np.nanmedian(cosine.values[-2 * FIRST :])) if len(cosine) > 1 else math.nan
    nowhere = moved < STANDS
    slow = falling > FALLS and moved < SMALL
    one_way = falling > STEADY and straight > STRAIGHT
    if not nowhere and not slow and not one_way and not behind:
        return
    why = f"in {seen.steps} steps the weights come some {moved:.2g} times their own length, and "
    if behind:
        why += f"the loss, though it falls, ends at {end:.3g} times what the best constant answer loses"
    elif falling > 0:
        why += f"the loss still falls: {falling:.0%} of its way over the last fifth of all rates"
    else:
        why += "little is learned"
    evidence = [Evidence("Σ ‖Δw‖/‖w‖ over the run", moved, math.nan, STANDS if nowhere else SMALL, np.inf)]
    if not nowhere:
        fall = FALLS if slow else STEADY
        evidence.append(
            Evidence("share of the loss's fall over the last fifth of all rates", falling, 0.0, -np.inf, fall)
        )
    if not nowhere and not slow:
        quantity = "cosine of gradients that follow each other, late"
        evidence = [*evidence[1:], Evidence(quantity, straight, 0.0, -np.inf, STRAIGHT)]
    if behind and not nowhere and not slow and not one_way:
        evidence = [Evidence("loss at the end over the best constant answer's", end, math.nan, -np.inf, begun)]
    severity: Severity = "failure" if seen.left() > NOTHING_LEARNED else "warning"
    yield Finding("step_too_small", severity, "", 0, f"{why}{_spent(seen)}", tuple(evidence))


def _fall(seen: Seen) -> tuple[float, float, float]:
    """The loss at the start, before the last fifth of all rates, and at the end, over the best constant answer's.

    A step late in a schedule that has cut the rate is a small part of one, and so is what it brings. Of all training
    samples where they were looked at often enough, else of the last batches.
    """
    late = int(np.searchsorted(np.cumsum(seen.factors), 0.8 * seen.factors.sum()))
    losses, unit = seen.track("loss/training"), seen.constant_of_all
    if len(losses) > SMOOTHED // 2 and np.isfinite(losses.values).all() and unit > 0:
        before = max(int(np.searchsorted(losses.steps, late, "right")) - 1, 0)
        start, middle, end = (float(losses.values[i]) for i in (0, before, -1))
    else:
        unit = seen.constant if seen.constant > 0 else 1.0
        start, middle, end = (float(seen.smooth[min(i, seen.steps - 1)]) for i in (FIRST, late, seen.steps))
    return start / unit, middle / unit, end / unit


def _spent(seen: Seen) -> str:
    """What is to be said of a schedule that has left little of the rate, if it has."""
    share = float(seen.factors.mean()) if seen.steps else 1.0
    return f"; the schedule leaves {share:.2g} of lr, the mean over all steps" if share < SPENT else ""
