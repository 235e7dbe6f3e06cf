"""How far a finding can be trusted: how often its kind was right on runs of which it is known what is wrong.

Of the alarms that came first in a run of the labelled set's unseen part (``python -m suites.detection --part unseen``
prints them): how many were of this kind, and how many of these were of runs with that fault. The estimate is the rule
of succession, (right + 1)/(said + 2), which of few alarms says little.
"""

import math
from collections.abc import Mapping

from harness.findings.finding import Kind

SAID: Mapping[Kind, tuple[int, int]] = {  # kind → (right, said)
    "vanishing": (4, 4),
    "exploding": (7, 7),
    "non_finite": (13, 13),
    "dead_units": (7, 7),
    "saturation": (13, 13),
    "frozen": (15, 16),
    "poor_initialisation": (5, 5),
    "step_too_large": (7, 10),
    "step_too_small": (6, 8),
    "clip_always_binds": (10, 11),
    "lost_in_noise": (22, 23),  # at level full
    "over_fitting": (8, 13),
    "identical_units": (13, 13),
    "penalty_dominates": (9, 9),
}


def confidence(kind: Kind) -> float:
    """The estimated share of alarms of that kind that are right; NaN of kinds that were not planted."""
    if kind not in SAID:
        return math.nan
    right, said = SAID[kind]
    return (right + 1) / (said + 2)
