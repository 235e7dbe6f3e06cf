"""Gradients that are lost in the noise of their batches."""

import math
from collections.abc import Iterator

import numpy as np

from harness.findings.finding import Evidence, Finding
from harness.findings.seen import Seen
from harness.health.noise import common, estimate

ERRORS = 3.0  # standard errors: what halves have in common was not seen where it is not so far above 0
UNLEARNED = 0.5  # of the best constant answer's loss: where more was learned, gradients had something in common
LEAST = 4  # observed steps


def judge(seen: Seen) -> Iterator[Finding]:
    """Of runs observed at level full that learn little: whether batches have something in common (``health.noise``)."""
    small, large = seen.track("noise_small"), seen.track("noise_large")
    if len(small) < LEAST or seen.unlearned() < UNLEARNED or _dead(seen):
        return
    share, error = common(small.values, large.values)
    half = seen.batch // 2
    scale = estimate(small.values, large.values, half, 2 * half).scale
    if error > 0 and share <= ERRORS * error:
        yield Finding(
            "lost_in_noise",
            "warning",
            "",
            int(small.steps[0]),
            f"over {len(small)} batches of {seen.batch} no gradient is seen that their halves have in common",
            (
                Evidence("⟨g₁, g₂⟩/|g|² of halves, its mean over its error", share / error, math.nan, ERRORS, np.inf),
                Evidence("gradient noise scale, in samples", scale, math.nan, -np.inf, np.inf),
            ),
        )


def _dead(seen: Seen) -> bool:
    """Whether a whole layer is dead at the end: what is lost there is no gradient among others."""
    ends = {place.name: seen.track("dead", place.name).values[-1:] for place in seen.places}
    return any(len(end) and end[0] == seen.units(name) for name, end in ends.items())
