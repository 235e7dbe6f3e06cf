"""What is fitted: the training samples only, or the penalty."""

import math
from collections.abc import Iterator

import numpy as np

from harness.findings.finding import Evidence, Finding
from harness.findings.seen import UNLEARNED, Seen
from harness.spec.optimizers import SGD, Momentum
from harness.spec.recipe import Coupled, Decoupled

GAP = 0.25  # of the best constant answer's loss: validation less training, beyond the sampling error of the former
WIDE = 0.5  # a gap that says so whether the validation loss has risen or only stopped falling
FITTED = 0.25  # of the best constant answer's loss, at most, on the samples that were trained on
ROSE = 1.1  # validation loss at the end over its least
DOMINATES = 1.0  # penalty over loss
FAR = 5.0  # the same, to the end, where much was learned; of a loss that is all but gone any penalty is many times
LEFT = 0.05  # of the best constant answer's loss: that much
SHRUNK = 0.6  # ‖w‖ at its least over the start


def judge(seen: Seen) -> Iterator[Finding]:
    """Over-fitting, and a penalty or a decay that dominates."""
    yield from _over_fitting(seen)
    yield from _penalty(seen)
    yield from _decay(seen)


def _over_fitting(seen: Seen) -> Iterator[Finding]:
    training, validation = seen.track("loss/training"), seen.track("loss/validation")
    if len(validation) < 3 or not np.isfinite(validation.values).all():
        return
    each = seen.constant_of_all
    if each <= 0:  # a constant answers all: there is nothing to fit too well
        return
    best = int(np.argmin(validation.values))
    gaps = (validation.values - training.values) / each
    gap, rose = float(gaps[-1]), float(validation.values[-1] / validation.values[best])
    falls = training.values[-1] < training.values[max(best - 1, 0)]
    fitted = training.values[-1] < FITTED * each
    error = 1 / np.sqrt(len(seen.task.parts["validation"].x))  # of a mean of so many losses of that order
    if not (gap > GAP + error and fitted and falls and (rose > ROSE or gap > WIDE)):
        return
    at = int(validation.steps[best if rose > ROSE else np.flatnonzero(gaps > WIDE)[0]])
    apart = "validation less training loss, in the best constant answer's"
    evidence = [Evidence(apart, gap, 0.0, -np.inf, GAP + error if rose > ROSE else WIDE)]
    if rose > ROSE:
        evidence.append(Evidence("validation loss at the end over its least", rose, 1.0, -np.inf, ROSE))
        why = f"the validation loss has risen to {rose:.3g} times what it was after {at} steps, while the training loss"
    else:
        why = f"the validation loss stands above the training loss by {gap:.2g} of what a constant loses, while that"
    yield Finding("over_fitting", "warning", "", at, f"{why} fell", tuple(evidence))


def _penalty(seen: Seen) -> Iterator[Finding]:
    """The penalty is larger than the loss to the end; or was so until the weights were a part of what they had been."""
    penalty, losses = seen.track("penalty"), seen.track("loss")
    if not len(penalty) or not np.isfinite(losses.values).all():
        return
    share = penalty.values / np.maximum(losses.values, 1e-300)
    norms = seen.track("weight_norm").values
    shrank = float(norms.min() / norms[0]) if norms.size and norms[0] > 0 else 1.0
    lasting = float(np.median(share[len(share) // 2 :]))
    over = np.flatnonzero(share > DOMINATES)
    costs = seen.unlearned() > UNLEARNED and (lasting > DOMINATES or (over.size and shrank < SHRUNK))
    if not over.size or not (costs or (lasting > FAR and seen.left() > LEFT)):
        return
    if lasting > DOMINATES:
        why = f"the penalty is {lasting:.3g} times the loss in the second half of the run"
        evidence = Evidence("penalty over loss, median of the second half", lasting, math.nan, -np.inf, DOMINATES)
    else:
        why = f"the penalty was larger than the loss, and has brought the weights to {shrank:.2g} of their length"
        evidence = Evidence("‖w‖ at its least over the start", shrank, math.nan, SHRUNK, np.inf)
    yield Finding("penalty_dominates", "warning", "", int(penalty.steps[over[0]]), why, (evidence,))


def _decay(seen: Seen) -> Iterator[Finding]:
    """Little is learned, and the decay, by which weights alone would have shrunk as far, has shrunk them.

    Decoupled ones, and coupled ones of gradient descent, make of w ∏(1 − ηλ)w; beside an adaptive optimizer, which
    divides a coupled one by the size of gradients, nothing so simple holds, and only what came of it is judged.
    """
    decay, optimizer, norms = seen.cell.recipe.decay, seen.cell.recipe.optimizer, seen.track("weight_norm")
    if not isinstance(decay, Coupled | Decoupled) or not len(norms) or seen.unlearned() < UNLEARNED:
        return
    plain = isinstance(optimizer, SGD | Momentum)
    scale = 1.0 if isinstance(decay, Decoupled) and decay.scaled_by == "schedule" else optimizer.lr
    rates = scale * decay.rate * seen.factors[: seen.steps]
    alone = float(np.prod(np.clip(1 - rates, 0, 1))) if plain or isinstance(decay, Decoupled) else 0.0
    shrank = float(norms.values.min() / norms.values[0]) if norms.values[0] > 0 else 1.0
    if shrank < SHRUNK and alone < SHRUNK:
        below = np.flatnonzero(norms.values < SHRUNK * norms.values[0])
        yield Finding(
            "penalty_dominates",
            "warning",
            "",
            int(norms.steps[below[0]]),
            f"the decay has brought the weights to {shrank:.2g} of their length, and little is learned",
            (Evidence("‖w‖ at its least over the start", shrank, math.nan, SHRUNK, np.inf),),
        )
