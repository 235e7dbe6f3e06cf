"""Steps that are too large or too small for what is being minimised, or for the precision that it is done in."""

import math
from collections.abc import Iterator

import numpy as np

from harness.findings.changes import changes
from harness.findings.finding import Evidence, Finding, Severity
from harness.findings.remedies import SPENT
from harness.findings.seen import NOTHING_LEARNED, SMOOTHED, UNLEARNED, Floats, Integers, Seen
from harness.health import rate
from harness.health.stability import limit
from harness.spec.architecture import is_weight, parameters
from harness.spec.optimizers import SGD, Momentum
from harness.spec.problem import Network

UP = "largest loss over the first, or the best constant answer's"
ABOVE = 1.5  # times the larger of the first loss and the best constant answer's: a loss that has been thrown up
AGAIN = 0.3  # of the best constant answer's loss: so far the loss has come up from its least
OWN = 1.0  # ‖Δw‖/‖w‖: a step that replaces the weights
LASTING = 0.1  # of a run: a loss that was thrown up for less, at its start, costs little
FIRST = 5  # observed steps
LARGE = 0.1  # ‖Δw‖/‖w‖ of a step
# Σ ‖Δw‖/‖w‖ over a run is how far weights could have come from where they started, in their own lengths. What is
# learned is a change of them of their own order: runs that learn all there is come 0.35 to 7 lengths.
SMALL, STANDS = 0.3, 0.05
FALLS, STEADY = 0.03, 0.1  # of the whole fall of the loss, in the last fifth of a run; half of a straight line's
STRAIGHT = 0.5  # cosine of gradients that follow each other: a step could be twice as long before it turned
LEFT = 0.2  # of the best constant answer's loss: below it there is little left to learn
FROZEN = 0.5  # of a tensor's weights
NOT_BEGUN = 0.9  # of the way from what the best linear answer loses to what the best constant one does
NEAR = 1.1  # times: of a loss that is at its least, or at the best constant answer's
BACK = 2.0  # overshoot beyond which a quadratic ends above where it began (measure.curvature)
TWICE = 2  # of the first steps: one alone may be made good
CONVERGED = 1e-4  # of the best constant answer's loss: gradients are rounding and noise


def judge(seen: Seen) -> Iterator[Finding]:
    """First steps by the Hessian; changes of the rate; frozen weights; a rate that was wrong from the start."""
    found = list(_past_the_least(seen)) or list(_changed_rate(seen))
    yield from found
    yield from _frozen(seen)
    if not found:
        yield from _too_large(seen)
        yield from _too_small(seen)


def _changed_rate(seen: Seen) -> Iterator[Finding]:
    """All tensors' updates become longer or shorter at once, beside their gradients too, and stay so."""
    weights = [name for name in seen.task.parameters if is_weight(name)]
    if not weights or not len(seen.track("update_norm", weights[0])):
        return

    def norms(suffix: str = "") -> tuple[Integers, Floats, Floats]:
        moves, gradients = (
            np.stack([seen.track(f"{name}{suffix}", tensor).values for tensor in weights], axis=1)
            for name in ("update_norm", "clipped_norm")
        )
        return seen.track(f"update_norm{suffix}", weights[0]).steps, moves, gradients

    frozen = np.stack([seen.track("frozen", tensor).values for tensor in weights], axis=1)
    (steps, moves, gradients), (each, *looked) = norms(), norms("_between")
    changed = np.array([change.step for change in changes(seen)])
    for i, jump in rate.jumps(moves, gradients, frozen, seen.factors[steps]):
        before, at = int(steps[i]), int(steps[i + 1])
        if at - before > 1:
            gap = (each >= before) & (each <= at)
            if gap.sum() != at - before + 1:
                continue  # nobody has looked into it
            earlier = gradients[max(i - rate.STAYS + 1, 0) : i + 1]
            found = rate.within(looked[0][gap], looked[1][gap], seen.factors[each[gap]], jump, earlier)
            if found is None:
                continue
            before, jump = before + found[0], found[1]
            at = before + 1
        if ((changed > before) & (changed <= at)).any() or seen.left(at) <= CONVERGED:
            continue
        up = jump > 0
        quantity = "ln ‖Δw‖, and ln ‖Δw‖/‖g‖, over those of the step observed before: the tensor that changes least"
        yield Finding(
            "step_too_large" if up else "step_too_small",
            "warning",
            "",
            at,
            f"steps become {math.exp(abs(jump)):.2g} times {'longer' if up else 'shorter'}, which no schedule says",
            (Evidence(quantity, jump, 0.0, -rate.TIMES, rate.TIMES),),
        )
        return


def _frozen(seen: Seen) -> Iterator[Finding]:
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


def _too_large(seen: Seen) -> Iterator[Finding]:
    """The loss is thrown above where it began, or up again from where it was, or the first steps pass all bounds."""
    losses = seen.track("loss").values
    finite = losses[np.isfinite(losses)]
    if not finite.size:
        return
    first = max(float(finite[0]), seen.constant)
    smooth = np.where(np.isfinite(seen.smooth), seen.smooth, np.nan)
    some = first > 0  # of losses that are not positive there are no multiples
    above = np.flatnonzero(some & (smooth > ABOVE * first))
    lowest = np.fmin.accumulate(smooth)
    again = np.flatnonzero(some & (smooth > lowest + AGAIN * np.maximum(seen.constant, lowest)))
    ended = len(finite) < len(losses)
    at_the_end = some and ended and float(finite[-FIRST:].max()) > ABOVE * first
    ratio = seen.track("update_ratio")
    known = ratio.values[np.isfinite(ratio.values)]
    share, moved = _first_steps(seen), float(known.mean()) * seen.steps if known.size else 0.0
    lasts = LASTING * seen.steps
    if at_the_end or above.size > lasts:
        at = int(np.flatnonzero(losses > ABOVE * first)[0] if at_the_end else above[0])
        evidence = Evidence(UP, float(finite.max() / first), 1.0, -np.inf, ABOVE)
        why = f"the loss goes up to {finite.max() / first:.3g} times what it was at the start"
    elif ended and known.size and known[-1] > OWN:
        at = int(ratio.steps[np.flatnonzero(ratio.values > OWN)[0]])
        evidence = Evidence("‖Δw‖/‖w‖ of the last step", float(known[-1]), math.nan, -np.inf, OWN)
        why = f"a step is {known[-1]:.2g} times as long as the weights, and the next loss is beyond all numbers"
    elif again.size > lasts and _rises(seen) and seen.unlearned() > UNLEARNED and moved > SMALL:
        at = int(again[0])
        top = float(np.nanmax((smooth - lowest) / seen.constant))
        evidence = Evidence("loss over its least so far, in the best constant answer's", top, 0.0, -np.inf, AGAIN)
        why = f"the loss goes up again by {top:.2g} of what the best constant answer loses, and stays high"
    elif seen.unlearned() > UNLEARNED and share > LARGE:
        at = int(ratio.steps[np.flatnonzero(ratio.values > LARGE)[0]])
        evidence = Evidence("‖Δw‖/‖w‖ of the first steps", share, math.nan, -np.inf, LARGE)
        why = f"the first steps are {share:.2g} times as long as the weights, and little is learned"
    else:
        return
    yield Finding("step_too_large", "failure" if ended else "warning", "", at, why, (evidence, *_by_the_hessian(seen)))


def _first_steps(seen: Seen) -> float:
    """The median ‖Δw‖/‖w‖ of the first ones; of weights that start near 0, over how long they would be by Glorot."""
    moved, norms = (seen.track(name).values[:FIRST] for name in ("update_norm", "weight_norm"))
    problem, usual = seen.cell.problem, 0.0
    if isinstance(problem, Network):
        drawn = parameters(problem.model, seen.task.inputs).values()
        usual = math.sqrt(sum(2 * math.prod(one.shape) / sum(one.fans) for one in drawn if one.start == "weight"))
    ratios = moved / np.maximum(norms, usual)
    return float(np.median(ratios[np.isfinite(ratios)])) if np.isfinite(ratios).any() else 0.0


def _rises(seen: Seen) -> bool:
    """Whether the loss of all training samples comes up so far and for so long too, where it was evaluated.

    Medians of a few single batches do by chance; and of data with outliers, while the loss of all falls.
    """
    losses = seen.track("loss/training").values
    if len(losses) < 2 or not np.isfinite(losses).all():
        return True
    lowest = np.minimum.accumulate(losses)
    return int((losses > lowest + AGAIN * np.maximum(seen.constant_of_all, lowest)).sum()) > LASTING * len(losses)


def _past_the_least(seen: Seen) -> Iterator[Finding]:
    """Little is learned after first steps that ended above where they began, by the Hessian: at level full."""
    overshoot = seen.track("overshoot")
    past = overshoot.steps[:FIRST][overshoot.values[:FIRST] > BACK]
    if len(past) < TWICE or seen.unlearned() < UNLEARNED or not np.isfinite(seen.track("loss").values).all():
        return
    why = "the first steps go so far that by the Hessian their own batch loses more, and little is learned"
    yield Finding("step_too_large", "warning", "", int(past[0]), why, tuple(_by_the_hessian(seen)))


def _by_the_hessian(seen: Seen) -> Iterator[Evidence]:
    """What level full knows of the first steps' length: beside the least along them, and beside the stability limit."""
    overshoot, sharpness = (seen.track(name).values[:FIRST] for name in ("overshoot", "sharpness_rate"))
    overshoot, sharpness = (values[np.isfinite(values)] for values in (overshoot, sharpness))
    if overshoot.size:
        largest = float(overshoot.max())
        yield Evidence("ΔwᵀHΔw over −gᵀΔw, the largest of the first steps", largest, math.nan, -np.inf, BACK)
    optimizer = seen.cell.recipe.optimizer
    bound = limit(optimizer) if isinstance(optimizer, SGD | Momentum) else None  # others' is of P⁻¹H, not of H
    if sharpness.size and bound is not None:
        largest = float(sharpness.max())
        quantity = "sharpness times the rate, the largest of the first steps"
        yield Evidence(quantity, largest, math.nan, -np.inf, bound * optimizer.lr)


def _too_small(seen: Seen) -> Iterator[Finding]:
    """Little was learned, the loss falls to the end, and the weights have hardly moved or go one way all the time.

    Or nothing was: a loss that has come down all the time ends where the best constant answer is, or above it.
    """
    ratio, cosine = seen.track("update_ratio"), seen.track("cosine")
    if not len(ratio) or not np.isfinite(seen.smooth).all():
        return
    start, late, end = _fall(seen)
    falling = (late - end) / (start - end) if start > end else -(late - end) / start
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
