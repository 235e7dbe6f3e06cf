"""Gradients that are lost in the noise of their batches."""

import math
from collections.abc import Iterator

import numpy as np

from harness.findings.finding import Evidence, Finding
from harness.findings.seen import Seen
from harness.health.noise import estimate

ERRORS = 3.0  # standard errors: |G|² that is not so far above 0 was not seen
UNLEARNED = 0.5  # of the best constant answer's loss: where more was learned, gradients had something in common
LEAST = 4  # observed steps


def judge(seen: Seen) -> Iterator[Finding]:
    """Of runs observed at level full that learn little: whether batches have something in common (``health.noise``)."""
    small, large = seen.track("noise_small"), seen.track("noise_large")
    if len(small) < LEAST or seen.unlearned() < UNLEARNED or _dead(seen):
        return
    half = seen.batch // 2
    found = estimate(small.values, large.values, half, 2 * half)
    if math.isfinite(found.signal) and not found.seen(ERRORS) and found.variance > 0:
        yield Finding(
            "lost_in_noise",
            "warning",
            "",
            int(small.steps[0]),
            f"over {found.steps} batches of {seen.batch} no gradient is seen that they have in common",
            (
                Evidence(
                    "|G|² over its standard error",
                    found.signal / found.signal_error if found.signal_error > 0 else math.nan,
                    math.nan,
                    ERRORS,
                    np.inf,
                ),
            ),
        )


def _dead(seen: Seen) -> bool:
    """Whether a whole layer is dead at the end: what is lost there is no gradient among others."""
    ends = {place.name: seen.track("dead", place.name).values[-1:] for place in seen.places}
    return any(len(end) and end[0] == seen.units(name) for name, end in ends.items())
