"""How far a finding can be trusted: how often its kind was right on runs of which it is known what is wrong.

Of the alarms that came first in a run of the labelled set's unseen part (``python -m suites.detection --part unseen``
prints them): how many were of this kind, and how many of these were of runs with that fault. The estimate is the rule
of succession, (right + 1)/(said + 2), which of few alarms says little.
"""

import math
from collections.abc import Mapping

from harness.findings.finding import Kind

SAID: Mapping[Kind, tuple[int, int]] = {}  # kind → (right, said)


def confidence(kind: Kind) -> float:
    """The estimated share of alarms of that kind that are right; NaN of kinds that were not planted."""
    if kind not in SAID:
        return math.nan
    right, said = SAID[kind]
    return (right + 1) / (said + 2)
