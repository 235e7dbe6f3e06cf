"""A clip that sets the length of every step, or none."""

import math
from collections.abc import Iterator

import numpy as np

from harness.findings.finding import Evidence, Finding
from harness.findings.seen import Seen
from harness.spec.optimizers import SGD, Momentum
from harness.spec.recipe import NoClip

ALWAYS = 0.95  # of the steps
SHRINKS = 0.5  # of the gradient: what is left of it, on half of the steps at most
UNLEARNED = 0.5  # of the best constant answer's loss: a clip slows a run, and one that got half-way is only slow


def judge(seen: Seen) -> Iterator[Finding]:
    """Whether a clip always binds, at a cost, or never does."""
    bound = seen.track("clip_bound")
    if isinstance(seen.cell.recipe.clip, NoClip) or not len(bound):
        return
    share = float(np.mean(bound.values))
    if share == 0:
        yield Finding(
            "clip_never_binds",
            "note",
            "",
            0,
            f"no gradient of {len(bound)} was clipped: without the clip the run is the same",
            (Evidence("share of steps on which the clip bound", 0.0, math.nan, 0.0, 1.0),),
        )
    elif share >= ALWAYS:
        left = float(np.median(seen.track("clipped_norm").values / seen.track("gradient_norm").values))
        # An optimizer that divides by its gradients' size makes of a clipped gradient what it makes of any.
        costs = isinstance(seen.cell.recipe.optimizer, SGD | Momentum) and left < SHRINKS
        costs = costs and seen.unlearned() > UNLEARNED
        yield Finding(
            "clip_always_binds",
            "warning" if costs else "note",
            "",
            int(bound.steps[np.flatnonzero(bound.values)[0]]),
            f"{share:.0%} of the gradients were clipped, to {left:.2g} of their length: the clip sets the rate",
            (
                Evidence("share of steps on which the clip bound", share, math.nan, -np.inf, ALWAYS),
                Evidence("‖g'‖/‖g‖, median", left, 1.0, SHRINKS, np.inf),
            ),
        )
