"""What a fault has cost: by it a pair counts, or does not."""

import numpy as np

from harness.findings.seen import Seen
from suites.labelled.planted import Label

TRAINED = 0.35  # of the best constant answer's loss: a healthy run ends below it
TRAINED_ON_NOISE = 0.65  # of data whose targets are half noise
COSTS = 0.05  # of the best constant answer's loss: what a fault costs at least
NOISY = ("diabetes",)


def final(seen: Seen, part: str) -> float:
    """A part's loss at the end over the best constant answer's; ∞ of a run that diverged."""
    losses = seen.track(f"loss/{part}").values
    if seen.record.status == "diverged" or not losses.size or not np.isfinite(losses[-1]):
        return np.inf
    return float(losses[-1] / seen.constant_of_all)


def trained(healthy: Seen) -> bool:
    """Whether a healthy twin has learned what there is."""
    data = healthy.cell.problem.data.name  # type: ignore[union-attr]
    return final(healthy, "training") < (TRAINED_ON_NOISE if data in NOISY else TRAINED)


def harmed(faulty: Seen, twins: list[Seen], label: Label) -> bool:
    """Whether the run with the fault ends worse than all its twins, by ``COSTS`` and thrice what they differ by."""
    part = "validation" if label.kind == "over_fitting" else "training"
    theirs = [end for end in (final(twin, part) for twin in twins) if np.isfinite(end)]
    return final(faulty, part) - max(theirs) > max(COSTS, 3 * (max(theirs) - min(theirs)))
