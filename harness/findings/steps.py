"""Steps that are too large or too small for what is being minimised, or for the precision that it is done in."""

import math
from collections.abc import Iterator

import numpy as np

from harness.findings.changes import changes
from harness.findings.finding import Evidence, Finding
from harness.findings.seen import UNLEARNED, Floats, Integers, Seen
from harness.findings.small_steps import FIRST, SMALL, frozen, too_small
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
LARGE = 0.1  # ‖Δw‖/‖w‖ of a step
BACK = 2.0  # overshoot beyond which a quadratic ends above where it began (measure.curvature)
TWICE = 2  # of the first steps: one alone may be made good
CONVERGED = 1e-4  # of the best constant answer's loss: gradients are rounding and noise


def judge(seen: Seen) -> Iterator[Finding]:
    """First steps by the Hessian; changes of the rate; frozen weights; a rate that was wrong from the start."""
    found = list(_past_the_least(seen)) or list(_changed_rate(seen))
    yield from found
    yield from frozen(seen)
    if not found:
        yield from _too_large(seen)
        yield from too_small(seen)


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
