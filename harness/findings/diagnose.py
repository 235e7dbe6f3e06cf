"""All that is judged of one observed run, the cause before what follows from it."""

from collections.abc import Callable, Iterator, Mapping, Set

import numpy as np
from msgspec.structs import replace

from harness.findings import changed, clipping, fitting, noise, non_finite, remedies, signals, steps, units
from harness.findings.confidence import confidence
from harness.findings.finding import SEVERITIES, Diagnosis, Finding, Kind, Unjudged
from harness.findings.seen import Seen
from harness.health.rate import STAYS
from harness.spec.job import LEVELS, Level
from harness.store import Record

JUDGES: tuple[Callable[[Seen], Iterator[Finding]], ...] = (
    non_finite.judge,
    changed.judge,
    signals.judge,
    units.judge,
    steps.judge,
    clipping.judge,
    fitting.judge,
    noise.judge,
)
# Of findings at one step, a cause stands before what it brings about.
CAUSES: tuple[Kind, ...] = (
    "poor_initialisation",
    "identical_units",
    "penalty_dominates",
    "clip_always_binds",
    "dead_units",
    "saturation",
    "vanishing",
    "exploding",
    "frozen",
    "step_too_large",
    "lost_in_noise",
    "step_too_small",
    "non_finite",
    "over_fitting",
    "clip_never_binds",
)
# Series without which a kind cannot be judged, and the level that gives them.
NEEDS: Mapping[Kind, tuple[str, Level]] = {
    "vanishing": ("signal_norm", "standard"),
    "exploding": ("signal_norm", "standard"),
    "dead_units": ("dead", "standard"),
    "saturation": ("saturated", "standard"),
    "frozen": ("frozen", "standard"),
    "poor_initialisation": ("weight_norm", "standard"),
    "identical_units": ("identical", "standard"),
    "step_too_large": ("update_ratio", "standard"),  # but for what losses alone tell
    "step_too_small": ("update_ratio", "standard"),
    "lost_in_noise": ("noise_small", "full"),
}

CHANGING: tuple[Kind, ...] = ("vanishing", "exploding", "step_too_large", "step_too_small")
FEWEST = 2 * STAYS  # observed steps, half of them before a change


def diagnose(record: Record) -> Diagnosis:
    """The findings of one record of a ``Health`` measurement: what is wrong first, in the order of its steps."""
    return diagnosed(Seen(record))


def diagnosed(seen: Seen) -> Diagnosis:
    """The same of a record that has been read."""
    with np.errstate(all="ignore"):
        found = [finding for judge in JUDGES for finding in judge(seen)]
    changed_later = any(finding.step > 0 for finding in changed.judge(seen))
    ordered = sorted(_once(found), key=lambda finding: _order(finding, changed_later))
    whole = (
        replace(finding, confidence=confidence(finding.kind), remedies=remedies.names(seen, finding))
        for finding in ordered
    )
    return Diagnosis(tuple(whole), tuple(_unjudged(seen, {finding.kind for finding in found})))


def _order(finding: Finding, changed_later: bool = False) -> tuple[bool, bool, int, int, int]:
    """Alarms first, those that the outcome of the whole run shows last: whatever else is wrong may bring them about."""
    of_outcome = finding.kind in ("over_fitting", "lost_in_noise")
    of_outcome = of_outcome or (finding.kind == "step_too_small" and finding.step == 0)
    of_outcome = of_outcome or (changed_later and finding.step == 0 and not finding.layer)
    severity = -SEVERITIES.index(finding.severity)
    return not finding.alarms, of_outcome, finding.step, CAUSES.index(finding.kind), severity


def _once(found: list[Finding]) -> list[Finding]:
    """Without what another judge has said of the same kind and layer, later or less severely."""
    kept: dict[tuple[Kind, str], Finding] = {}
    for finding in sorted(found, key=_order):
        kept.setdefault((finding.kind, finding.layer), finding)
    return list(kept.values())


def _unjudged(seen: Seen, found: Set[Kind]) -> Iterator[Unjudged]:
    """Kinds that were not found, and whose series are missing because of the level, or too short; and over-fitting.

    Where there is nothing of the sort in a network, nothing is missing.
    """
    names = {name for name, _ in seen.tracks}
    missing = {
        kind: f"needs {series.replace('_', ' ')} of level {level}"
        for kind, (series, level) in NEEDS.items()
        if series not in names and LEVELS.index(seen.measure.level) < LEVELS.index(level)
    }
    observed = max((len(seen.track("gradient_norm", name)) for name in seen.task.parameters), default=0)
    if observed < FEWEST:
        few = f"of what changes within a run: needs {FEWEST} observed steps, there are {observed}"
        missing = dict.fromkeys(CHANGING, few) | missing
    if "loss/validation" not in names:
        missing["over_fitting"] = "needs a validation part"
    for kind, reason in missing.items():
        if kind not in found:
            yield Unjudged(kind, reason)
